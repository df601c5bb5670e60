package pgdbm_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// behindProxy returns a pool whose server can be made to vanish.
func behindProxy(t *testing.T, cfg pgdbm.Config) (*pgdbm.Pool, *proxy) {
	t.Helper()
	server, err := pgx.ParseConfig(testkit.ConnString(t))
	testkit.NoError(t, err)
	p := newProxy(t, server.Host, server.Port)
	cfg.Host, cfg.Port, cfg.Database, cfg.User, cfg.Password = "127.0.0.1", p.port, server.Database, server.User, server.Password
	cfg.TLS.Mode = "disable"
	pool, err := pgdbm.New(cfg)
	testkit.NoError(t, err)
	t.Cleanup(func() { testkit.NoError(t, pool.Close(context.Background())) })
	return pool, p
}

func TestStatementsWaitForAServer(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	pool, proxy := behindProxy(t, pgdbm.Config{Logger: log.logger()})
	m := bind(t, pool, "")
	for name, fn := range map[string]func() error{
		"a statement": func() error { return second(m.Exec(t.Context(), "select 1")) },
		"a transaction": func() error {
			return m.InTx(t.Context(), func(tx *pgdbm.Tx) error { return second(tx.Exec(t.Context(), "select 1")) })
		},
		"a connection": func() error {
			conn, err := m.Acquire(t.Context())
			if err == nil {
				conn.Release()
			}
			return err
		},
	} {
		proxy.refuse.Store(3)
		pool.Pgx().Reset()
		if err := fn(); err != nil || proxy.refuse.Load() > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	away, back := strings.Count(log.String(), "server unavailable, statements wait for it"), strings.Count(log.String(), "server available again")
	if away != 3 || back != 3 {
		t.Errorf("said %d times that it is away, %d times that it is back: %s", away, back, log)
	}
}

func TestWaitingForAServerEnds(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	pool, proxy := behindProxy(t, pgdbm.Config{AcquireTimeout: 100 * time.Millisecond, Logger: log.logger()})
	m := bind(t, pool, "")
	proxy.refuse.Store(math.MaxInt64)
	run := func(ctx context.Context) error { return second(m.Exec(ctx, "select 1")) }

	testkit.ErrorIs(t, pool.Health(t.Context()), pgdbm.ErrUnavailable)
	testkit.Equal(t, log.String(), "") // it does not wait

	err := run(t.Context())
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "failed to receive message", "no server within AcquireTimeout 100ms (attempts: ")

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = run(ctx)
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorIs(t, err, context.DeadlineExceeded)
	testkit.ErrorContains(t, err, "no server before the context ended (attempts: ")
}

func TestWaitingEndsWithThePool(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	pool, proxy := behindProxy(t, pgdbm.Config{AcquireTimeout: -1, Logger: log.logger()})
	proxy.refuse.Store(math.MaxInt64)
	waits := make(chan error)
	go func() { waits <- second(bind(t, pool, "").Exec(t.Context(), "select 1")) }()
	testkit.Eventually(t, "the statement does not wait", func() bool { return strings.Contains(log.String(), "statements wait for it") })
	testkit.NoError(t, pool.Close(t.Context()))
	testkit.ErrorIs(t, <-waits, pgdbm.ErrUnavailable)
}

func TestWrongPasswordIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	pool, err := pgdbm.New(pgdbm.Config{ConnString: testkit.ConnString(t) + "&user=nobody_of_that_name"})
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, pool.Close(context.WithoutCancel(t.Context()))) }()
	testkit.ErrorIs(t, second(bind(t, pool, "").Exec(t.Context(), "select 1")), pgdbm.ErrPermission)
}

// Connections that the server has closed while nobody used them are not used.
func TestClosedConnectionsAreNotUsed(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	m := bind(t, open(t, pgdbm.Config{ConnString: dsn, MaxConns: 8}), "")
	admin := bind(t, open(t, pgdbm.Config{ConnString: dsn, MaxConns: 1, ApplicationName: "admin"}), "")
	for range 3 {
		idle(t, m)
		exec(t, admin, "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'pgdbm' and datname = current_database()")
		for range 30 {
			exec(t, m, "select $1::int", 1)
		}
	}
}

func TestWatchdogIsChecked(t *testing.T) {
	t.Parallel()
	_, err := pgdbm.New(pgdbm.Config{Host: "localhost", Watchdog: -1})
	testkit.ErrorContains(t, err, "pgdbm: config: Watchdog is -1ns: use 0 or a positive duration")
	_, err = pgdbm.New(pgdbm.Config{Host: "localhost", Watchdog: time.Millisecond})
	testkit.ErrorContains(t, err, "pgdbm: config: Watchdog is 1ms: a busy server takes that long; use 100ms or more")
}

func TestWatchdogIsOffBehindAPooler(t *testing.T) {
	t.Parallel()
	b, _ := bouncer(t, "2")
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{ConnString: b.ConnString(), Watchdog: time.Second, Logger: log.logger()}), "")
	exec(t, m, "select 1")
	if !strings.Contains(log.String(), "the watchdog is off: it does not work through a transaction pooler") {
		t.Errorf("log: %s", log)
	}
}

// The first of two hosts accepts connections and says nothing: after one of
// them the watchdog keeps everybody from trying it.
func TestWatchdogPassesASilentHostBy(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.NoError(t, err)
	defer func() { _ = silent.Close() }()
	var held []net.Conn
	tried := make(chan int, 1)
	tried <- 0
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			held = append(held, conn)
			tried <- 1 + <-tried
		}
	}()
	server, err := pgx.ParseConfig(testkit.ConnString(t))
	testkit.NoError(t, err)
	log := &logBuffer{}
	p := newProxy(t, server.Host, server.Port)
	cfg := pgdbm.Config{
		ConnString: "host=127.0.0.1,127.0.0.1 port=" + ports(portOf(silent), p.port) + " sslmode=disable connect_timeout=1 user=" + server.User +
			" dbname=" + server.Database,
		Password: server.Password, Watchdog: 200 * time.Millisecond, Logger: log.logger(), MaxConns: 4,
	}
	m := bind(t, open(t, cfg), "")
	testkit.Eventually(t, "the silent host is not given up", func() bool { return strings.Contains(log.String(), "server does not answer") })
	before := <-tried
	tried <- before
	m.Pool().Pgx().Reset()
	idle(t, m)
	exec(t, m, "select 1")
	after := <-tried
	tried <- after
	testkit.Equal(t, after, before)
	testkit.NoError(t, m.Pool().Close(t.Context()))
	for _, conn := range held {
		_ = conn.Close()
	}
}

// Each connection to replicas begins with any of them.
func TestReplicasShareTheReads(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	server, err := pgx.ParseConfig(dsn)
	testkit.NoError(t, err)
	a, b := newProxy(t, server.Host, server.Port), newProxy(t, server.Host, server.Port)
	m := bind(t, open(t, pgdbm.Config{
		ConnString: dsn, Password: server.Password, MaxConns: 40,
		ReplicaConnString: "host=127.0.0.1,127.0.0.1 port=" + ports(a.port, b.port) + " user=" + server.User + " dbname=" + server.Database,
	}), "")
	testkit.Eventually(t, "one of them is never asked", func() bool {
		rows, err := m.Replica("").Query(t.Context(), "select generate_series(1, 2)") // holds its connection
		testkit.NoError(t, err)
		t.Cleanup(rows.Close)
		return a.opened.Load() > 0 && b.opened.Load() > 0
	})
}

func ports(a, b uint16) string { return fmt.Sprintf("%d,%d", a, b) }
