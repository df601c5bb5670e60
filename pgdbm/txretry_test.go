package pgdbm_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// meet lets parties wait for each other, once.
type meet struct{ arrived sync.WaitGroup }

func newMeet(parties int) *meet {
	m := &meet{}
	m.arrived.Add(parties)
	return m
}

func (m *meet) wait() {
	m.arrived.Done()
	m.arrived.Wait()
}

// both runs two transactions at once and returns their errors and the number of
// attempts that both took.
func both(t *testing.T, m *pgdbm.Manager, opts pgdbm.TxOptions, fn func(tx *pgdbm.Tx, party, attempt int) error) (errs [2]error, attempts int32) {
	t.Helper()
	var (
		wg  sync.WaitGroup
		all atomic.Int32
	)
	for party := range 2 {
		wg.Go(func() {
			attempt := 0
			errs[party] = m.InTxWith(t.Context(), opts, func(tx *pgdbm.Tx) error {
				attempt++
				all.Add(1)
				return fn(tx, party, attempt)
			})
		})
	}
	wg.Wait()
	return errs, all.Load()
}

// Each reads what the other one writes: neither could run after the other. The
// server finds out at the COMMIT of the second.
func TestSerializationFailureAtCommit(t *testing.T) {
	t.Parallel()
	skew := func(t *testing.T, m *pgdbm.Manager, attempts int) ([2]error, int32) {
		t.Helper()
		exec(t, m, "insert into {{tables.items}} (name, n) values ('0', 0), ('1', 0)")
		met := newMeet(2)
		return both(t, m, pgdbm.TxOptions{Isolation: pgx.Serializable, Attempts: attempts}, func(tx *pgdbm.Tx, party, attempt int) error {
			sum, err := pgdbm.FetchValue[int](t.Context(), tx, "select sum(n) from {{tables.items}}")
			if err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), "update {{tables.items}} set n = n + $1 + 1 where name = ($2::int)::text", sum, party); err != nil {
				return err
			}
			if attempt == 1 {
				met.wait()
			}
			return nil
		})
	}
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		m := setup(t)
		errs, _ := skew(t, m, 0)
		err := errors.Join(errs[:]...)
		testkit.ErrorIs(t, err, pgdbm.ErrRetryable)
		testkit.ErrorContains(t, err, "SQLSTATE 40001", "InTxWith does with TxOptions.Attempts")
		whole(t, m)
	})
	t.Run("retried", func(t *testing.T) {
		t.Parallel()
		m := setup(t)
		errs, attempts := skew(t, m, 5)
		testkit.NoError(t, errors.Join(errs[:]...))
		if attempts < 3 {
			t.Errorf("%d attempts", attempts)
		}
		n, err := pgdbm.FetchValue[int](t.Context(), m, "select sum(n) from {{tables.items}}")
		testkit.NoError(t, err)
		testkit.Equal(t, n, 1+2) // as if one ran after the other
		whole(t, m)
	})
}

func TestDeadlock(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{LockTimeout: -1}), "app")
	exec(t, m, "create table {{tables.items}} (name text primary key, n int)")
	exec(t, m, "insert into {{tables.items}} values ('0', 0), ('1', 0)")
	ctx := t.Context()
	const update = "update {{tables.items}} set n = n + 1 where name = ($1::int)::text"
	run := func(attempts int) ([2]error, int32) {
		met := newMeet(2)
		return both(t, m, pgdbm.TxOptions{Attempts: attempts}, func(tx *pgdbm.Tx, party, attempt int) error {
			if attempt == 1 {
				exec(t, tx, "set local deadlock_timeout to 1")
			}
			if _, err := tx.Exec(ctx, update, party); err != nil {
				return err
			}
			if attempt == 1 {
				met.wait()
			}
			return second(tx.Exec(ctx, update, 1-party))
		})
	}
	errs, _ := run(1)
	err := errors.Join(errs[:]...)
	testkit.ErrorIs(t, err, pgdbm.ErrRetryable)
	testkit.ErrorContains(t, err, "SQLSTATE 40P01", "lock rows in the same order everywhere")
	errs, attempts := run(5)
	testkit.NoError(t, errors.Join(errs[:]...))
	if attempts < 3 {
		t.Errorf("%d attempts", attempts)
	}
	whole(t, m)
}

func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{Logger: log.logger()}), "app")
	ctx := t.Context()
	const fail = "do $$begin raise exception 'again' using errcode = '40001'; end$$"
	calls := 0
	err := m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 3}, func(tx *pgdbm.Tx) error {
		calls++
		return tx.InTx(ctx, func(tx *pgdbm.Tx) error { // a savepoint cannot run again: the transaction does
			return second(tx.Exec(ctx, fail))
		})
	})
	testkit.Equal(t, calls, 3)
	testkit.ErrorIs(t, err, pgdbm.ErrRetryable)
	testkit.ErrorContains(t, err, "pgdbm: transaction given up after 3 attempts: transaction must retry: again")
	testkit.ErrorContains(t, errors.New(log.String()), "level=WARN", "transaction retried", "schema=app", "attempt=2", "sqlstate=40001", "pause=")

	calls = 0
	err = m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 3}, func(tx *pgdbm.Tx) error {
		if calls++; calls < 3 {
			_ = second(tx.Exec(ctx, fail)) // kept to itself: COMMIT tells
			return nil
		}
		return nil
	})
	testkit.NoError(t, err)
	testkit.Equal(t, calls, 3)

	calls = 0
	err = m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 3}, func(tx *pgdbm.Tx) error {
		calls++
		_ = second(tx.Exec(ctx, fail))
		return second(tx.Exec(ctx, "select 1")) // nor is the reason lost in what follows
	})
	testkit.ErrorIs(t, err, pgdbm.ErrRetryable)
	testkit.Equal(t, calls, 3)

	calls = 0
	err = m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 3}, func(tx *pgdbm.Tx) error {
		calls++
		_, err := must(tx.Pgx(ctx)).Exec(ctx, "select nope") // of which pgdbm knows nothing
		if err == nil {
			t.Error("no error")
		}
		return nil
	})
	testkit.ErrorIs(t, err, pgdbm.ErrRetryable)
	testkit.ErrorIs(t, err, pgx.ErrTxCommitRollback)
	testkit.ErrorContains(t, err, "a statement had failed, and its error was not returned")
	testkit.Equal(t, calls, 3)

	for what, final := range map[string]error{"conflict": pgdbm.ErrConflict, "own": errors.New("own"), "unknown": pgdbm.ErrCommitUnknown, "timeout": pgdbm.ErrTimeout, "another's": errors.Join(pgdbm.ErrUnavailable, pgdbm.ErrCommitUnknown)} {
		calls = 0
		err = m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 3}, func(*pgdbm.Tx) error { calls++; return final })
		if err != final || calls != 1 { //nolint:errorlint // as it is
			t.Errorf("%s: %d calls, %v", what, calls, err)
		}
	}
	whole(t, m)
}

func TestRetryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	again := errors.New("again")
	calls := 0
	err := m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 1000}, func(*pgdbm.Tx) error {
		if calls++; calls == 2 {
			cancel()
		}
		return errors.Join(again, pgdbm.ErrRetryable)
	})
	testkit.ErrorIs(t, err, again)
	testkit.ErrorIs(t, err, context.Canceled)
	testkit.ErrorContains(t, err, "transaction given up after attempt 2 of 1000, context canceled: again")
	testkit.Equal(t, calls, 2)
}

func TestRetryAfterALostConnection(t *testing.T) {
	t.Parallel()
	m, w := setupWire(t)
	ctx := t.Context()
	exec(t, m, "select 1") // a connection waits in the pool
	w.cut()
	calls := 0
	err := m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 5}, func(tx *pgdbm.Tx) error {
		calls++
		if calls == 2 {
			w.on("select 'lost'", cutAnswer)
		}
		if err := add(ctx, tx, "a"); err != nil {
			return err
		}
		return second(tx.Exec(ctx, "select 'lost'"))
	})
	testkit.NoError(t, err)
	testkit.Equal(t, names(t, m), []string{"a"})
	whole(t, m)

	pool := open(t, pgdbm.Config{})
	closed := bind(t, pool, "app")
	testkit.NoError(t, pool.Close(ctx))
	calls = 0
	err = closed.InTxWith(ctx, pgdbm.TxOptions{Attempts: 1000}, func(tx *pgdbm.Tx) error {
		calls++
		return second(tx.Exec(ctx, "select 1"))
	})
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.Equal(t, calls, 1) // it will not open again
}

// A table changes after a statement on it was prepared: the transaction cannot go
// on, the next one can.
func TestStalePlanInATransaction(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "app")
	ctx := t.Context()
	exec(t, m, "create table {{tables.items}} (name text)")
	const sql = "select * from {{tables.items}} where name <> $1"
	read := func(tx *pgdbm.Tx) error {
		if _, err := tx.Exec(ctx, "select 1"); err != nil { // else the statement is prepared anew
			return err
		}
		return second(pgdbm.FetchAll[map[string]any](ctx, tx, sql, ""))
	}
	testkit.NoError(t, m.InTx(ctx, read))
	exec(t, m, "alter table {{tables.items}} add n int")
	err := m.InTx(ctx, read)
	testkit.ErrorIs(t, err, pgdbm.ErrRetryable)
	testkit.ErrorContains(t, err, "a table changed after the statement was prepared; run the transaction again")
	testkit.NoError(t, m.InTx(ctx, read))
	exec(t, m, "alter table {{tables.items}} add m int")
	testkit.NoError(t, m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 2}, read))
}

func TestPausesGrowAndAreBounded(t *testing.T) {
	t.Parallel()
	for n := 1; n < 100; n++ {
		limit := time.Second
		if n < 8 {
			limit = 10 * time.Millisecond << (n - 1)
		}
		differ := map[time.Duration]bool{}
		for range 100 {
			d := pgdbm.Pause(10*time.Millisecond, time.Second, n)
			if d <= 0 || d > min(limit, time.Second) {
				t.Fatalf("pause %d: %s", n, d)
			}
			differ[d] = true
		}
		if len(differ) < 50 {
			t.Errorf("pause %d: %d of 100 differ", n, len(differ))
		}
	}
}
