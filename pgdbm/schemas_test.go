package pgdbm_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// tenants returns managers of n schemas, which need not exist.
func tenants(t testing.TB, pool *pgdbm.Pool, n int) []*pgdbm.Manager {
	t.Helper()
	all := make([]*pgdbm.Manager, n)
	for i := range all {
		var err error
		all[i], err = pool.Manager(fmt.Sprintf("tenant_%d", i))
		testkit.NoError(t, err)
	}
	return all
}

// served returns the server process that serves a DB.
func served(t testing.TB, db pgdbm.DB) uint32 {
	t.Helper()
	pid, err := pgdbm.FetchValue[uint32](t.Context(), db, "select pg_backend_pid()")
	testkit.NoError(t, err)
	return pid
}

func TestConnectionIsRetiredAfterManySchemas(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 3, 12} {
		log := &logBuffer{}
		logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		pool := open(t, pgdbm.Config{MaxConns: 1, MaxSchemasPerConn: limit, Logger: logger})
		all := tenants(t, pool, limit+2)
		first := served(t, all[0])
		for range 3 {
			for _, m := range all[:limit] {
				testkit.Equal(t, served(t, m), first)
			}
		}
		testkit.Equal(t, pool.Metrics().MaxSchemasDestroyCount, int64(0))
		testkit.Equal(t, served(t, all[limit]), first) // it is released after the statement
		next := served(t, all[0])
		if next == first {
			t.Errorf("limit %d: the connection is still in use", limit)
		}
		testkit.Equal(t, served(t, all[0]), next) // the count begins anew
		metrics := pool.Metrics()
		testkit.Equal(t, metrics.MaxSchemasDestroyCount, int64(1))
		for _, m := range metrics.Modules {
			for class, n := range m.Errors {
				if n > 0 {
					t.Errorf("%s: %d errors of class %s", m.Module, n, class)
				}
			}
		}
		if s := log.String(); strings.Contains(s, "level=WARN") || strings.Contains(s, "level=ERROR") ||
			!strings.Contains(s, fmt.Sprintf(`msg="connection retired" schemas=%d limit=%d`, limit+1, limit)) {
			t.Error(s)
		}
	}
}

func TestConnectionIsNotRetired(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1, MaxSchemasPerConn: -1})
	all := tenants(t, pool, 1001)
	first := served(t, all[0])
	for _, m := range all {
		testkit.Equal(t, served(t, m), first)
	}

	byDefault := open(t, pgdbm.Config{MaxConns: 1})
	all = tenants(t, byDefault, 502)
	first = served(t, all[0])
	for _, m := range all[:501] {
		testkit.Equal(t, served(t, m), first)
	}
	if served(t, all[501]) == first {
		t.Error("the default is not 500")
	}

	few := open(t, pgdbm.Config{MaxConns: 1, MaxSchemasPerConn: 1})
	first = served(t, bind(t, few, ""))
	for range 3 { // neither what is not bound counts nor what a template names
		testkit.Equal(t, served(t, bind(t, few, "")), first)
		exec(t, bind(t, few, "a"), "select '{{tables.b.t}}', '{{tables.c.t}}'")
	}
}

// A connection is closed when it is released, whatever held it until then.
func TestConnectionIsRetiredOnlyWhenItIsReleased(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	batch := func() *pgx.Batch {
		b := &pgx.Batch{}
		b.Queue("select pg_backend_pid()")
		b.Queue("select pg_backend_pid()")
		return b
	}
	for name, last := range map[string]func(a, b *pgdbm.Manager, first uint32) error{
		"transaction of several modules": func(a, b *pgdbm.Manager, first uint32) error {
			return a.InTx(ctx, func(tx *pgdbm.Tx) error {
				for range 3 {
					testkit.Equal(t, served(t, tx), first)
					testkit.Equal(t, served(t, b.In(tx)), first)
				}
				return nil
			})
		},
		"transaction that is rolled back": func(a, b *pgdbm.Manager, first uint32) error {
			_ = a.InTx(ctx, func(tx *pgdbm.Tx) error {
				exec(t, b.In(tx), "select 1")
				testkit.Equal(t, served(t, tx), first)
				return errors.New("no")
			})
			return nil
		},
		"rows": func(_, b *pgdbm.Manager, first uint32) error {
			rows, err := b.Query(ctx, "select pg_backend_pid() from generate_series(1, 1000)")
			if err != nil {
				return err
			}
			pids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
			testkit.Equal(t, slices.Compact(pids), []uint32{first})
			return err
		},
		"rows that are left half read": func(_, b *pgdbm.Manager, _ uint32) error {
			for _, err := range pgdbm.Each[int](ctx, b, "select generate_series(1, 100000)") {
				return err
			}
			return nil
		},
		"row": func(_, b *pgdbm.Manager, first uint32) error {
			testkit.Equal(t, served(t, b), first)
			return nil
		},
		"batch": func(_, b *pgdbm.Manager, first uint32) error {
			results := b.SendBatch(ctx, batch())
			for range 2 {
				var pid uint32
				if err := results.QueryRow().Scan(&pid); err != nil {
					return err
				}
				testkit.Equal(t, pid, first)
			}
			return results.Close()
		},
		"COPY": func(_, b *pgdbm.Manager, _ uint32) error {
			n, err := b.CopyFrom(ctx, "t", []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2}}))
			testkit.Equal(t, n, 2)
			return err
		},
		"statement that fails": func(_, b *pgdbm.Manager, _ uint32) error {
			testkit.ErrorIs(t, second(b.Exec(ctx, "select {{tables.missing}}")), pgdbm.ErrUndefined)
			return nil
		},
		"acquired connection": func(_, b *pgdbm.Manager, first uint32) error {
			conn, err := b.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			testkit.Equal(t, conn.Conn().PgConn().PID(), first)
			return conn.Ping(ctx)
		},
		"read that may go to a replica": func(_, b *pgdbm.Manager, first uint32) error {
			testkit.Equal(t, served(t, b.Replica("")), first)
			return nil
		},
	} {
		pool := open(t, pgdbm.Config{MaxConns: 1, MaxSchemasPerConn: 1})
		exec(t, bind(t, pool, ""), "create schema a; create schema b; create table b.t (n int)")
		managers := []*pgdbm.Manager{}
		for _, schema := range []string{"a", "b"} {
			m, err := pool.Manager(schema)
			testkit.NoError(t, err)
			managers = append(managers, m)
		}
		first := served(t, managers[0])
		if err := last(managers[0], managers[1], first); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if served(t, managers[0]) == first {
			t.Errorf("%s: the connection is still in use", name)
		}
		testkit.Equal(t, pool.Metrics().MaxSchemasDestroyCount, int64(1))
	}
}

func TestRetiredConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 4, MinConns: 2, MaxSchemasPerConn: 2})
	all := tenants(t, pool, 40)
	ctx := t.Context()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 40 {
				m := all[(worker*17+i)%len(all)]
				err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
					pid, err := pgdbm.FetchValue[uint32](ctx, tx, "select pg_backend_pid()")
					if err != nil {
						return err
					}
					again, err := pgdbm.FetchValue[uint32](ctx, all[worker].In(tx), "select pg_backend_pid()")
					if pid != again {
						t.Errorf("the connection changed within a transaction")
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := pool.Metrics().MaxSchemasDestroyCount; n < 20 {
		t.Errorf("%d connections were retired", n)
	}
	testkit.Eventually(t, "MinConns are not open", func() bool { return pool.Stat().TotalConns() >= 2 })
	testkit.Eventually(t, "a connection is still in use", func() bool { return pool.Stat().AcquiredConns() == 0 })
}

// A pooler's connections to the server are not ours, and neither are those of a
// pool that somebody else configured.
func TestConnectionsOfOthersAreNotRetired(t *testing.T) {
	t.Parallel()
	b, direct := bouncer(t, "2")
	pooled := open(t, pgdbm.Config{ConnString: b.ConnString(), MaxConns: 1, MaxSchemasPerConn: 1})
	opened := pooled.Stat().NewConnsCount()
	for _, m := range tenants(t, pooled, 10) {
		exec(t, m, "select 1")
	}
	testkit.Equal(t, pooled.Metrics().MaxSchemasDestroyCount, int64(0))
	testkit.Equal(t, pooled.Stat().NewConnsCount(), opened)

	raw, err := pgxpool.New(t.Context(), direct)
	testkit.NoError(t, err)
	defer raw.Close()
	borrowed, err := pgdbm.Borrow(raw, pgdbm.Config{MaxSchemasPerConn: 1})
	testkit.NoError(t, err)
	for _, m := range tenants(t, borrowed, 10) {
		exec(t, m, "select 1")
	}
	testkit.Equal(t, raw.Stat().NewConnsCount(), int64(1))
}
