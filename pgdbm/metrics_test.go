package pgdbm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// counted returns what was counted for a module.
func counted(t testing.TB, pool *pgdbm.Pool, module string) pgdbm.ModuleMetrics {
	t.Helper()
	for _, m := range pool.Metrics().Modules {
		if m.Module == module {
			return m
		}
	}
	t.Fatalf("nothing was counted for %s: %v", module, pool.Metrics().Modules)
	return pgdbm.ModuleMetrics{}
}

// bindModule returns the manager of a module whose schema exists.
func bindModule(t testing.TB, pool *pgdbm.Pool, b pgdbm.Binding) *pgdbm.Manager {
	t.Helper()
	bind(t, pool, b.Schema)
	m, err := pool.Bind(b)
	testkit.NoError(t, err)
	return m
}

func TestEveryModuleIsCountedByItself(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{})
	orders := bindModule(t, pool, pgdbm.Binding{Module: "orders", Schema: "o"})
	stock := bindModule(t, pool, pgdbm.Binding{Module: "stock", Schema: "s"})
	exec(t, orders, "create table {{tables.items}} (n int)")
	exec(t, stock, "create table {{tables.items}} (n int)")
	before, ctx := counted(t, pool, "orders"), t.Context()

	const goroutines, rounds = 100, 10
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range rounds {
				err := orders.InTx(ctx, func(tx *pgdbm.Tx) error {
					return errors.Join(second(stock.In(tx).Exec(ctx, "insert into {{tables.items}} values (1), (2)")),
						second(tx.Exec(ctx, "insert into {{tables.items}} values (1)")))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()

	const n = goroutines * rounds
	o, s := counted(t, pool, "orders"), counted(t, pool, "stock")
	testkit.Equal(t, o.Committed-before.Committed, int64(n))
	testkit.Equal(t, o.Statements-before.Statements, int64(2*n)) // its own, and COMMIT
	testkit.Equal(t, o.Rows-before.Rows, int64(n))
	testkit.Equal(t, s.Statements-1, int64(2*n)) // BEGIN travelled with its own
	testkit.Equal(t, s.Rows, int64(2*n))
	testkit.Equal(t, s.Committed, int64(0))
	testkit.Equal(t, s.Duration.Count()-1, int64(n))
	for _, m := range pool.Metrics().Modules {
		testkit.Equal(t, m.InFlight, int64(0))
	}
}

func TestCallsOfEveryKindAreCounted(t *testing.T) {
	t.Parallel()
	m := setup(t)
	pool, ctx := m.Pool(), t.Context()
	last := counted(t, pool, "app")
	step := func(what string, statements, rows, calls int64) {
		t.Helper()
		now := counted(t, pool, "app")
		got := [3]int64{now.Statements - last.Statements, now.Rows - last.Rows, now.Duration.Count() - last.Duration.Count()}
		if want := [3]int64{statements, rows, calls}; got != want {
			t.Errorf("%s: statements, rows, calls are %v, want %v", what, got, want)
		}
		last = now
	}

	exec(t, m, "insert into {{tables.items}} (name) values ('a'), ('b')")
	step("Exec", 1, 2, 1)
	rows, err := m.Query(ctx, "select name from {{tables.items}}")
	testkit.NoError(t, err)
	testkit.Equal(t, counted(t, pool, "app").InFlight, int64(1))
	step("Query before its rows are read", 0, 0, 0)
	rows.Close()
	testkit.Equal(t, counted(t, pool, "app").InFlight, int64(0))
	step("Query", 1, 2, 1)
	testkit.NoError(t, m.QueryRow(ctx, "select name from {{tables.items}} limit 1").Scan(new(string)))
	step("QueryRow", 1, 1, 1)
	_, err = pgdbm.ExecMany(ctx, m, "insert into {{tables.items}} (n) values ($1)", [][]any{{1}, {2}, {3}})
	testkit.NoError(t, err)
	step("batch", 3, 3, 1)
	_, err = m.CopyFrom(ctx, "items", []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2}}))
	testkit.NoError(t, err)
	step("COPY", 1, 2, 1)
	conn, err := m.Acquire(ctx)
	testkit.NoError(t, err)
	_, err = conn.Exec(ctx, "select 1")
	conn.Release()
	testkit.NoError(t, err)
	step("an acquired connection", 1, 1, 1)
	tx, err := pool.Pgx().Begin(ctx)
	testkit.NoError(t, err)
	exec(t, m.Adopt(tx), "select 1")
	testkit.NoError(t, tx.Rollback(ctx))
	step("an adopted transaction", 1, 1, 1)

	raw := counted(t, pool, "(none)")
	_, err = pool.Pgx().Exec(ctx, "select 1")
	testkit.NoError(t, err)
	step("past the manager", 0, 0, 0)
	testkit.Equal(t, counted(t, pool, "(none)").Statements, raw.Statements+1)
}

func TestErrorsAreCountedByClass(t *testing.T) {
	t.Parallel()
	m := setup(t)
	pool, ctx := m.Pool(), t.Context()
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	exec(t, m, "insert into {{tables.items}} (name) values ('a')")
	for _, fail := range []struct {
		class string
		err   error
	}{
		{"conflict", second(m.Exec(ctx, "insert into {{tables.items}} (name) values ('a')"))},
		{"invalid", second(m.Exec(ctx, "insert into {{tables.items}} (n) values (-1)"))},
		{"undefined", second(m.Exec(ctx, "select * from {{tables.missing}}"))},
		{"other", second(m.Exec(ctx, "selectt"))},
		{"canceled", second(m.Exec(canceled, "select 1"))}, // got no connection
		{"conflict", batchOf("insert into {{tables.items}} (name) values ('b')", "insert into {{tables.items}} (name) values ('a')")(ctx, m)},
	} {
		if fail.err == nil {
			t.Errorf("%s: no error", fail.class)
		}
	}
	got := counted(t, pool, "app").Errors
	want := map[string]int64{"conflict": 2, "invalid": 1, "undefined": 1, "other": 1, "canceled": 1}
	for class, n := range got {
		if n != want[class] {
			t.Errorf("%s: %d, want %d", class, n, want[class])
		}
	}
	if len(got) != 13 {
		t.Errorf("classes: %v", got)
	}
	if err := m.QueryRow(ctx, "select 1 where false").Scan(new(int)); !errors.Is(err, pgdbm.ErrNotFound) {
		t.Error(err)
	}
	testkit.Equal(t, counted(t, pool, "app").Errors, got) // nothing went wrong there
}

func batchOf(sqls ...string) func(context.Context, pgdbm.DB) error {
	return func(ctx context.Context, db pgdbm.DB) error {
		b := &pgx.Batch{}
		for _, sql := range sqls {
			b.Queue(sql)
		}
		return db.SendBatch(ctx, b).Close()
	}
}

func TestTransactionsAreCounted(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	boom := errors.New("boom")
	insert := func(tx *pgdbm.Tx) error {
		return second(tx.Exec(ctx, "insert into {{tables.items}} (name) values ('a')"))
	}
	for _, run := range []func() error{
		func() error { return m.InTx(ctx, insert) },                               // committed
		func() error { return m.InTx(ctx, insert) },                               // aborted by the conflict, rolled back
		func() error { return m.InTx(ctx, func(*pgdbm.Tx) error { return nil }) }, // nothing was sent
		func() error { // a savepoint rolled back in a transaction committed
			return m.InTx(ctx, func(tx *pgdbm.Tx) error {
				if err := tx.InTx(ctx, insert); !errors.Is(err, pgdbm.ErrConflict) {
					t.Error(err)
				}
				return second(tx.Exec(ctx, "select 1"))
			})
		},
		func() error { // the connection is closed with the transaction
			cut, cancel := context.WithCancel(ctx)
			return m.InTx(ctx, func(tx *pgdbm.Tx) error {
				exec(t, tx, "select 1")
				time.AfterFunc(time.Millisecond, cancel)
				return second(tx.Exec(cut, "select pg_sleep(60)"))
			})
		},
		func() error { // serialization failures
			return m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 3}, func(tx *pgdbm.Tx) error {
				return second(tx.Exec(ctx, "do $$ begin raise serialization_failure; end $$"))
			})
		},
		func() error { return m.InTx(ctx, func(tx *pgdbm.Tx) error { exec(t, tx, "select 1"); return boom }) },
	} {
		_ = run()
	}
	got := counted(t, m.Pool(), "app")
	testkit.Equal(t, [3]int64{got.Committed, got.RolledBack, got.Retried}, [3]int64{2, 6, 2})
}

func TestHistoryIsBoundedAndHoldsNoArguments(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{History: 5}), "app")
	ctx := t.Context()
	exec(t, m, "create table {{tables.t}} (s text unique)")
	exec(t, m, "insert into {{tables.t}} values ($1)", secret)
	if err := second(m.Exec(ctx, "insert into {{tables.t}} values ($1)", secret)); !errors.Is(err, pgdbm.ErrConflict) {
		t.Fatal(err)
	}
	for i := range 7 {
		exec(t, m, fmt.Sprintf("select %d, $1::text", i), secret)
	}
	exec(t, m, "select '"+strings.Repeat("é", 10_000)+"'")
	testkit.NoError(t, batchOf("select 1", "select 'last'")(ctx, m))

	got := m.Pool().Metrics()
	if s := fmt.Sprintf("%+v", got); strings.Contains(s, secret) {
		t.Errorf("an argument is in %s", s)
	}
	var texts []string
	for _, s := range got.Recent {
		texts = append(texts, s.SQL)
		if s.At.IsZero() || s.Duration <= 0 || s.Module != "app" || s.Schema != "app" || s.Error != "" {
			t.Errorf("%+v", s)
		}
	}
	long := texts[1]
	if len(long) > 4<<10 || !strings.HasSuffix(long, "é…") {
		t.Errorf("%d bytes, %q", len(long), long[len(long)-10:])
	}
	texts[1] = "long"
	testkit.Equal(t, texts, []string{"select 'last'", "long", "select 6, $1::text", "select 5, $1::text", "select 4, $1::text"})
	testkit.Equal(t, got.Recent[0].Statements, 2)

	if len(got.Notable) != 1 {
		t.Fatalf("%+v", got.Notable)
	}
	failed := got.Notable[0]
	testkit.Equal(t, []string{failed.SQL, failed.Error, failed.SQLState},
		[]string{`insert into "app"."t" values ($1)`, "conflict", "23505"})
}

func TestSlowStatementsAreNotable(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{SlowQuery: time.Millisecond}), "")
	exec(t, m, "select pg_sleep(0.01)")
	got := m.Pool().Metrics().Notable
	if len(got) == 0 || got[0].SQL != "select pg_sleep(0.01)" || got[0].Module != "(none)" {
		t.Errorf("%+v", got)
	}
}

func TestNamesThatAreCountedApartAreBounded(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{})
	for i := range 300 {
		m, err := pool.Manager(fmt.Sprintf("tenant_%d", i))
		testkit.NoError(t, err)
		exec(t, m, "select 1")
	}
	for i := range 300 { // of a module, they are one
		m, err := pool.Bind(pgdbm.Binding{Module: "tenant_0", Schema: fmt.Sprintf("tenant_%d", i)})
		testkit.NoError(t, err)
		exec(t, m, "select 1")
	}
	modules := pool.Metrics().Modules
	testkit.Equal(t, len(modules), 257)
	testkit.Equal(t, modules[0].Module, "(none)")
	testkit.Equal(t, modules[1].Module, "(other)")
	testkit.Equal(t, modules[1].Statements, int64(300-255))
	testkit.Equal(t, counted(t, pool, "tenant_0").Statements, int64(301))
}

func TestNothingIsCountedWhereThatIsTurnedOff(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{NoMetrics: true, SlowQuery: time.Nanosecond, Logger: log.logger()}), "")
	exec(t, m, "select 1")
	if got := m.Pool().Metrics(); got.Modules != nil || got.Recent != nil || got.Pool.MaxConns() == 0 {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(log.String(), "slow query") {
		t.Error("slow statements are still logged")
	}
	if pgdbm.NewTracer(pgdbm.Config{NoMetrics: true}) != nil {
		t.Error("a tracer with nothing to do")
	}
}

func TestBorrowedPoolIsCountedThroughItsTracer(t *testing.T) {
	t.Parallel()
	trips := &roundTrips{}
	tracer := pgdbm.NewTracer(pgdbm.Config{History: 3})
	for name, all := range map[string]pgx.QueryTracer{
		"alone":      pgdbm.NewTracer(pgdbm.Config{}),
		"beside one": multitracer.New(trips, tracer),
		"with one":   pgdbm.NewTracer(pgdbm.Config{Tracers: []pgx.QueryTracer{trips}}),
	} {
		pc, err := pgxpool.ParseConfig(testkit.ConnString(t))
		testkit.NoError(t, err)
		pc.ConnConfig.Tracer = all
		raw, err := pgxpool.NewWithConfig(t.Context(), pc)
		testkit.NoError(t, err)
		t.Cleanup(raw.Close)
		pool, err := pgdbm.Borrow(raw, pgdbm.Config{})
		testkit.NoError(t, err)
		again, err := pgdbm.Borrow(raw, pgdbm.Config{})
		testkit.NoError(t, err)
		exec(t, bind(t, pool, "app"), "select 1")
		exec(t, bind(t, again, "app"), "select 1")
		if n := counted(t, pool, "app").Statements; n < 4 {
			t.Errorf("%s: %d statements", name, n)
		}
	}
	if len(trips.list()) == 0 {
		t.Error("the owner's tracer was not called")
	}
}

func TestBorrowedPoolWithoutTracerCountsNothing(t *testing.T) {
	t.Parallel()
	raw, err := pgxpool.New(t.Context(), testkit.ConnString(t))
	testkit.NoError(t, err)
	defer raw.Close()
	pool, err := pgdbm.Borrow(raw, pgdbm.Config{})
	testkit.NoError(t, err)
	m := bind(t, pool, "app")
	exec(t, m, "select 1")
	testkit.NoError(t, m.InTx(t.Context(), func(tx *pgdbm.Tx) error { return second(tx.Exec(t.Context(), "select 1")) }))
	if got := pool.Metrics(); got.Modules != nil {
		t.Errorf("%+v", got)
	}
}

// A statement that fails because the connection is busy must not disturb the
// one that keeps it busy, nor what a batch reports twice.
func TestBusyConnectionIsCountedRight(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	before := counted(t, m.Pool(), "app")
	conn, err := m.Acquire(ctx)
	testkit.NoError(t, err)
	rows, err := conn.Query(ctx, "select 1 union all select 2")
	testkit.NoError(t, err)
	if err := second(conn.Exec(ctx, "select 3")); err == nil {
		t.Error("the connection is not busy")
	}
	b := &pgx.Batch{}
	b.Queue("select 4")
	if err := conn.SendBatch(ctx, b).Close(); err == nil {
		t.Error("the connection is not busy")
	}
	rows.Close()
	conn.Release()
	got := counted(t, m.Pool(), "app")
	testkit.Equal(t, []int64{got.Duration.Count() - before.Duration.Count(), got.Rows - before.Rows, got.InFlight}, []int64{3, 2, 0})
	testkit.Equal(t, m.Pool().Metrics().Recent[0].SQL, "select 1 union all select 2")
}

type panicking struct{}

func (panicking) RewriteQuery(context.Context, *pgx.Conn, string, []any) (string, []any, error) {
	panic("rewriter")
}

func TestPanicInsideAStatementLeavesNothingInFlight(t *testing.T) {
	t.Parallel()
	m := setup(t)
	func() {
		defer func() { _ = recover() }()
		_, _ = m.Exec(t.Context(), "select 1", panicking{})
	}()
	testkit.Equal(t, counted(t, m.Pool(), "app").InFlight, int64(0))
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	h := pgdbm.Histogram{
		Bounds: []time.Duration{10 * time.Millisecond, 20 * time.Millisecond},
		Counts: []int64{10, 10, 0},
		Sum:    250 * time.Millisecond,
	}
	for q, want := range map[float64]time.Duration{0.25: 5, 0.5: 10, 0.75: 15, 1: 20, -1: 0, 2: 0} {
		testkit.Equal(t, h.Quantile(q), want*time.Millisecond)
	}
	sum := h.Add(pgdbm.Histogram{Bounds: h.Bounds, Counts: []int64{0, 0, 80}, Sum: time.Minute})
	testkit.Equal(t, sum.Counts, []int64{10, 10, 80})
	testkit.Equal(t, sum.Sum, time.Minute+250*time.Millisecond)
	testkit.Equal(t, sum.Quantile(0.99), 20*time.Millisecond) // the last bound
	testkit.Equal(t, pgdbm.Histogram{}.Quantile(0.5), 0)
	testkit.Equal(t, pgdbm.Histogram{}.Add(h), h)
	testkit.Equal(t, h.Add(pgdbm.Histogram{}), h)
}
