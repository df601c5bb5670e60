package pgdbm_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

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

func TestDeferrableNeedsSerializableReadOnly(t *testing.T) {
	t.Parallel()
	err := setup(t).InTxWith(t.Context(), pgdbm.TxOptions{Deferrable: true}, nil)
	if err == nil || !strings.Contains(err.Error(), "needs Isolation serializable and ReadOnly") {
		t.Errorf("got %v", err)
	}
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
