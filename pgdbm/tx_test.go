package pgdbm_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

const insert = "insert into {{tables.items}} (name) values ($1)"

func add(ctx context.Context, db pgdbm.DB, name string) error {
	_, err := db.Exec(ctx, insert, name)
	return err
}

// whole fails the test unless every connection is back and no session is left
// in a transaction.
func whole(t *testing.T, m *pgdbm.Manager) {
	t.Helper()
	testkit.Eventually(t, "connections still acquired", func() bool { return m.Stat().AcquiredConns() == 0 })
	testkit.Eventually(t, "a session is idle in transaction", func() bool {
		n, err := pgdbm.FetchValue[int](context.WithoutCancel(t.Context()), m,
			"select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'")
		return err == nil && n == 0
	})
}

func TestInTxCommitsOnNil(t *testing.T) {
	t.Parallel()
	m := setup(t)
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		return errors.Join(add(t.Context(), tx, "a"), add(t.Context(), tx, "b"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(t, m); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %v", got)
	}
	whole(t, m)
}

func TestInTxRollsBackOnErrorAndReturnsIt(t *testing.T) {
	t.Parallel()
	m := setup(t)
	boom := errors.New("boom")
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		return errors.Join(add(t.Context(), tx, "a"), boom)
	})
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if got := names(t, m); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	whole(t, m)
}

func TestInTxRollsBackOnPanic(t *testing.T) {
	t.Parallel()
	m := setup(t)
	func() {
		defer func() {
			if p := recover(); p != "boom" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			if err := add(t.Context(), tx, "a"); err != nil {
				return err
			}
			panic("boom")
		})
	}()
	if got := names(t, m); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	whole(t, m)
}

func TestInTxRollsBackOnGoexit(t *testing.T) {
	t.Parallel()
	m := setup(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			_ = add(t.Context(), tx, "a")
			goexit()
			return nil
		})
	})
	wg.Wait()
	if got := names(t, m); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	whole(t, m)
}

func TestInTxSurvivesCancellationMidStatement(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		if err := add(ctx, tx, "a"); err != nil {
			return err
		}
		go func() {
			testkit.Eventually(t, "the statement does not run", func() bool {
				n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from pg_stat_activity where query like 'select pg_sleep(61)%' and state = 'active'")
				return err == nil && n == 1
			})
			cancel()
		}()
		_, err := tx.Exec(ctx, "select pg_sleep(61)")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := names(t, m); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	whole(t, m)
}

func TestInTxDoesNotCommitAfterCancellation(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		err := add(ctx, tx, "a")
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := names(t, m); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	whole(t, m)
}

func TestInTxWithLostConnection(t *testing.T) {
	t.Parallel()
	m := setup(t)
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		pid, err := pgdbm.FetchValue[int](t.Context(), tx, "select pg_backend_pid()")
		if err != nil {
			return err
		}
		if err := add(t.Context(), tx, "a"); err != nil {
			return err
		}
		exec(t, m, "select pg_terminate_backend($1)", pid)
		return add(t.Context(), tx, "b")
	})
	if !errors.Is(err, pgdbm.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if got := names(t, m); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	whole(t, m)
}

func TestSavepoints(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		if err := add(ctx, tx, "a"); err != nil {
			return err
		}
		err := tx.InTx(ctx, func(tx *pgdbm.Tx) error { return add(ctx, tx, "a") })
		if !errors.Is(err, pgdbm.ErrConflict) {
			t.Errorf("duplicate: %v", err)
		}
		err = tx.InTx(ctx, func(tx *pgdbm.Tx) error { return add(ctx, tx, "no such table"[3:]+"x") })
		if err != nil {
			t.Errorf("after a conflict: %v", err)
		}
		err = tx.InTx(ctx, func(tx *pgdbm.Tx) error { // fails while it is prepared
			_, err := tx.Exec(ctx, "select * from {{tables.missing}}")
			return err
		})
		if !errors.Is(err, pgdbm.ErrUndefined) {
			t.Errorf("missing table: %v", err)
		}
		err = tx.InTx(ctx, func(tx *pgdbm.Tx) error { // a failure that the closure hides
			_ = add(ctx, tx, "a")
			return nil
		})
		if !errors.Is(err, pgx.ErrTxCommitRollback) {
			t.Errorf("hidden failure: %v", err)
		}
		return tx.InTx(ctx, func(tx *pgdbm.Tx) error {
			if err := add(ctx, tx, "b"); err != nil {
				return err
			}
			_ = tx.InTx(ctx, func(tx *pgdbm.Tx) error {
				_ = add(ctx, tx, "c")
				return errors.New("undo c")
			})
			return add(ctx, tx, "d")
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, m), []string{"a", "such tablex", "b", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	whole(t, m)
}

func TestSavepointWithItsOwnDeadline(t *testing.T) {
	t.Parallel()
	m := setup(t)
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		ctx, cancel := context.WithCancel(t.Context())
		err := tx.InTx(ctx, func(tx *pgdbm.Tx) error {
			err := add(ctx, tx, "a")
			cancel() // between statements: the connection is well
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		return add(t.Context(), tx, "b")
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(t, m); !slices.Equal(got, []string{"b"}) {
		t.Errorf("got %v", got)
	}
}

func TestUnreadRowsDoNotBlockTheEnd(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		if err := add(ctx, tx, "a"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "select generate_series(1, 100000)")
		if err == nil {
			rows.Next()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(t, m); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v", got)
	}
	whole(t, m)
}

func TestTransactionOverTwoSchemas(t *testing.T) {
	t.Parallel()
	m := setup(t)
	other := bind(t, m.Pool(), "other")
	ctx := t.Context()
	exec(t, other, "create table {{tables.items}} (id int generated always as identity, name text)")
	undo := errors.New("undo")
	for _, result := range []error{undo, nil} {
		err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
			db := other.In(tx)
			if db.Schema() != "other" {
				t.Errorf("schema %q", db.Schema())
			}
			err := errors.Join(add(ctx, tx, "mine"), add(ctx, db, "theirs"), add(ctx, m.In(tx), "mine again"))
			return errors.Join(err, result)
		})
		if !errors.Is(err, result) {
			t.Fatal(err)
		}
		if result != nil && len(names(t, m))+len(names(t, other)) != 0 {
			t.Error("not rolled back in both")
		}
	}
	if got := names(t, m); !slices.Equal(got, []string{"mine", "mine again"}) {
		t.Errorf("mine: %v", got)
	}
	if got := names(t, other); !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("theirs: %v", got)
	}
}

func TestTransactionOfAnotherPoolIsRefused(t *testing.T) {
	t.Parallel()
	m, stranger := setup(t), setup(t)
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		return add(t.Context(), stranger.In(tx), "a")
	})
	if err == nil || !strings.Contains(err.Error(), "belongs to another pool") {
		t.Errorf("got %v", err)
	}
}

func TestTxAfterItsEnd(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	tx, err := m.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := add(ctx, tx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	_, begin := tx.Begin(ctx)
	_, raw := tx.Pgx(ctx)
	_, copied := tx.CopyFrom(ctx, "items", []string{"name"}, pgx.CopyFromRows(nil))
	for what, err := range map[string]error{
		"exec": add(ctx, tx, "b"), "commit": tx.Commit(ctx),
		"begin": begin, "pgx": raw, "copy": copied, "batch": tx.SendBatch(ctx, &pgx.Batch{}).Close(),
		"row": tx.QueryRow(ctx, "select 1").Scan(new(int)), "view": add(ctx, m.In(tx), "c"),
	} {
		if !errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := names(t, m); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v", got)
	}
	whole(t, m)
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	raw, err := m.Pool().Pgx().Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Rollback(context.WithoutCancel(ctx)) }()
	tx := m.Adopt(raw)
	if err := add(ctx, tx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := tx.InTx(ctx, func(tx *pgdbm.Tx) error { return add(ctx, tx, "a") }); !errors.Is(err, pgdbm.ErrConflict) {
		t.Errorf("savepoint: %v", err)
	}
	if err := tx.Commit(ctx); err == nil || !strings.Contains(err.Error(), "ended by who began it") {
		t.Errorf("commit: %v", err)
	}
	if err := raw.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := names(t, m); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v", got)
	}
}
