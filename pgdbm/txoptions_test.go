package pgdbm_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestTxOptionsReachTheServer(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	opts := pgdbm.TxOptions{Isolation: pgx.Serializable, ReadOnly: true, Deferrable: true}
	err := m.InTxWith(ctx, opts, func(tx *pgdbm.Tx) error {
		got, err := pgdbm.FetchValue[string](ctx, tx, `select concat_ws(' ', current_setting('transaction_isolation'),
			current_setting('transaction_read_only'), current_setting('transaction_deferrable'))`)
		if got != "serializable on on" {
			t.Errorf("got %q", got)
		}
		if err != nil {
			return err
		}
		return add(ctx, tx, "a")
	})
	if !errors.Is(err, pgdbm.ErrReadOnly) {
		t.Errorf("got %v", err)
	}
	whole(t, m)
}

func TestWrongTxOptions(t *testing.T) {
	t.Parallel()
	m := setup(t)
	unbound := bind(t, m.Pool(), "")
	opts := pgdbm.TxOptions{Isolation: "serializable; drop table app.items", Deferrable: true, SearchPath: true, Attempts: -1}
	_, begin := unbound.BeginWith(t.Context(), opts)
	for _, err := range []error{unbound.InTxWith(t.Context(), opts, nil), begin} {
		testkit.ErrorContains(t, err,
			`pgdbm: TxOptions.Isolation "serializable; drop table app.items": use pgx.Serializable, pgx.RepeatableRead or pgx.ReadCommitted`,
			"pgdbm: TxOptions.Deferrable needs Isolation serializable and ReadOnly",
			"pgdbm: TxOptions.SearchPath needs a manager that is bound to a schema",
			"pgdbm: TxOptions.Attempts must not be negative")
	}
	names(t, m)
}

// A store that holds a DB asks for what it needs, in a transaction of its own or
// in one that is given to it.
func TestOptionsInATransaction(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	store := func(db pgdbm.DB, opts pgdbm.TxOptions) error {
		return db.InTxWith(ctx, opts, func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "select 1")) })
	}
	all := pgdbm.TxOptions{Isolation: pgx.Serializable, ReadOnly: true, Deferrable: true, Attempts: 3}
	testkit.NoError(t, store(m, all))
	testkit.NoError(t, m.InTxWith(ctx, all, func(tx *pgdbm.Tx) error {
		err := errors.Join(store(m.In(tx), all), store(tx, all), store(tx, pgdbm.TxOptions{}), store(tx, pgdbm.TxOptions{Isolation: pgx.Serializable}))
		testkit.ErrorContains(t, store(tx, pgdbm.TxOptions{Isolation: pgx.RepeatableRead}),
			"pgdbm: InTxWith: a savepoint cannot make its transaction repeatable read; ask for it where the transaction begins")
		return err
	}))
	testkit.NoError(t, m.InTx(ctx, func(tx *pgdbm.Tx) error {
		testkit.ErrorContains(t, store(m.In(tx), all), "cannot make its transaction serializable", "cannot make its transaction read-only", "cannot make its transaction deferrable")
		testkit.ErrorContains(t, store(tx, pgdbm.TxOptions{Attempts: -1}), "must not be negative")
		return store(tx, pgdbm.TxOptions{Attempts: 3})
	}))
	calls := 0
	testkit.ErrorIs(t, m.InTx(ctx, func(tx *pgdbm.Tx) error {
		return tx.InTxWith(ctx, pgdbm.TxOptions{Attempts: 3}, func(*pgdbm.Tx) error { calls++; return pgdbm.ErrRetryable })
	}), pgdbm.ErrRetryable)
	testkit.Equal(t, calls, 1)
	whole(t, m)
}

func TestReadOnlyTransactionSaysWhy(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	err := m.InTxWith(ctx, pgdbm.TxOptions{ReadOnly: true}, func(tx *pgdbm.Tx) error { return add(ctx, tx, "a") })
	testkit.ErrorIs(t, err, pgdbm.ErrReadOnly)
	testkit.ErrorContains(t, err, "the transaction was begun with TxOptions.ReadOnly")
}

func TestSearchPathForUnqualifiedNames(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	err := m.InTxWith(ctx, pgdbm.TxOptions{SearchPath: true}, func(tx *pgdbm.Tx) error {
		_, err := tx.Exec(ctx, "insert into items (name) values ('a')")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Exec(ctx, "select * from items")
	if !errors.Is(err, pgdbm.ErrUndefined) {
		t.Errorf("the setting outlived its transaction: %v", err)
	}
	testkit.ErrorContains(t, err, "the name is not qualified: write {{tables.items}} for the table of schema app")
}

// One connection serves the schemas in turn, also where a statement was prepared
// for another one.
func TestSearchPathsTakeTurns(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			pool := open(t, pgdbm.Config{ConnString: withParam(testkit.ConnString(t), "default_query_exec_mode", mode), MaxConns: 1})
			takeTurns(t, bind(t, pool, "one"), bind(t, pool, "two"))
		})
	}
}

// takeTurns runs the same unqualified statements in two schemas, one after the
// other, nested in each other, and after errors.
func takeTurns(t *testing.T, one, two *pgdbm.Manager) {
	t.Helper()
	ctx := t.Context()
	path := pgdbm.TxOptions{SearchPath: true}
	add := func(name string) func(*pgdbm.Tx) error {
		return func(tx *pgdbm.Tx) error {
			return second(tx.Exec(ctx, "insert into items (name) values ($1)", tx.Schema()+" "+name))
		}
	}
	for _, m := range []*pgdbm.Manager{one, two} {
		exec(t, m, "create table {{tables.items}} (id int generated always as identity, name text)")
	}
	for range 3 {
		for _, m := range []*pgdbm.Manager{one, two} {
			testkit.NoError(t, m.InTxWith(ctx, path, add("alone")))
		}
	}
	boom := errors.New("boom")
	testkit.NoError(t, one.InTxWith(ctx, path, func(tx *pgdbm.Tx) error {
		err := two.In(tx).InTxWith(ctx, path, func(inner *pgdbm.Tx) error {
			return errors.Join(add("inner")(inner), one.In(inner).InTxWith(ctx, path, add("innermost")))
		})
		undone := two.In(tx).InTxWith(ctx, path, func(inner *pgdbm.Tx) error {
			return errors.Join(add("undone")(inner), boom)
		})
		testkit.ErrorIs(t, undone, boom)
		return errors.Join(err, add("outer")(tx))
	}))
	testkit.NoError(t, one.InTx(ctx, func(tx *pgdbm.Tx) error { // nor does it outlive its savepoint elsewhere
		before, err := pgdbm.FetchValue[string](ctx, tx, "select current_setting('search_path')")
		err = errors.Join(err, tx.InTxWith(ctx, path, add("in a savepoint")))
		after, more := pgdbm.FetchValue[string](ctx, tx, "select current_setting('search_path')")
		testkit.Equal(t, after, before)
		return errors.Join(err, more)
	}))
	testkit.Equal(t, names(t, one), []string{"one alone", "one alone", "one alone", "one innermost", "one outer", "one in a savepoint"})
	testkit.Equal(t, names(t, two), []string{"two alone", "two alone", "two alone", "two inner"})
	whole(t, one)
}

func TestSearchPathTravelsWithBegin(t *testing.T) {
	t.Parallel()
	trips := &roundTrips{}
	m := bind(t, open(t, pgdbm.Config{Tracers: []pgx.QueryTracer{trips}}), "app")
	ctx := t.Context()
	run := func() error {
		return m.InTxWith(ctx, pgdbm.TxOptions{SearchPath: true}, func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "select 1")) })
	}
	testkit.NoError(t, run())
	trips.reset()
	testkit.NoError(t, run())
	testkit.Equal(t, trips.list(), []string{"batch", "select 1", "commit"})
}

func TestAttemptsRerunSerializationFailures(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	exec(t, m, "insert into {{tables.items}} (name, n) values ('counter', 0)")
	opts := pgdbm.TxOptions{Isolation: pgx.Serializable, Attempts: 50}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				err := m.InTxWith(ctx, opts, func(tx *pgdbm.Tx) error {
					n, err := pgdbm.FetchValue[int](ctx, tx, "select n from {{tables.items}} where name = 'counter'")
					if err != nil {
						return err
					}
					_, err = tx.Exec(ctx, "update {{tables.items}} set n = $1 where name = 'counter'", n+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	n, err := pgdbm.FetchValue[int](ctx, m, "select n from {{tables.items}} where name = 'counter'")
	if err != nil || n != 20 {
		t.Errorf("counter %d, %v; want 20", n, err)
	}
	whole(t, m)
}

func TestWithoutAttemptsASerializationFailureIsReturned(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	exec(t, m, "insert into {{tables.items}} (name, n) values ('counter', 0)")
	calls := 0
	err := m.InTxWith(ctx, pgdbm.TxOptions{Isolation: pgx.RepeatableRead}, func(tx *pgdbm.Tx) error {
		calls++
		if _, err := tx.Exec(ctx, "select n from {{tables.items}}"); err != nil {
			return err
		}
		exec(t, m, "update {{tables.items}} set n = n + 1")
		_, err := tx.Exec(ctx, "update {{tables.items}} set n = n + 1")
		return err
	})
	if !errors.Is(err, pgdbm.ErrRetryable) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	whole(t, m)
}
