package pgdbm_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// where is where in a transaction something goes wrong.
type where func(ctx context.Context, m *pgdbm.Manager, body func(*pgdbm.Tx) error) error

var places = map[string]where{
	"first statement": func(ctx context.Context, m *pgdbm.Manager, body func(*pgdbm.Tx) error) error {
		return m.InTx(ctx, body)
	},
	"later statement": func(ctx context.Context, m *pgdbm.Manager, body func(*pgdbm.Tx) error) error {
		return m.InTx(ctx, func(tx *pgdbm.Tx) error {
			if err := add(ctx, tx, "before"); err != nil {
				return err
			}
			return body(tx)
		})
	},
	"savepoint": func(ctx context.Context, m *pgdbm.Manager, body func(*pgdbm.Tx) error) error {
		return m.InTx(ctx, func(tx *pgdbm.Tx) error {
			return tx.InTx(ctx, func(tx *pgdbm.Tx) error {
				if err := add(ctx, tx, "before"); err != nil {
					return err
				}
				return tx.InTx(ctx, body)
			})
		})
	},
	"search path": func(ctx context.Context, m *pgdbm.Manager, body func(*pgdbm.Tx) error) error {
		return m.InTxWith(ctx, pgdbm.TxOptions{SearchPath: true}, body)
	},
	"serializable": func(ctx context.Context, m *pgdbm.Manager, body func(*pgdbm.Tx) error) error {
		return m.InTxWith(ctx, pgdbm.TxOptions{Isolation: pgx.Serializable}, body)
	},
}

const sleepy = "select pg_sleep(61)"

// busyPid returns the process of the session that runs sql.
func busyPid(t *testing.T, m *pgdbm.Manager, sql string) int {
	t.Helper()
	running(t, m, sql)
	pid, err := pgdbm.FetchValue[int](t.Context(), m, "select pid from pg_stat_activity where datname = current_database() and state = 'active' and query = $1", sql)
	testkit.NoError(t, err)
	return pid
}

func TestFaultsInATransaction(t *testing.T) {
	t.Parallel()
	type test struct {
		*testing.T
		m      *pgdbm.Manager // through the wire
		wire   *wire
		ctx    context.Context
		cancel func()
		wg     *sync.WaitGroup
	}
	for name, c := range map[string]struct {
		body  func(*test, *pgdbm.Tx) error
		class error
		is    error
	}{
		"cancelled while a statement runs": {
			func(t *test, tx *pgdbm.Tx) error {
				t.wg.Go(func() { running(t.T, t.m, sleepy); t.cancel() })
				return second(tx.Exec(t.ctx, sleepy))
			}, nil, context.Canceled,
		},
		"deadline while a statement runs": {
			func(t *test, tx *pgdbm.Tx) error {
				busy := make(chan struct{})
				t.wg.Go(func() { running(t.T, t.m, sleepy); close(busy) })
				return second(tx.Exec(expire(t.T, busy, context.DeadlineExceeded), sleepy))
			}, pgdbm.ErrTimeout, context.DeadlineExceeded,
		},
		"cancelled while waiting for a lock": {
			func(t *test, tx *pgdbm.Tx) error {
				const sql = `lock table app.items in access exclusive mode`
				return t.m.InTx(t.Context(), func(other *pgdbm.Tx) error {
					exec(t.T, other, "select from {{tables.items}} limit 0")
					t.wg.Go(func() { running(t.T, t.m, sql); t.cancel() })
					return second(tx.Exec(t.ctx, sql))
				})
			}, nil, context.Canceled,
		},
		"cancelled while reading rows": {
			func(t *test, tx *pgdbm.Tx) error {
				rows, err := tx.Query(t.ctx, "select generate_series(1, 10000000)")
				for err == nil && rows.Next() {
					t.cancel()
				}
				return errors.Join(err, rows.Err())
			}, nil, context.Canceled,
		},
		"cancelled between statements": {
			func(t *test, tx *pgdbm.Tx) error {
				if err := add(t.ctx, tx, "a"); err != nil {
					return err
				}
				t.cancel()
				return nil
			}, nil, context.Canceled,
		},
		"cancelled before the statement": {
			func(t *test, tx *pgdbm.Tx) error {
				t.cancel()
				return add(t.ctx, tx, "a")
			}, nil, context.Canceled,
		},
		"cancelled while copying": {
			func(t *test, tx *pgdbm.Tx) error {
				return second(tx.CopyFrom(t.ctx, "items", []string{"name"}, pgx.CopyFromFunc(func() ([]any, error) {
					t.cancel()
					return []any{rowName()}, nil
				})))
			}, nil, context.Canceled,
		},
		"cancelled in a batch": {
			func(t *test, tx *pgdbm.Tx) error {
				t.wg.Go(func() { running(t.T, t.m, sleepy); t.cancel() })
				b := &pgx.Batch{}
				b.Queue(insert, "a")
				b.Queue(sleepy)
				return tx.SendBatch(t.ctx, b).Close()
			}, nil, context.Canceled,
		},
		"the session is ended": {
			func(t *test, tx *pgdbm.Tx) error {
				t.wg.Go(func() { exec(t.T, t.m, "select pg_terminate_backend($1)", busyPid(t.T, t.m, sleepy)) })
				return second(tx.Exec(t.ctx, sleepy))
			}, pgdbm.ErrUnavailable, nil,
		},
		"the request is lost": {
			func(t *test, tx *pgdbm.Tx) error {
				t.wire.on("select 'lost'", cutRequest)
				return second(tx.Exec(t.ctx, "select 'lost'"))
			}, pgdbm.ErrUnavailable, nil,
		},
		"the answer is lost": {
			func(t *test, tx *pgdbm.Tx) error {
				t.wire.on("select 'lost'", cutAnswer)
				return tx.QueryRow(t.ctx, "select 'lost'").Scan(new(string))
			}, pgdbm.ErrUnavailable, nil,
		},
		"statement timeout": {
			func(t *test, tx *pgdbm.Tx) error {
				if _, err := tx.Exec(t.ctx, "set local statement_timeout to 1"); err != nil {
					return err
				}
				return second(tx.Exec(t.ctx, sleepy))
			}, pgdbm.ErrTimeout, nil,
		},
		"idle in transaction": {
			func(t *test, tx *pgdbm.Tx) error {
				pid, err := pgdbm.FetchValue[int](t.ctx, tx, "select pg_backend_pid() from set_config('idle_in_transaction_session_timeout', '1', true)")
				if err != nil {
					return err
				}
				testkit.Eventually(t, "the session is not ended", func() bool {
					n, err := pgdbm.FetchValue[int](t.Context(), t.m, "select count(*) from pg_stat_activity where pid = $1", pid)
					return err == nil && n == 0
				})
				return add(t.ctx, tx, "a")
			}, pgdbm.ErrTimeout, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, w := setupWire(t)
			for at, run := range places {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var wg sync.WaitGroup
				test := &test{t, m, w, ctx, cancel, &wg}
				err := run(ctx, m, func(tx *pgdbm.Tx) error { return c.body(test, tx) })
				wg.Wait()
				if err == nil || c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("%s: %v", at, err)
				}
				if e, _ := errors.AsType[*pgdbm.Error](err); e == nil || e.Class != c.class { //nolint:errorlint // the class alone
					t.Errorf("%s: want class %v, got %v", at, c.class, err)
				}
				testkit.Equal(t, names(t, m), []string{})
				whole(t, m)
			}
		})
	}
}

// rowName returns names that differ.
func rowName() string { return pgx.Identifier{"x"}.Sanitize() }

func TestPanicsInATransaction(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]func(context.Context, *pgdbm.Tx, func()) error{
		"between statements": func(_ context.Context, _ *pgdbm.Tx, leave func()) error {
			leave()
			return nil
		},
		"with open rows": func(ctx context.Context, tx *pgdbm.Tx, leave func()) error {
			rows, err := tx.Query(ctx, "select generate_series(1, 100000)")
			if err == nil && rows.Next() {
				leave()
			}
			return err
		},
		"with open results": func(ctx context.Context, tx *pgdbm.Tx, leave func()) error {
			b := &pgx.Batch{}
			b.Queue("select generate_series(1, 1000)")
			b.Queue("select 1").Exec(func(pgtag) error { panic("called after the end") })
			if rows, err := tx.SendBatch(ctx, b).Query(); err == nil && rows.Next() {
				leave()
			}
			return nil
		},
		"in a function of a batch": func(ctx context.Context, tx *pgdbm.Tx, leave func()) error {
			b := &pgx.Batch{}
			for range 2 {
				b.Queue("select generate_series(1, 1000)").Query(func(rows pgx.Rows) error {
					rows.Next()
					leave()
					return nil
				})
			}
			return tx.SendBatch(ctx, b).Close()
		},
		"while scanning": func(ctx context.Context, tx *pgdbm.Tx, leave func()) error {
			return tx.QueryRow(ctx, "select 1").Scan(scanFunc(leave))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := setup(t)
			for at, run := range places {
				for how, leave := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": goexit} {
					var (
						wg   sync.WaitGroup
						with any
					)
					wg.Go(func() {
						defer func() { with = recover() }()
						err := run(t.Context(), m, func(tx *pgdbm.Tx) error {
							if err := add(t.Context(), tx, "a"); err != nil {
								return err
							}
							return body(t.Context(), tx, leave)
						})
						t.Errorf("%s, %s: returned %v", at, how, err)
					})
					wg.Wait()
					if how == "panic" && with != "boom" {
						t.Errorf("%s: panic %v", at, with)
					}
					testkit.Equal(t, names(t, m), []string{})
					whole(t, m)
				}
			}
		})
	}
}

// What happens outside of a transaction must not keep a connection either.
func TestPanicsOutsideOfATransaction(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	boom := func() { panic("boom") }
	for name, body := range map[string]func(){
		"batch": func() {
			b := &pgx.Batch{}
			b.Queue("select 1").QueryRow(func(pgx.Row) error { panic("boom") })
			_ = m.SendBatch(ctx, b).Close()
		},
		"scan": func() { _ = m.QueryRow(ctx, "select 1").Scan(scanFunc(boom)) },
		"each": func() {
			for _, err := range pgdbm.Each[int](ctx, m, "select 1") {
				testkit.NoError(t, err)
				boom()
			}
		},
	} {
		func() {
			defer func() {
				if with := recover(); with != "boom" {
					t.Errorf("%s: panic %v", name, with)
				}
			}()
			body()
		}()
		whole(t, m)
	}
}

func TestHalfReadStatementIsGivenUp(t *testing.T) {
	t.Parallel()
	const slow = "select repeat('x', 10000), case when g > 3 then pg_sleep(61) end from generate_series(1, 4) g"
	m := setup(t)
	boom := errors.New("boom")
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		exec(t, tx, insert, "a")
		if _, err := tx.Query(t.Context(), slow); err != nil { // which runs for a minute more
			return err
		}
		running(t, m, slow)
		return boom
	})
	testkit.ErrorIs(t, err, boom)
	testkit.Equal(t, names(t, m), []string{})
	testkit.Eventually(t, "the statement still runs", func() bool {
		n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from pg_stat_activity where state = 'active' and query = $1", slow)
		return err == nil && n == 0
	})
	whole(t, m)

	ctx, cancel := context.WithCancel(t.Context())
	err = m.InTx(ctx, func(tx *pgdbm.Tx) error { // the same, on the way to a commit
		exec(t, tx, insert, "a")
		_, err := tx.Query(t.Context(), slow)
		go func() { running(t, m, slow); cancel() }()
		return err
	})
	testkit.ErrorIs(t, err, context.Canceled)
	testkit.Equal(t, names(t, m), []string{})
	whole(t, m)
}

func TestRollbackOnAFrozenServer(t *testing.T) {
	t.Parallel()
	m, w := setupWire(t)
	boom := errors.New("boom")
	w.on("rollback", freeze)
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error { // which waits for 5 s
		exec(t, tx, insert, "a")
		return boom
	})
	testkit.ErrorIs(t, err, boom)
	close(w.thaw) // else pgx waits for 15 s before it gives up the connection
	testkit.Equal(t, names(t, m), []string{})
	whole(t, m)
}

// A COPY reads its source in a goroutine of pgx, where a panic ends the process.
func TestSourceOfCopy(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	boom := errors.New("boom " + secret)
	for name, c := range map[string]pgx.CopyFromSource{
		"next":   &source{next: func() bool { panic(boom) }},
		"values": &source{next: func() bool { return true }, values: func() ([]any, error) { panic(boom) }},
		"nil":    nil,
	} {
		for _, copying := range []func() (int64, error){
			func() (int64, error) { return m.CopyFrom(ctx, "items", []string{"name"}, c) },
			func() (n int64, err error) {
				err = m.InTx(ctx, func(tx *pgdbm.Tx) error { return second(tx.CopyFrom(ctx, "items", []string{"name"}, c)) })
				return 0, err
			},
		} {
			func() {
				defer func() {
					err, _ := recover().(error)
					testkit.ErrorContains(t, err, "the source of a CopyFrom panicked", "goroutine")
					if name != "nil" {
						testkit.ErrorIs(t, err, boom)
					}
				}()
				_, err := copying()
				t.Errorf("%s: returned %v", name, err)
			}()
		}
		whole(t, m)
	}
	for name, c := range map[string]pgx.CopyFromSource{
		"error":  &source{next: func() bool { return false }, err: boom},
		"values": &source{next: func() bool { return true }, values: func() ([]any, error) { return nil, boom }},
		"func":   pgx.CopyFromFunc(func() ([]any, error) { return nil, boom }),
	} {
		_, err := m.CopyFrom(ctx, "items", []string{"name"}, c)
		testkit.ErrorIs(t, err, boom)
		testkit.ErrorContains(t, err, `pgdbm: copy "app"."items": the source of the rows: boom`)
		err = m.InTx(ctx, func(tx *pgdbm.Tx) error {
			_, err := tx.CopyFrom(ctx, "items", []string{"name"}, c)
			testkit.ErrorIs(t, err, boom)
			return nil
		})
		if !errors.Is(err, boom) || !errors.Is(err, pgx.ErrTxCommitRollback) {
			t.Errorf("%s: commit: %v", name, err)
		}
		whole(t, m)
	}
	_, err := m.CopyFrom(ctx, "items", []string{"name"}, pgx.CopyFromRows([][]any{{"a", "b"}}))
	testkit.ErrorContains(t, err, "expected 1 values, got 2")
	if got := names(t, m); !slices.Equal(got, []string{}) {
		t.Errorf("got %v", got)
	}
}
