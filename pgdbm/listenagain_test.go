package pgdbm_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// quickly makes interruptions short.
var quickly = pgdbm.RetryConfig{Delay: time.Millisecond, MaxDelay: 20 * time.Millisecond}

// hearAgain hears from listening begins anew until the payload comes that say
// sends, and returns how often something may have been missed.
func (e *ear) hearAgain(payload string, say func(payload string)) (missed int) {
	e.t.Helper()
	for i := 0; ; {
		switch h := e.next(); {
		case h.err != nil:
			e.t.Fatalf("waiting for %s: %v", payload, h.err)
		case h.n.Missed:
			missed, i = missed+1, i+1
			say(fmt.Sprint(payload, i)) // on a connection that may be lost as well
		case h.n.Payload == fmt.Sprint(payload, i):
			return missed
		}
	}
}

func TestListenAgain(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{ConnectRetry: quickly, Logger: log.logger()}), "app")
	e := hearing(t, m, "a", "b")
	for i := range 3 {
		pid, err := pgdbm.FetchValue[int](t.Context(), m, "select pid from pg_stat_activity where "+listening)
		testkit.NoError(t, err)
		exec(t, m, "select pg_terminate_backend($1)", pid)
		e.missed() // before anything that is sent from here on
		notify(t, m, "a", fmt.Sprint(i))
		notify(t, m, "b", fmt.Sprint(i))
		e.wants("a", fmt.Sprint(i))
		e.wants("b", fmt.Sprint(i))
	}
	for _, want := range []string{`level=WARN msg="not listening, connecting again" channels="app.a app.b" attempt=1`, "57P01", `msg="listening again" channels="app.a app.b"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %s: %s", want, log)
		}
	}
	if e.end(); strings.Count(log.String(), "listening again") != 3 {
		t.Errorf("log: %s", log)
	}
	testkit.Eventually(t, "the connection is open", func() bool { return listeners(t, m) == 0 })
}

// A server that is not there yet, or not for a while, is waited for.
func TestListenWaitsForTheServer(t *testing.T) {
	t.Parallel()
	direct := bind(t, open(t, pgdbm.Config{}), "")
	server := direct.Pool().Pgx().Config().ConnConfig
	proxy := newProxy(t, server.Host, server.Port)
	pool, err := pgdbm.New(pgdbm.Config{
		Host: "127.0.0.1", Port: proxy.port, Database: server.Database, User: server.User, Password: server.Password,
		TLS: pgdbm.TLSConfig{Mode: "disable"}, ConnectRetry: quickly, AcquireTimeout: 50 * time.Millisecond,
	})
	testkit.NoError(t, err)
	t.Cleanup(func() { testkit.NoError(t, pool.Close(context.WithoutCancel(t.Context()))) })
	m := bind(t, pool, "")
	proxy.refuse.Store(5)
	e := hearing(t, m, "a")
	notify(t, direct, "a", "1")
	e.wants("a", "1")

	proxy.refuse.Store(20)
	exec(t, direct, "select pg_terminate_backend(pid) from pg_stat_activity where "+listening)
	e.missed()
	notify(t, direct, "a", "2")
	e.wants("a", "2")
	if n := proxy.refuse.Load(); n > 0 {
		t.Errorf("%d refusals are left", n)
	}
}

// What does not pass by itself ends the loop.
func TestListenGivesUp(t *testing.T) {
	t.Parallel()
	cc := open(t, pgdbm.Config{}).Pgx().Config().ConnConfig
	cfg := pgdbm.Config{Host: cc.Host, Port: cc.Port, User: cc.User, Password: cc.Password, Database: "pgdbm_no_such_database"}
	for name, c := range map[string]struct {
		mode pgdbm.PoolerMode
		is   error
		want string
	}{
		"no database": {pgdbm.PoolerNone, pgdbm.ErrUndefined, `pgdbm: Listen: undefined object: `},
		"a pooler":    {pgdbm.PoolerTransaction, nil, "pgdbm: Listen: a transaction pooler is in the way, through which notifications do not come; set Config.DirectConnString"},
	} {
		cfg.Pooler = c.mode
		pool, err := pgdbm.New(cfg)
		testkit.NoError(t, err)
		calls := 0
		for _, err := range bind(t, pool, "").Listen(t.Context(), "a") {
			calls++
			testkit.ErrorContains(t, err, c.want)
			if c.is != nil {
				testkit.ErrorIs(t, err, c.is)
			}
		}
		if calls != 1 {
			t.Errorf("%s: %d", name, calls)
		}
		testkit.NoError(t, pool.Close(t.Context()))
	}
}

func TestListenPastAPooler(t *testing.T) {
	t.Parallel()
	b, direct := bouncer(t, "2")
	through := bind(t, open(t, pgdbm.Config{ConnString: b.ConnString()}), "app")
	for _, err := range through.Listen(t.Context(), "a") {
		testkit.ErrorContains(t, err, "a transaction pooler is in the way")
	}
	past := bind(t, open(t, pgdbm.Config{ConnString: b.ConnString(), DirectConnString: direct}), "app")
	e := hearing(t, past, "a")
	notify(t, through, "a", "through the pooler")
	e.wants("a", "through the pooler")
}

// A silent connection is asked for a sign of life, and goes on.
func TestListenIdly(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{}), "app")
	e := hear(t, func(ctx context.Context) iter.Seq2[pgdbm.Notification, error] {
		return m.ListenWithin(ctx, time.Millisecond, 30*time.Second, "a")
	})
	e.missed()
	for i := range 20 {
		testkit.Eventually(t, "nobody asks", func() bool {
			n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from pg_stat_activity where query = '-- ping' and "+listening)
			return err == nil && n == 1
		})
		notify(t, m, "a", fmt.Sprint(i))
		e.wants("a", fmt.Sprint(i)) // and nothing is missed
	}
}

func TestListenOnACluster(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	for address, want := range map[string]error{
		c.Standby.ConnString():                     pgdbm.ErrReadOnly, // PostgreSQL does not notify on a standby
		c.Primary.ConnString() + " password=wrong": pgdbm.ErrPermission,
	} {
		pool, err := pgdbm.New(pgdbm.Config{ConnString: address})
		testkit.NoError(t, err)
		for _, err := range bind(t, pool, "").Listen(t.Context(), "a") {
			testkit.ErrorIs(t, err, want)
		}
		testkit.NoError(t, pool.Close(t.Context()))
	}
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{ConnString: c.ConnString(), ConnectRetry: quickly, Logger: log.logger()}), "app")
	e := hear(t, func(ctx context.Context) iter.Seq2[pgdbm.Notification, error] {
		return m.ListenWithin(ctx, 20*time.Millisecond, 2*time.Second, "a")
	})
	say := func(payload string) {
		testkit.Eventually(t, "no notification can be sent", func() bool { return pgdbm.Notify(t.Context(), m, "a", payload) == nil })
	}
	for _, f := range []struct {
		name string
		do   func()
	}{
		{"began", func() {}},
		{"restarted", func() { c.Primary.Restart(t) }},
		{"crashed", func() { c.Primary.Crash(t) }},
		{"frozen", func() {
			c.Primary.Freeze(t)
			testkit.Eventually(t, "nobody notices", func() bool { return strings.Contains(log.String(), "the server has not answered for 2s") })
			c.Primary.Thaw(t)
		}},
		{"switched over", func() { // nothing is disconnected
			c.SetSynchronous(t, false)
			c.Primary.SetReadOnly(t, true)
			c.Standby.Promote(t)
		}},
	} {
		t.Log(f.name)
		f.do()
		if missed := e.hearAgain(f.name, say); missed == 0 {
			t.Errorf("%s: nothing was missed", f.name)
		}
	}
	if !strings.Contains(log.String(), "the server takes no writes any more") {
		t.Errorf("log: %s", log)
	}
}
