package pgdbm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestSavepointsToAnyDepth(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	undo := errors.New("undo")
	var nest func(tx *pgdbm.Tx, depth int) error
	nest = func(tx *pgdbm.Tx, depth int) error {
		if depth == 50 {
			return nil
		}
		return tx.InTx(ctx, func(tx *pgdbm.Tx) error {
			if err := add(ctx, tx, fmt.Sprint(depth)); err != nil {
				return err
			}
			if err := nest(tx, depth+1); err != nil && !errors.Is(err, undo) {
				return err
			}
			if depth == 30 { // all that is deeper goes with it
				return undo
			}
			_, err := tx.Exec(ctx, "select 1")
			return err
		})
	}
	testkit.NoError(t, m.InTx(ctx, func(tx *pgdbm.Tx) error { return nest(tx, 0) }))
	want := []string{}
	for depth := range 30 {
		want = append(want, fmt.Sprint(depth))
	}
	testkit.Equal(t, names(t, m), want)
	whole(t, m)
}

// Savepoints that were undone are gone: a loop of them does not nest.
func TestSavepointsAreReleased(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	exec(t, m, insert, "taken")
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		for i := range 200 {
			err := tx.InTx(ctx, func(tx *pgdbm.Tx) error { return add(ctx, tx, "taken") })
			if !errors.Is(err, pgdbm.ErrConflict) {
				return err
			}
			if err := tx.InTx(ctx, func(tx *pgdbm.Tx) error { return add(ctx, tx, fmt.Sprint(i)) }); err != nil {
				return err
			}
		}
		for i := 1; i <= 400; i += 133 { // those of an undone and of a released one
			err := tx.InTx(ctx, func(tx *pgdbm.Tx) error {
				return second(tx.Exec(ctx, fmt.Sprintf("release savepoint pgdbm_%d", i)))
			})
			testkit.ErrorContains(t, err, "savepoint", "does not exist")
		}
		return nil
	})
	testkit.NoError(t, err)
	testkit.Equal(t, len(names(t, m)), 201)
}

func TestOuterTxDuringAnInner(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	err := m.InTx(ctx, func(outer *pgdbm.Tx) error {
		_ = outer.InTx(ctx, func(inner *pgdbm.Tx) error {
			_, begin := outer.Begin(ctx)
			_, raw := outer.Pgx(ctx)
			_, copied := outer.CopyFrom(ctx, "items", []string{"name"}, pgx.CopyFromRows(nil))
			for what, err := range map[string]error{
				"exec": add(ctx, outer, "a"), "row": outer.QueryRow(ctx, "select 1").Scan(new(int)),
				"begin": begin, "pgx": raw, "copy": copied, "batch": outer.SendBatch(ctx, &pgx.Batch{}).Close(),
				"view": add(ctx, m.In(outer), "a"), "in tx": outer.InTx(ctx, func(*pgdbm.Tx) error { return nil }),
			} {
				if err == nil || !strings.Contains(err.Error(), "pgdbm: a savepoint is open in this transaction: use the Tx of the inner InTx") {
					t.Errorf("%s: %v", what, err)
				}
			}
			return add(ctx, inner, "inner")
		})
		return add(ctx, outer, "outer")
	})
	testkit.NoError(t, err)
	testkit.Equal(t, names(t, m), []string{"inner", "outer"})
}

func TestEndOfATx(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	outer := must(m.Begin(ctx))
	defer func() { testkit.NoError(t, outer.Rollback(ctx)) }()
	for name, begin := range map[string]func() *pgdbm.Tx{
		"transaction": func() *pgdbm.Tx { return must(m.Begin(ctx)) },
		"savepoint":   func() *pgdbm.Tx { return must(outer.Begin(ctx)) },
		"nothing":     func() *pgdbm.Tx { return must(m.BeginWith(ctx, pgdbm.TxOptions{ReadOnly: true})) },
	} {
		use := func(tx *pgdbm.Tx) {
			if name != "nothing" {
				exec(t, tx, "select 1")
			}
		}
		tx := begin()
		use(tx)
		testkit.NoError(t, tx.Commit(ctx))
		testkit.NoError(t, tx.Rollback(ctx)) // deferred
		testkit.NoError(t, tx.Rollback(ctx))
		testkit.ErrorIs(t, tx.Commit(ctx), pgx.ErrTxClosed)
		tx = begin()
		use(tx)
		testkit.NoError(t, tx.Rollback(ctx))
		testkit.NoError(t, tx.Rollback(ctx))
		err := tx.Commit(ctx)
		testkit.ErrorIs(t, err, pgx.ErrTxClosed)
		testkit.ErrorContains(t, err, "pgdbm: a Tx must not be used after its InTx, Commit or Rollback")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestCommitOverAnOpenSavepoint(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	tx := must(m.Begin(ctx))
	exec(t, tx, insert, "a")
	inner := must(tx.Begin(ctx))
	exec(t, inner, insert, "b")
	testkit.ErrorContains(t, tx.Commit(ctx), "a savepoint of Begin is still open, so the transaction was rolled back")
	testkit.ErrorIs(t, inner.Commit(ctx), pgx.ErrTxClosed)
	testkit.ErrorIs(t, add(ctx, inner, "c"), pgx.ErrTxClosed)
	testkit.NoError(t, inner.Rollback(ctx))

	err := m.InTx(ctx, func(tx *pgdbm.Tx) error { return second(tx.Begin(ctx)) })
	testkit.ErrorContains(t, err, "a savepoint of Begin is still open")

	tx = must(m.Begin(ctx)) // but a rollback takes it along
	inner = must(must(tx.Begin(ctx)).Begin(ctx))
	exec(t, inner, insert, "d")
	testkit.NoError(t, tx.Rollback(ctx))
	testkit.ErrorIs(t, add(ctx, inner, "e"), pgx.ErrTxClosed)
	testkit.Equal(t, names(t, m), []string{})
	whole(t, m)
}

func TestInTxEndsItsTransactionItself(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		exec(t, tx, insert, "a")
		testkit.ErrorContains(t, tx.Commit(ctx), "pgdbm: InTx commits its transaction itself, when its function returns nil")
		return tx.InTx(ctx, func(tx *pgdbm.Tx) error {
			testkit.ErrorContains(t, tx.Commit(ctx), "InTx commits its transaction itself")
			return add(ctx, tx, "b")
		})
	})
	testkit.NoError(t, err)
	testkit.Equal(t, names(t, m), []string{"a", "b"})
	err = m.InTx(ctx, func(tx *pgdbm.Tx) error {
		exec(t, tx, insert, "c")
		return tx.Rollback(ctx) // which it may, but then it has not done what the caller asked for
	})
	testkit.ErrorIs(t, err, pgx.ErrTxClosed)
	testkit.Equal(t, names(t, m), []string{"a", "b"})
	whole(t, m)
}

func TestTransactionControlInSQL(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	for _, sql := range []string{"rollback", "commit"} {
		err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
			exec(t, tx, "select 1")
			exec(t, tx, sql)
			err := add(ctx, tx, "alone")
			testkit.ErrorContains(t, err, "pgdbm: the transaction has ended under this Tx: COMMIT and ROLLBACK must not be run as SQL")
			return nil
		})
		testkit.ErrorContains(t, err, "the transaction has ended under this Tx")
	}
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error { return must(tx.Pgx(ctx)).Rollback(ctx) })
	testkit.ErrorContains(t, err, "the transaction has ended under this Tx")
	testkit.Equal(t, names(t, m), []string{})
	whole(t, m)
}

// A transaction that begins with its first statement behaves as one that began
// beforehand, whatever that statement does.
func TestLazyTransactionIsLikeAnEagerOne(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dsn := testkit.ConnString(t)
			m := bind(t, open(t, pgdbm.Config{ConnString: withParam(dsn, "default_query_exec_mode", mode)}), "app")
			exec(t, m, `create table {{tables.items}} (id bigint generated always as identity primary key, name text unique, n int check (n >= 0))`)
			exec(t, m, insert, "taken")
			ctx := t.Context()
			canceled, cancel := context.WithCancel(ctx)
			cancel()
			for name, first := range map[string]func(*pgdbm.Tx) error{
				"works": func(tx *pgdbm.Tx) error { return add(ctx, tx, "a") },
				"fails": func(tx *pgdbm.Tx) error { return add(ctx, tx, "taken") },
				"fails late": func(tx *pgdbm.Tx) error {
					return second(pgdbm.FetchAll[int](ctx, tx, "select 1/(2-g) from generate_series(1, 3) g"))
				},
				"cannot be prepared":    func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "select nope, $1::int", 1)) },
				"cannot be encoded":     func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "select $1::int", struct{ S string }{"x"})) },
				"has too few arguments": func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "select $1::int, $2::int", 1)) },
				"cannot be scanned": func(tx *pgdbm.Tx) error {
					return tx.QueryRow(ctx, "select 'x'::text, $1::int", 1).Scan(new(int), new(int))
				},
				"finds no row":            func(tx *pgdbm.Tx) error { return tx.QueryRow(ctx, "select 1 where false").Scan(new(int)) },
				"is cancelled before":     func(tx *pgdbm.Tx) error { return second(tx.Exec(canceled, "select 1")) },
				"is no statement":         func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "")) },
				"has a template error":    func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "select {{nope}}")) },
				"is a batch":              func(tx *pgdbm.Tx) error { return tx.SendBatch(ctx, queue(insert, "a", "b")).Close() },
				"is a batch that fails":   func(tx *pgdbm.Tx) error { return tx.SendBatch(ctx, queue(insert, "a", "taken")).Close() },
				"is an unencodable batch": func(tx *pgdbm.Tx) error { return tx.SendBatch(ctx, queue("select $1::int", "1", struct{}{})).Close() },
				"is an empty batch":       func(tx *pgdbm.Tx) error { return tx.SendBatch(ctx, &pgx.Batch{}).Close() },
				"is a savepoint":          func(tx *pgdbm.Tx) error { return tx.InTx(ctx, func(tx *pgdbm.Tx) error { return add(ctx, tx, "a") }) },
				"is a savepoint that fails": func(tx *pgdbm.Tx) error {
					return tx.InTx(ctx, func(tx *pgdbm.Tx) error { return add(ctx, tx, "taken") })
				},
				"is a COPY": func(tx *pgdbm.Tx) error {
					return second(tx.CopyFrom(ctx, "items", []string{"name"}, pgx.CopyFromRows([][]any{{"a"}})))
				},
				"is a COPY that fails": func(tx *pgdbm.Tx) error {
					return second(tx.CopyFrom(ctx, "items", []string{"name"}, pgx.CopyFromRows([][]any{{"taken"}})))
				},
				"is left open": func(tx *pgdbm.Tx) error { return second(tx.Query(ctx, "select generate_series(1, 1000)")) },
			} {
				outcome := func(eager bool) string {
					var steps []error
					err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
						if eager {
							if _, err := tx.Pgx(ctx); err != nil {
								return err
							}
						}
						steps = append(steps, first(tx), add(ctx, tx, "then"))
						return nil
					})
					got := fmt.Sprintf("first %s\nsecond %s\ncommit %s\nstored %v", outcomeOf(steps[0]), outcomeOf(steps[1]), outcomeOf(err), names(t, m))
					exec(t, m, "delete from {{tables.items}} where name <> 'taken'")
					return got
				}
				if lazy, eager := outcome(false), outcome(true); lazy != eager {
					t.Errorf("%s:\nlazy\n%s\neager\n%s", name, lazy, eager)
				}
			}
			whole(t, m)
		})
	}
}

// outcomeOf is what a program can tell of an error.
func outcomeOf(err error) string {
	e, _ := errors.AsType[*pgdbm.Error](err)
	if e == nil {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%v, commit was rollback: %t, %v", e.Class, errors.Is(err, pgx.ErrTxCommitRollback), err)
}

// queue returns a batch of one statement for each argument.
func queue(sql string, args ...any) *pgx.Batch {
	b := &pgx.Batch{}
	for _, arg := range args {
		b.Queue(sql, arg)
	}
	return b
}

// withParam adds a parameter to a connection string.
func withParam(dsn, name, value string) string {
	if !strings.Contains(dsn, "://") {
		return dsn + " " + name + "=" + value
	}
	sep := "?"
	if strings.Contains(dsn, "?") {
		sep = "&"
	}
	return dsn + sep + name + "=" + value
}
