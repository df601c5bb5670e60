package testkit_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// ownServer opens a kit on an embedded server of the test's own.
func ownServer(t *testing.T) *testkit.Kit {
	t.Helper()
	_, env := embeddedServer(t, "1s")
	full := map[string]string{}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		full[name] = value
	}
	return openKit(t, full)
}

// The server is killed while one test uses a database and others have just given
// theirs back: that test fails, the next starts the server again.
func TestServerKilledBetweenTests(t *testing.T) {
	t.Parallel()
	k := ownServer(t)
	tpl := sqlTemplate(t.Name(), "CREATE TABLE t (id int)")
	released := newProbe(t)
	k.New(released, tpl)
	during := newProbe(t)
	d := k.New(during, tpl)
	released.end()

	pid := query[string](t, d.ConnString(), "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")
	number, err := strconv.Atoi(pid)
	testkit.NoError(t, err)
	testkit.NoError(t, kill(number))
	testkit.Eventually(t, "the sessions end", func() bool { return d.Pool().Ping(t.Context()) != nil })
	during.end()

	for range 3 {
		p := newProbe(t)
		again := k.New(p, tpl)
		if p.Failed() {
			t.Fatalf("no database after the server was killed: %s", p.said())
		}
		testkit.Equal(t, query[int](t, again.ConnString(), "SELECT count(*) FROM t"), 0)
		p.end()
	}
}
