package pgdbm_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// setting returns a setting of the session.
func setting(t *testing.T, pool *pgdbm.Pool, name string) string {
	t.Helper()
	value, err := pgdbm.FetchValue[string](t.Context(), bind(t, pool, ""), "select current_setting($1)", name)
	testkit.NoError(t, err)
	return value
}

// backend returns the process that serves the next statement.
func backend(t *testing.T, pool *pgdbm.Pool) int {
	t.Helper()
	pid, err := pgdbm.FetchValue[int](t.Context(), bind(t, pool, ""), "select pg_backend_pid()")
	testkit.NoError(t, err)
	return pid
}

func TestServerFields(t *testing.T) {
	t.Parallel()
	s := secure(t)
	pool := open(t, pgdbm.Config{Host: "localhost", Port: s.port, Database: "postgres", User: "plain", Password: userPassword, Schema: "shop"})
	m := bind(t, pool, "")
	testkit.Equal(t, m.Schema(), "shop")
	where, err := pgdbm.FetchValue[string](t.Context(), m, "select current_user || '@' || inet_server_port() || '/' || current_database()")
	testkit.NoError(t, err)
	testkit.Equal(t, where, fmt.Sprintf("plain@%d/postgres", s.port))
	if !strings.HasPrefix(pool.String(), "pgdbm: pool of plain@localhost:") {
		t.Error(pool)
	}

	// Several hosts are tried in order. Password replaces the one in ConnString.
	several := open(t, pgdbm.Config{Host: "/nowhere,localhost", Port: s.port, Database: "postgres", User: "plain", Password: userPassword})
	testkit.NoError(t, several.Health(t.Context()))
	replaced := open(t, pgdbm.Config{ConnString: fmt.Sprintf("postgres://plain:wrong@localhost:%d/postgres", s.port), Password: userPassword})
	testkit.NoError(t, replaced.Health(t.Context()))
}

// What a field says wins over ConnString, and ConnString over the default.
func TestFieldsBeforeConnString(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	said := dsn + "&application_name=said&statement_timeout=8s&connect_timeout=7&pool_max_conns=3&pool_min_idle_conns=1&pool_max_conn_lifetime=2h" +
		"&pool_max_conn_idle_time=20m&pool_max_conn_lifetime_jitter=3m&statement_cache_capacity=9&work_mem=3MB"
	for _, test := range []struct {
		cfg   pgdbm.Config
		want  map[string]string // settings
		limit string            // of the pool
	}{
		{
			pgdbm.Config{ConnString: dsn},
			map[string]string{"application_name": "pgdbm", "statement_timeout": "1min", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "1min"},
			"max 4 0 0 conns, life 1h0m0s 6m0s, idle 30m0s, connect 10s, cache 512 512",
		},
		{
			pgdbm.Config{ConnString: said},
			map[string]string{"application_name": "said", "statement_timeout": "8s", "lock_timeout": "5s", "work_mem": "3MB"},
			"max 3 0 1 conns, life 2h0m0s 3m0s, idle 20m0s, connect 7s, cache 9 512",
		},
		{
			pgdbm.Config{
				ConnString: said, ApplicationName: "field", StatementTimeout: 9 * time.Second, LockTimeout: -1, IdleInTransactionTimeout: time.Microsecond,
				MaxConns: 5, MinIdleConns: 2, MaxConnLifetime: 3 * time.Hour, MaxConnLifetimeJitter: time.Second, MaxConnIdleTime: time.Second,
				ConnectTimeout: 6 * time.Second, StatementCache: 10, RuntimeParams: map[string]string{"work_mem": "4MB"},
			},
			map[string]string{"application_name": "field", "statement_timeout": "9s", "lock_timeout": "0", "idle_in_transaction_session_timeout": "1ms", "work_mem": "4MB"},
			"max 5 0 2 conns, life 3h0m0s 1s, idle 1s, connect 6s, cache 10 10",
		},
		{
			pgdbm.Config{ConnString: said, StatementTimeout: -1, RuntimeParams: map[string]string{"lock_timeout": "2s"}},
			map[string]string{"statement_timeout": "8s", "lock_timeout": "2s"}, // negative: what is set elsewhere
			"max 3 0 1 conns, life 2h0m0s 3m0s, idle 20m0s, connect 7s, cache 9 512",
		},
	} {
		pool := open(t, test.cfg)
		for name, want := range test.want {
			if got := setting(t, pool, name); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
		c := pool.Pgx().Config()
		test.limit = strings.Replace(test.limit, "max 4", fmt.Sprint("max ", max(4, runtime.NumCPU())), 1)
		testkit.Equal(t, fmt.Sprintf("max %d %d %d conns, life %s %s, idle %s, connect %s, cache %d %d", c.MaxConns, c.MinConns, c.MinIdleConns, c.MaxConnLifetime,
			c.MaxConnLifetimeJitter, c.MaxConnIdleTime, c.ConnConfig.ConnectTimeout, c.ConnConfig.StatementCacheCapacity, c.ConnConfig.DescriptionCacheCapacity), test.limit)
	}
}

func TestMinConns(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]pgdbm.Config{"MinConns": {MinConns: 3}, "MinIdleConns": {MinIdleConns: 3}} {
		cfg.MaxConns, cfg.ConnString = 4, testkit.ConnString(t)
		if n := open(t, cfg).Stat().TotalConns(); n < 3 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
}

func TestMaxConns(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 2})
	m := bind(t, pool, "")
	for range 2 {
		conn, err := m.Acquire(t.Context())
		testkit.NoError(t, err)
		defer conn.Release()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	testkit.ErrorIs(t, second(m.Acquire(ctx)), pgdbm.ErrTimeout)
	s := pool.Stat()
	testkit.Equal(t, []int32{s.AcquiredConns(), s.IdleConns(), s.TotalConns(), s.MaxConns()}, []int32{2, 0, 2, 2})
}

func TestMaxConnLifetime(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1, MaxConnLifetime: 200 * time.Millisecond})
	first := backend(t, pool)
	testkit.Eventually(t, "an old connection is still in use", func() bool { return backend(t, pool) != first })
	if pool.Stat().MaxLifetimeDestroyCount() == 0 {
		t.Error("it was not closed because of its age")
	}
}

func TestMaxConnIdleTime(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConnIdleTime: time.Millisecond}) // pgx looks once in a minute, unless told otherwise
	testkit.Eventually(t, "an idle connection stays open", func() bool { return pool.Stat().MaxIdleDestroyCount() > 0 })
}

func TestStatementCache(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1, StatementCache: 2})
	m := bind(t, pool, "")
	for i := range 5 {
		exec(t, m, fmt.Sprintf("select %d, $1::int", i), i)
	}
	n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from pg_prepared_statements", pgx.QueryExecModeExec)
	testkit.NoError(t, err)
	testkit.Equal(t, n, 2)
}

func TestOnConnect(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1, OnConnect: []string{"set work_mem to '5MB'", "set enable_seqscan to off"}})
	testkit.Equal(t, setting(t, pool, "work_mem")+setting(t, pool, "enable_seqscan"), "5MBoff")

	_, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t), OnConnect: []string{"select 1", "set work_mam to 1"}})
	testkit.ErrorContains(t, err, "pgdbm: connect (attempt 1 of 6): OnConnect[1]: ", `unrecognized configuration parameter "work_mam"`)
}

func TestAfterConnectRegistersTypes(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	exec(t, bind(t, open(t, pgdbm.Config{ConnString: dsn}), ""), "create type point2 as (x int, y int)")
	pool := open(t, pgdbm.Config{
		ConnString: dsn, DirectConnString: dsn, MaxConns: 2, OnConnect: []string{"set work_mem to '6MB'"},
		AfterConnect: func(ctx context.Context, conn *pgx.Conn) error {
			var mem string
			if err := conn.QueryRow(ctx, "show work_mem").Scan(&mem); err != nil || mem != "6MB" {
				return fmt.Errorf("OnConnect has not run: %s, %w", mem, err)
			}
			if _, bounded := ctx.Deadline(); !bounded {
				return errors.New("the hook may take for ever")
			}
			types, err := conn.LoadTypes(ctx, []string{"point2"})
			conn.TypeMap().RegisterTypes(types)
			return err
		},
	})
	type point2 struct{ X, Y int }
	m := bind(t, pool, "")
	for range 2 { // on every connection
		conn, err := m.Acquire(t.Context())
		testkit.NoError(t, err)
		defer conn.Release()
		var got point2
		testkit.NoError(t, conn.QueryRow(t.Context(), "select $1::point2", point2{1, 2}).Scan(&got))
		testkit.Equal(t, got, point2{1, 2})
	}
	direct, err := pool.Dedicated(t.Context()) // past the pool too
	testkit.NoError(t, err)
	if _, ok := direct.TypeMap().TypeForName("point2"); !ok {
		t.Error("the dedicated connection does not know the type")
	}
	testkit.NoError(t, direct.Close(t.Context()))

	refused := errors.New("not this one")
	_, err = pgdbm.Open(t.Context(), pgdbm.Config{ConnString: dsn, AfterConnect: func(context.Context, *pgx.Conn) error { return refused }})
	testkit.ErrorIs(t, err, refused)
	testkit.ErrorContains(t, err, "pgdbm: connect (attempt 1 of 6): AfterConnect: not this one")
}

// Types that a migration is yet to make, as docs/operations.md has it.
func TestAfterConnectBeforeMigrations(t *testing.T) {
	t.Parallel()
	var known atomic.Bool
	pool := open(t, pgdbm.Config{AfterConnect: func(ctx context.Context, conn *pgx.Conn) error {
		types, err := conn.LoadTypes(ctx, []string{"shop.color", "shop.color[]"})
		if errors.Is(pgdbm.Classify(err), pgdbm.ErrUndefined) {
			return nil
		}
		conn.TypeMap().RegisterTypes(types)
		_, ok := conn.TypeMap().TypeForName("shop.color")
		known.Store(ok)
		return err
	}})
	exec(t, bind(t, pool, "shop"), "create type {{schema}}.color as enum ('red')")
	testkit.Equal(t, known.Load(), false)
	pool.Pgx().Reset()
	testkit.NoError(t, pool.Health(t.Context()))
	testkit.Equal(t, known.Load(), true)
}

// A password that changes while the pool is open.
func TestBeforeConnectRotatesThePassword(t *testing.T) {
	t.Parallel()
	s := secure(t)
	testkit.NoError(t, s.exec(t.Context(), "alter role rotating password 'first'"))
	var password atomic.Value
	password.Store("first")
	cfg := s.config("rotating")
	cfg.Password = "of no use"
	cfg.DirectConnString = fmt.Sprintf("postgres://rotating@localhost:%d/postgres", s.port)
	cfg.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		if _, bounded := ctx.Deadline(); !bounded {
			return errors.New("the hook may take for ever")
		}
		if password.Load() == "" {
			return errors.New("the vault is sealed")
		}
		cc.Password, _ = password.Load().(string)
		return nil
	}
	pool := open(t, cfg)
	testkit.NoError(t, s.exec(t.Context(), "alter role rotating password 'second'"))
	pool.Pgx().Reset()
	err := pool.Health(t.Context())
	testkit.ErrorIs(t, err, pgdbm.ErrPermission)
	testkit.ErrorContains(t, err, "pgdbm: health: ", "check the user and the password")
	password.Store("second")
	testkit.NoError(t, pool.Health(t.Context()))
	direct, err := pool.Dedicated(t.Context())
	testkit.NoError(t, err)
	testkit.NoError(t, direct.Close(t.Context()))

	password.Store("")
	pool.Pgx().Reset()
	testkit.ErrorContains(t, pool.Health(t.Context()), "pgdbm: health: BeforeConnect: the vault is sealed")
	testkit.ErrorContains(t, second(pool.Dedicated(t.Context())), "pgdbm: BeforeConnect: the vault is sealed")
}

// Connections past a pooler are sessions like those of the pool.
func TestDirectConnStringHasTheSameSession(t *testing.T) {
	t.Parallel()
	s := secure(t)
	cfg := s.config("plain")
	cfg.DirectConnString = fmt.Sprintf("postgres://plain@localhost:%d/postgres?pool_max_conns=3", s.port)
	cfg.StatementTimeout, cfg.ApplicationName, cfg.OnConnect = 7*time.Second, "direct", []string{"set work_mem to '7MB'"}
	cfg.TLS.RootCert = s.root
	direct, err := open(t, cfg).Dedicated(t.Context())
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, direct.Close(t.Context())) }()
	var got string
	err = direct.QueryRow(t.Context(), `select concat_ws(' ', current_setting('statement_timeout'), current_setting('application_name'), current_setting('work_mem'),
		(select ssl from pg_stat_ssl where pid = pg_backend_pid()))`).Scan(&got)
	testkit.NoError(t, err)
	testkit.Equal(t, got, "7s direct 7MB t")
}
