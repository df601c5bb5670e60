package testkit

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// keep leaves the database to a person, under a name that no sweep touches.
func (k *kit) keep(ctx context.Context, tb TB, s *slot) {
	tb.Helper()
	s.close(ctx)
	name := strings.Replace(s.name, "pgdbm_t_", "pgdbm_kept_", 1)
	undone, err := k.settle(ctx, s.name)
	if err == nil {
		err = s.rename(ctx, name)
	}
	if err != nil {
		tb.Logf("pgdbmtest: the database cannot be kept: %v", err)
		return
	}
	address, had := withoutPassword(k.server.connString(name))
	var b strings.Builder
	fmt.Fprintf(&b, "pgdbmtest: kept for you:\n  psql %s\n  DROP DATABASE %s; when you are done", shellQuote(address), name)
	if had {
		b.WriteString("\n  the password is left out here: psql asks for it")
	}
	if undone > 0 {
		fmt.Fprintf(&b, "\n  %d prepared transactions were rolled back", undone)
	}
	if k.server.embedded != nil {
		b.WriteString("\n  if the server has stopped by then (see PGDBM_TEST_IDLE), any test starts it again")
	}
	tb.Logf("%s", b.String())
}

// settle ends what would forbid to rename a database: sessions and prepared
// transactions. It returns how many of these there were.
func (k *kit) settle(ctx context.Context, name string) (transactions int, err error) {
	conn, err := k.admin.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	if err := k.evict(ctx, conn, name); err != nil {
		return 0, err
	}
	return k.within(ctx, conn, name, prepared)
}

// shellQuote makes one word of s for a shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

var passwordValue = regexp.MustCompile(`(?i)(^|\s)(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s\\]|\\.)*)`)

// withoutPassword returns a connection string that may be shown, and whether
// there was a password in it.
func withoutPassword(connString string) (shown string, had bool) {
	if u, err := url.Parse(connString); err == nil && u.Scheme != "" {
		if _, had = u.User.Password(); had {
			u.User = url.User(u.User.Username())
		}
		query := withoutParams(u.RawQuery, "password", "sslpassword")
		had = had || query != u.RawQuery
		u.RawQuery = query
		return u.String(), had
	}
	shown = passwordValue.ReplaceAllString(connString, "$1")
	return strings.TrimSpace(shown), shown != connString
}
