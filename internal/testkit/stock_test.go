package testkit_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// hold makes everybody wait who clones the template, until release is called.
func hold(t *testing.T, k *testkit.Kit, tpl testkit.Template) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), k.URL(k.Admin()))
	testkit.NoError(t, err)
	_, err = conn.Exec(t.Context(), "BEGIN; COMMENT ON DATABASE "+k.TemplateName(tpl)+" IS 'held'")
	testkit.NoError(t, err)
	return func() { _ = conn.Close(context.WithoutCancel(t.Context())) }
}

// Those who wait for a database get the first that there is, a new one or one
// that is given back, and not everybody has one made at once.
func TestWhoeverWaitsGetsTheFirst(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	if !k.Recycles() {
		t.Skip("recycling needs PostgreSQL 15 and a superuser")
	}
	tpl := ownTemplate(t, "CREATE TABLE t (id int)")
	holder := newProbe(t)
	name := k.New(holder, tpl).Name()
	release := hold(t, k, tpl)
	defer release()

	const waiters = 5
	got := make(chan string, waiters)
	done := make(chan struct{})
	var group sync.WaitGroup
	for range waiters {
		group.Go(func() {
			p := newProbe(t)
			defer p.end()
			if d := k.New(p, tpl); d != nil {
				got <- d.Name()
			}
			<-done
		})
	}
	creating := func() int {
		return query[int](t, k.URL(k.Admin()), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE $1", "CREATE DATABASE pgdbm_t_% TEMPLATE "+k.TemplateName(tpl)+"%")
	}
	testkit.Eventually(t, "databases are being made", func() bool { return creating() == 2 })
	holder.end()
	testkit.Equal(t, <-got, name) // nothing else can have come
	testkit.Equal(t, creating(), 2)
	release()
	seen := map[string]bool{name: true}
	for range waiters - 1 {
		seen[<-got] = true
	}
	testkit.Equal(t, len(seen), waiters)
	close(done)
	group.Wait()
}

// A server has 100 connections by default, and go test runs several packages at
// once. Databases that wait for a test leave most of them to others, and who finds
// none waits for one.
func TestServerWithFewConnections(t *testing.T) {
	t.Parallel()
	srv, err := embedded.Start(t.Context(), embedded.Config{Dir: stateDir(t), Settings: map[string]string{"max_connections": "40"}})
	testkit.NoError(t, err)
	defer srv.Close(t.Context()) //nolint:errcheck // only its lease ends
	k := openKit(t, map[string]string{"TEST_DATABASE_URL": srv.ConnString("postgres")})
	other := testkitOn(t, k)
	if !k.Recycles() {
		t.Skip("recycling needs PostgreSQL 15 and a superuser")
	}
	var probes []*probe
	for range 10 {
		p := newProbe(t)
		k.New(p, testkit.Template{})
		testkit.Equal(t, p.said(), "")
		probes = append(probes, p)
	}
	for _, p := range probes {
		p.end()
	}
	testkit.Equal(t, k.Free(testkit.Template{}), 10)
	monitor, err := pgx.Connect(t.Context(), k.URL(k.Admin()))
	testkit.NoError(t, err)
	defer monitor.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	testkit.Eventually(t, "free databases hold too many connections", func() bool {
		var n int
		testkit.NoError(t, monitor.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'pgdbm\_t\_%'`).Scan(&n))
		return n <= 2
	})

	var taken []*pgx.Conn
	for {
		conn, err := pgx.Connect(t.Context(), k.URL(k.Admin()))
		if err != nil {
			testkit.ErrorContains(t, err, "53300")
			break
		}
		taken = append(taken, conn)
	}
	waiting := newProbe(t)
	got := make(chan *testkit.Database)
	go func() { got <- other.New(waiting, testkit.Template{Fresh: true}) }()
	select {
	case <-got:
		t.Errorf("there was no connection: %s", waiting.said())
	case <-time.After(200 * time.Millisecond):
	}
	for _, conn := range taken {
		testkit.NoError(t, conn.Close(t.Context()))
	}
	if d := <-got; d == nil {
		t.Fatal(waiting.said())
	}
	waiting.end()
}

// Who does not wait any longer leaves nothing behind.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	tpl := ownTemplate(t, "CREATE TABLE t (id int)")
	p := newProbe(t)
	k.New(p, tpl)
	release := hold(t, k, tpl)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error)
	go func() { waits <- k.Take(ctx, tpl) }()
	testkit.Eventually(t, "it waits", func() bool { return k.Waiting(tpl) == 1 })
	cancel()
	testkit.ErrorIs(t, <-waits, context.Canceled)
	testkit.Equal(t, k.Waiting(tpl), 0)
	release()
	p.end()
	next := newProbe(t)
	testkit.Equal(t, query[int](t, k.New(next, tpl).ConnString(), "SELECT count(*) FROM t"), 0)
	next.end()
}
