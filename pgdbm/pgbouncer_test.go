package pgdbm_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// bouncer starts a pooler with that many connections before a database of the
// test's own.
func bouncer(t testing.TB, size string) (b *testkit.PgBouncer, direct string) {
	t.Helper()
	direct = testkit.ConnString(t)
	return testkit.StartPgBouncer(t, direct, map[string]string{"default_pool_size": size}), direct
}

func TestPoolerIsFoundOut(t *testing.T) {
	t.Parallel()
	refuses, direct := bouncer(t, "2")
	passes := testkit.StartPgBouncer(t, direct, map[string]string{
		"ignore_startup_parameters": "statement_timeout, lock_timeout, idle_in_transaction_session_timeout",
	})
	for name, b := range map[string]*testkit.PgBouncer{"refuses our settings": refuses, "passes them over": passes} {
		log := &logBuffer{}
		pool := open(t, pgdbm.Config{ConnString: b.ConnString(), Logger: log.logger(), RuntimeParams: map[string]string{"search_path": "pg_catalog"}})
		m := bind(t, pool, "")
		for range 3 {
			exec(t, m, "select $1::int", 1)
		}
		if pooled, err := pool.Pooled(t.Context()); !pooled || err != nil {
			t.Errorf("%s: %t, %v", name, pooled, err)
		}
		if got := strings.Count(log.String(), "pooler=true"); got != 1 {
			t.Errorf("%s: said %d times: %s", name, got, log)
		}
		if !strings.Contains(log.String(), `exec_mode="cache describe"`) {
			t.Errorf("%s: log: %s", name, log)
		}
		app, err := pgdbm.FetchValue[string](t.Context(), m, "select current_setting('application_name')")
		testkit.NoError(t, err)
		testkit.Equal(t, app, "pgdbm")
	}
}

func TestPoolerIsFoundOutWithoutConnect(t *testing.T) {
	t.Parallel()
	b, _ := bouncer(t, "2")
	pool, err := pgdbm.New(pgdbm.Config{ConnString: b.ConnString()})
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, pool.Close(context.WithoutCancel(t.Context()))) }()
	exec(t, bind(t, pool, ""), "select $1::int", 1)
	pooled, err := pool.Pooled(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, pooled, true)
}

func TestDescribeExecIsRefusedBehindAPooler(t *testing.T) {
	t.Parallel()
	b, direct := bouncer(t, "2")
	for name, cfg := range map[string]pgdbm.Config{
		"found":      {},
		"configured": {Pooler: pgdbm.PoolerTransaction},
	} {
		cfg.ConnString = b.ConnString() + " default_query_exec_mode=describe_exec"
		_, err := pgdbm.Open(t.Context(), cfg)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		testkit.ErrorContains(t, err, "default_query_exec_mode=describe_exec does not work behind a transaction pooler",
			"another client has prepared something else", "use exec")
	}
	exec(t, bind(t, open(t, pgdbm.Config{ConnString: direct + "&default_query_exec_mode=describe_exec"}), ""), "select $1::int", 1)
}

// What a pooler refuses for good is not waited for, and says what to do, as it is
// with a server.
func TestPoolerRefuses(t *testing.T) {
	t.Parallel()
	b, _ := bouncer(t, "2")
	for name, c := range map[string]struct {
		cfg   pgdbm.Config
		class error
		want  string
	}{
		"a database": {pgdbm.Config{ConnString: b.ConnString() + " dbname=nowhere"}, pgdbm.ErrUndefined, "create the database, or correct its name"},
		"a user":     {pgdbm.Config{ConnString: b.ConnString() + " user=nobody"}, pgdbm.ErrPermission, "check the user and the password"},
		"a password": {pgdbm.Config{ConnString: b.ConnString(), Password: secret}, pgdbm.ErrPermission, "check the user and the password"},
		"settings": {
			pgdbm.Config{ConnString: b.ConnString(), Pooler: pgdbm.PoolerNone},
			nil,
			"a pooler answers, which does not take the settings of a session: Config.Pooler must not be none",
		},
	} {
		_, err := pgdbm.Open(t.Context(), c.cfg)
		testkit.ErrorContains(t, err, "pgdbm: connect (attempt 1 of 6): ", c.want)
		e, _ := errors.AsType[*pgdbm.Error](err)
		if e == nil || e.Class != c.class || strings.Contains(err.Error(), secret) { //nolint:errorlint // the class alone
			t.Errorf("%s: %v", name, err)
		}
		pool, err := pgdbm.New(c.cfg)
		testkit.NoError(t, err)
		err = second(bind(t, pool, "").Exec(t.Context(), "select 1"))
		testkit.ErrorContains(t, err, c.want)
		testkit.NoError(t, pool.Close(t.Context()))
	}
}

func TestOnConnectIsRefusedBehindAPooler(t *testing.T) {
	t.Parallel()
	b, _ := bouncer(t, "2")
	_, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: b.ConnString(), OnConnect: []string{"select 1"}})
	testkit.ErrorContains(t, err, "a transaction pooler was found, through which OnConnect does not work")
}

// Whatever the mode, JSON and times and arrays go through as they do without a
// pooler.
func TestValuesThroughAPooler(t *testing.T) {
	t.Parallel()
	b, _ := bouncer(t, "2")
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, mode := range []string{"", "cache_statement", "cache_describe", "exec", "simple_protocol"} {
		more := ""
		if mode != "" {
			more = " default_query_exec_mode=" + mode
		}
		m := bind(t, open(t, pgdbm.Config{ConnString: b.ConnString() + more, MaxConns: 4}), "app"+mode)
		exec(t, m, "create table {{tables.t}} (id int, doc jsonb, tags text[], at timestamptz)")
		doc := map[string]any{"a": 1.5, "b": []any{"x"}}
		exec(t, m, "insert into {{tables.t}} values ($1, $2, $3, $4)", 1, doc, []string{"p", "q"}, at)
		testkit.NoError(t, m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			_, err := tx.Exec(t.Context(), "insert into {{tables.t}} values ($1, $2, $3, $4)", 2, doc, []string{"p", "q"}, at)
			return err
		}))
		type row struct {
			ID   int
			Doc  map[string]any
			Tags []string
			At   time.Time
		}
		got, err := pgdbm.FetchAll[row](t.Context(), m, "select * from {{tables.t}} order by id")
		testkit.NoError(t, err)
		for i := range got {
			got[i].At = got[i].At.UTC()
		}
		testkit.Equal(t, got, []row{{1, doc, []string{"p", "q"}, at}, {2, doc, []string{"p", "q"}, at}})
	}
}

func TestTimeoutsBehindAPooler(t *testing.T) {
	t.Parallel()
	b, _ := bouncer(t, "4")
	patient := bind(t, open(t, pgdbm.Config{ConnString: b.ConnString()}), "")
	m := bind(t, open(t, pgdbm.Config{ConnString: b.ConnString(), StatementTimeout: 200 * time.Millisecond, LockTimeout: 20 * time.Millisecond}), "")
	ctx := t.Context()
	slow := &pgx.Batch{}
	slow.Queue("select pg_sleep(60)")
	for name, fn := range map[string]func() error{
		"Exec":     func() error { return second(m.Exec(ctx, "select pg_sleep(60)")) },
		"Query":    func() error { return second(pgdbm.FetchAll[any](ctx, m, "select pg_sleep($1)", 60)) },
		"QueryRow": func() error { return m.QueryRow(ctx, "select pg_sleep($1)", 60).Scan(nil) },
		"Batch":    func() error { return m.SendBatch(ctx, slow).Close() },
		"InTx": func() error {
			return m.InTx(ctx, func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "select pg_sleep(60)")) })
		},
	} {
		if err := fn(); !errors.Is(err, pgdbm.ErrTimeout) {
			t.Errorf("%s: %v", name, err)
		}
	}
	exec(t, patient, "create table t ()")
	blocked := patient.InTx(ctx, func(tx *pgdbm.Tx) error {
		exec(t, tx, "lock table t")
		return m.InTx(ctx, func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "lock table t")) })
	})
	testkit.ErrorIs(t, blocked, pgdbm.ErrLocked)
	for range 8 { // nobody else got the settings
		got, err := pgdbm.FetchValue[string](ctx, patient, "select current_setting('statement_timeout')")
		testkit.NoError(t, err)
		testkit.Equal(t, got, "0")
	}
}

func TestPoolerThatIsFullOrAway(t *testing.T) {
	t.Parallel()
	b := testkit.StartPgBouncer(t, testkit.ConnString(t), map[string]string{"max_client_conn": "1"})
	log := &logBuffer{}
	one := open(t, pgdbm.Config{ConnString: b.ConnString(), MaxConns: 1})
	m := bind(t, one, "")
	held, err := m.Acquire(t.Context())
	testkit.NoError(t, err)
	other, err := pgdbm.New(pgdbm.Config{ConnString: b.ConnString(), MaxConns: 1, Pooler: pgdbm.PoolerTransaction, Logger: log.logger()})
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, other.Close(context.WithoutCancel(t.Context()))) }()
	waits := make(chan error)
	go func() { waits <- second(bind(t, other, "").Exec(t.Context(), "select 1")) }()
	testkit.Eventually(t, "the statement does not wait", func() bool {
		return strings.Contains(log.String(), "server unavailable, statements wait for it") && strings.Contains(log.String(), "max_client_conn")
	})
	testkit.NoError(t, held.Conn().Close(t.Context()))
	held.Release()
	testkit.NoError(t, <-waits)
	if !strings.Contains(log.String(), "server available again") {
		t.Errorf("log: %s", log)
	}

	b.Stop()
	wait(t, 5*time.Millisecond) // a connection that was just used is not looked at
	go func() { waits <- second(bind(t, other, "").Exec(t.Context(), "select 1")) }()
	testkit.Eventually(t, "the statement does not wait", func() bool { return strings.Count(log.String(), "statements wait for it") == 2 })
	b.Start(t)
	testkit.NoError(t, <-waits)
}

// What reads and writes many rows works through a pooler as well, from several
// goroutines on fewer connections.
func TestBulkBehindPooler(t *testing.T) {
	t.Parallel()
	b, _ := bouncer(t, "2")
	m := bind(t, open(t, pgdbm.Config{ConnString: b.ConnString(), MaxConns: 4}), "app")
	exec(t, m, "create table {{tables.items}} (id bigint generated always as identity primary key, name text, n int)")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			ctx := t.Context()
			if n, err := pgdbm.CopySeq(ctx, m, "items", nameN, rowsThen(2000, nil)); err != nil || n != 2000 {
				t.Errorf("CopySeq: %d, %v", n, err)
			}
			if n, err := pgdbm.ExecMany(ctx, m, insertN, sets(6000)); err != nil || n != 6000 {
				t.Errorf("ExecMany: %d, %v", n, err)
			}
			id, err := pgdbm.ExecReturningID[int64](ctx, m, insertN, "x", 1)
			if err != nil || id == 0 {
				t.Errorf("ExecReturningID: %d, %v", id, err)
			}
			rows := 0
			for row, err := range pgdbm.Each[item](ctx, m, "select id, name, n from {{tables.items}} where id <= $1", id) {
				if rows++; err != nil || row.N == nil {
					t.Errorf("Each: %+v, %v", row, err)
					return
				}
				if rows == 1000 {
					break
				}
			}
		})
	}
	wg.Wait()
	if n := countItems(t, m); n != 4*8001 {
		t.Errorf("%d rows", n)
	}
}
