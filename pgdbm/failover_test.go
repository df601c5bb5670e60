package pgdbm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// With -v these tests print the rows of the table in docs/operations.md.

// cluster starts a primary and a standby that has every commit before it is
// acknowledged.
func cluster(t testing.TB) *testkit.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("starts two servers")
	}
	c := testkit.StartCluster(t)
	c.SetSynchronous(t, true)
	return c
}

// Everything that may happen to a primary without another taking over; at the
// end, another takes over.
func TestFaultsOfAPrimary(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	m := bind(t, open(t, pgdbm.Config{ConnString: c.ConnString(), MaxConns: 8}), "app")
	writes(t, m)

	idle(t, m)
	c.Primary.Restart(t)
	for range 100 {
		exec(t, m, "select $1::int", 1)
	}
	t.Log("| server restarted, pool idle, then 100 statements | none | – | – |")

	for _, f := range []struct {
		name   string
		seen   []string
		inject func()
	}{
		{"server restarted", severed, func() { c.Primary.Restart(t) }},
		{"a server process crashes", severed, func() { c.Primary.Crash(t) }},
		{"all sessions terminated", severed, func() {
			c.Primary.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgdbm'")
		}},
		{"read-only for 1 s, no disconnect", []string{"ErrReadOnly"}, func() {
			c.Primary.SetReadOnly(t, true)
			wait(t, time.Second)
			c.Primary.SetReadOnly(t, false)
		}},
	} {
		l, at := startLoad(t, m, 8, 20*time.Second), time.Now()
		f.inject()
		l.recovered(t, time.Now())
		l.report(t, f.name, at, "", f.seen...)
	}

	full(t, c)
	readOnly(t, c)
	behindPooler(t, c)

	l, at := startLoad(t, m, 8, 20*time.Second), time.Now()
	c.Primary.Kill(t)
	wait(t, time.Second) // somebody notices, and decides
	c.Standby.Promote(t)
	promoted := time.Now()
	l.recovered(t, promoted)
	l.report(t, "primary killed, standby promoted 1 s later", at, sincePromotion(l, promoted), severed...)
}

func sincePromotion(l *load, promoted time.Time) string {
	return fmt.Sprintf(" (%s after the promotion)", l.firstAfter(promoted).Round(time.Millisecond))
}

// A standby takes over while the primary lives on, read-only, and keeps its
// connections: nobody would notice if nobody looked.
func TestSwitchoverWithoutADisconnect(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	pool := open(t, pgdbm.Config{ConnString: c.ConnString(), MaxConns: 8})
	m := bind(t, pool, "app")
	writes(t, m)
	idle(t, m)
	c.SetSynchronous(t, false)
	c.Primary.SetReadOnly(t, true)
	c.Standby.Promote(t)
	for i := range 200 {
		if i < 20 {
			testkit.NoError(t, m.InTxWith(t.Context(), pgdbm.TxOptions{Attempts: 3}, func(tx *pgdbm.Tx) error {
				return second(tx.Exec(t.Context(), "insert into {{tables.writes}} values ($1)", i))
			}))
			continue
		}
		exec(t, m, "insert into {{tables.writes}} values ($1)", i)
	}
	n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from {{tables.writes}}")
	testkit.NoError(t, err)
	testkit.Equal(t, n, 200)
	t.Log("| primary made read-only without a disconnect, standby promoted, then 200 statements | none | – | 0 of 200 |")
}

// The primary stops in its tracks and keeps its connections.
func TestFrozenPrimary(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{ConnString: c.ConnString(), MaxConns: 8, Watchdog: time.Second, Logger: log.logger()}), "app")
	writes(t, m)
	l, at := startLoad(t, m, 8, 20*time.Second), time.Now()
	c.Primary.Freeze(t)
	wait(t, 2*time.Second)
	c.Primary.Thaw(t)
	l.recovered(t, time.Now())
	l.report(t, "primary frozen for 2 s, Watchdog 1 s", at, "", severed...)
	for _, line := range []string{"server does not answer, its connections are given up", "server answers again"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log lacks %q: %s", line, log)
		}
	}

	takeOver(t, c, startLoad(t, m, 8, 20*time.Second), "primary frozen, standby promoted 1 s later, Watchdog 1 s", severed...)
}

// takeOver freezes the primary and promotes the standby.
func takeOver(t testing.TB, c *testkit.Cluster, l *load, fault string, expected ...string) {
	t.Helper()
	at := time.Now()
	c.Primary.Freeze(t)
	wait(t, time.Second)
	c.Standby.Promote(t)
	promoted := time.Now()
	l.recovered(t, promoted)
	l.report(t, fault, at, sincePromotion(l, promoted), expected...)
}

// What the watchdog is for: it takes a while, so it is no test.
func BenchmarkFrozenPrimaryWithoutWatchdog(b *testing.B) {
	for b.Loop() {
		c := cluster(b)
		m := bind(b, open(b, pgdbm.Config{ConnString: c.ConnString(), MaxConns: 8, ConnectTimeout: 2 * time.Second}), "app")
		writes(b, m)
		idle(b, m)
		takeOver(b, c, startLoad(b, m, 8, 2*time.Second), "the same without Watchdog, deadlines of 2 s, ConnectTimeout 2 s",
			append(severed, "ErrTimeout")...)
	}
}

// behindPooler restarts what is behind a pool: the pooler, and the server behind
// that.
func behindPooler(t *testing.T, c *testkit.Cluster) {
	t.Helper()
	b := testkit.StartPgBouncer(t, c.Primary.ConnString(), map[string]string{"server_login_retry": "1"})
	m := bind(t, open(t, pgdbm.Config{ConnString: b.ConnString(), MaxConns: 8}), "app")
	l, at := startLoad(t, m, 8, 20*time.Second), time.Now()
	b.Stop()
	wait(t, time.Second)
	b.Start(t)
	l.recovered(t, time.Now())
	l.report(t, "PgBouncer away for 1 s", at, "", severed...)

	l, at = startLoad(t, m, 8, 20*time.Second), time.Now()
	c.Primary.Restart(t)
	l.recovered(t, time.Now())
	l.report(t, "server restarted behind PgBouncer, server_login_retry 1 s", at, "", severed...)
}

// readOnly shows that a pool of one server goes on reading when that takes no
// writes any more, and that asking for the impossible costs little.
func readOnly(t *testing.T, c *testkit.Cluster) {
	t.Helper()
	m := bind(t, open(t, pgdbm.Config{ConnString: c.Primary.ConnString(), MaxConns: 2}), "app") // any server will do
	write := func() error { return second(m.Exec(t.Context(), "insert into {{tables.writes}} values (1)")) }
	c.Primary.SetReadOnly(t, true)
	for range 20 {
		testkit.NoError(t, second(pgdbm.FetchAll[int64](t.Context(), m, "select id from {{tables.writes}} limit 1")))
	}
	for range 5 {
		testkit.ErrorIs(t, write(), pgdbm.ErrReadOnly)
	}
	if opened := m.Stat().NewConnsCount(); opened > 30 {
		t.Errorf("%d connections were opened", opened)
	}
	c.Primary.SetReadOnly(t, false)
	testkit.NoError(t, write())
	before := m.Stat().NewConnsCount()
	for range 5 { // what the caller wants read-only says nothing about the server
		testkit.ErrorIs(t, m.InTxWith(t.Context(), pgdbm.TxOptions{ReadOnly: true}, func(tx *pgdbm.Tx) error {
			return second(tx.Exec(t.Context(), "insert into {{tables.writes}} values (2)"))
		}), pgdbm.ErrReadOnly)
	}
	testkit.Equal(t, m.Stat().NewConnsCount(), before)
}

// idle fills a pool with connections that nobody uses.
func idle(t testing.TB, m *pgdbm.Manager) {
	t.Helper()
	for range m.Stat().MaxConns() {
		conn, err := m.Acquire(t.Context())
		testkit.NoError(t, err)
		defer conn.Release()
	}
}

// wait lets a fault last.
func wait(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// full takes all of the server's connections and gives them back.
func full(t *testing.T, c *testkit.Cluster) {
	t.Helper()
	log := &logBuffer{}
	late, err := pgdbm.New(pgdbm.Config{ConnString: c.ConnString(), Logger: log.logger()})
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, late.Close(context.WithoutCancel(t.Context()))) }()
	var taken []*pgx.Conn
	for {
		conn, err := pgx.Connect(t.Context(), c.Primary.ConnString())
		if err != nil {
			testkit.ErrorContains(t, err, "53300")
			break
		}
		taken = append(taken, conn)
	}
	done := make(chan error)
	go func() { done <- second(bind(t, late, "").Exec(t.Context(), "select 1")) }()
	var at time.Time
	testkit.Eventually(t, "the statement does not wait", func() bool { return log.String() != "" })
	testkit.ErrorContains(t, late.Health(t.Context()), "no connection slot left")
	for _, conn := range taken {
		at = time.Now()
		testkit.NoError(t, conn.Close(t.Context()))
	}
	testkit.NoError(t, <-done)
	t.Logf("| server full | none: statements wait | %s after a slot was free | – |", time.Since(at).Round(time.Millisecond))
}
