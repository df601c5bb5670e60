package pgdbm_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// tripCount counts the round trips of connections: how often something is read
// after something was written.
type tripCount struct{ n atomic.Int64 }

// watch makes the connections of cfg count.
func (c *tripCount) watch(cfg pgdbm.Config) pgdbm.Config {
	cfg.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		next := cc.DialFunc
		cc.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := next(ctx, network, address)
			return &countedConn{Conn: conn, count: c}, err
		}
		return nil
	}
	return cfg
}

// of returns how many round trips fn takes.
func (c *tripCount) of(t testing.TB, fn func() error) int64 {
	t.Helper()
	before := c.n.Load()
	testkit.NoError(t, fn())
	return c.n.Load() - before
}

type countedConn struct {
	net.Conn
	count *tripCount
	wrote atomic.Bool
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.wrote.Store(true)
	return c.Conn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.wrote.Swap(false) {
		c.count.n.Add(1)
	}
	return n, err
}

// In exec mode a statement that the connection has never seen takes one round
// trip, alone, in a batch and as the first of a transaction.
func TestRoundTripsOfModes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	trips := &tripCount{}
	pool := open(t, trips.watch(pgdbm.Config{MaxConns: 1}))
	usual := bind(t, pool, "app")
	exec(t, usual, "create table {{tables.t}} (n int, doc jsonb)")
	fleet := bindMode(t, pool, "app", pgx.QueryExecModeExec)
	testkit.NoError(t, usual.InTx(ctx, func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "select 1")) })) // BEGIN is known
	doc, n := map[string]any{"a": 1}, 0
	unseen := func() string {
		n++
		return fmt.Sprintf("select n + %d from {{tables.t}} where n = $1 and doc = $2", n)
	}
	for name, op := range map[string]struct {
		run         func(m *pgdbm.Manager) error
		usual, exec int64
	}{
		"Exec":  {func(m *pgdbm.Manager) error { return second(m.Exec(ctx, unseen(), 1, doc)) }, 2, 1},
		"Query": {func(m *pgdbm.Manager) error { return second(pgdbm.FetchAll[int](ctx, m, unseen(), 1, doc)) }, 2, 1},
		"batch": {func(m *pgdbm.Manager) error {
			b := &pgx.Batch{}
			b.Queue(unseen(), 1, doc)
			b.Queue(unseen(), 1, doc)
			return m.SendBatch(ctx, b).Close()
		}, 2, 1},
		"transaction": {func(m *pgdbm.Manager) error {
			return m.InTx(ctx, func(tx *pgdbm.Tx) error {
				for range 3 {
					if _, err := pgdbm.FetchAll[int](ctx, tx, unseen(), 1, doc); err != nil {
						return err
					}
				}
				return nil
			})
		}, 7, 4},
		"acquired connection": {func(m *pgdbm.Manager) error {
			conn, err := m.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			text, err := m.Expand(unseen())
			if err != nil {
				return err
			}
			return second(conn.Exec(ctx, text, 1, doc))
		}, 2, 1},
	} {
		if got := trips.of(t, func() error { return op.run(usual) }); got != op.usual {
			t.Errorf("%s: %d round trips in the pool's mode, want %d", name, got, op.usual)
		}
		if got := trips.of(t, func() error { return op.run(fleet) }); got != op.exec {
			t.Errorf("%s: %d round trips in exec mode, want %d", name, got, op.exec)
		}
	}
	got := trips.of(t, func() error { return second(fleet.Exec(ctx, unseen(), pgx.QueryExecModeCacheStatement, 1, doc)) })
	testkit.Equal(t, got, int64(2)) // a statement's own mode wins
	got = trips.of(t, func() error { return second(usual.Exec(ctx, unseen(), pgx.QueryExecModeExec, 1, doc)) })
	testkit.Equal(t, got, int64(1))
	got = trips.of(t, func() error { return second(pool.Pgx().Exec(ctx, "select $1::int", 1)) })
	testkit.Equal(t, got, int64(2)) // the pool's, after a manager's
}

func bindMode(t testing.TB, pool *pgdbm.Pool, schema string, mode pgx.QueryExecMode) *pgdbm.Manager {
	t.Helper()
	bind(t, pool, schema)
	m, err := pool.Bind(pgdbm.Binding{Schema: schema, ExecMode: mode})
	testkit.NoError(t, err)
	return m
}

// prepared returns how many statements are prepared on a connection.
func prepared(t testing.TB, db pgdbm.DB) int {
	t.Helper()
	n, err := pgdbm.FetchValue[int](t.Context(), db, "select count(*) from pg_prepared_statements", pgx.QueryExecModeExec)
	testkit.NoError(t, err)
	return n
}

// Managers with different modes share a transaction: each speaks in its own.
func TestModesInOneTransaction(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pool := open(t, pgdbm.Config{MaxConns: 1})
	usual, fleet := bind(t, pool, "app"), bindMode(t, pool, "tenant", pgx.QueryExecModeExec)
	before := prepared(t, usual)
	count := func(db pgdbm.DB, want int) {
		t.Helper()
		testkit.Equal(t, prepared(t, db)-before, want)
	}
	testkit.NoError(t, fleet.InTx(ctx, func(tx *pgdbm.Tx) error {
		exec(t, tx, "select $1::int", 1)
		count(tx, 0)
		exec(t, usual.In(tx), "select $1::int", 1)
		count(tx, 1)
		exec(t, tx, "select $1::int + 1", 1)
		count(tx, 1)
		testkit.NoError(t, tx.InTx(ctx, func(tx *pgdbm.Tx) error {
			exec(t, tx, "select $1::int + 2", 1)
			exec(t, usual.In(tx), "select $1::int + 2", 1)
			return nil
		}))
		count(usual.In(tx), 2)
		return nil
	}))
	count(fleet, 2)

	// Somebody else's transaction keeps the mode that it has.
	theirs, err := pool.Pgx().Begin(ctx)
	testkit.NoError(t, err)
	exec(t, fleet.Adopt(theirs), "select $1::int + 3", 1)
	count(fleet.Adopt(theirs), 3)
	testkit.NoError(t, theirs.Rollback(ctx))
}

// Managers with different modes share a pool, from several goroutines.
func TestModesOnOnePool(t *testing.T) {
	t.Parallel()
	b, direct := bouncer(t, "3")
	for name, connString := range map[string]string{"direct": direct, "pooler": b.ConnString()} {
		pool := open(t, pgdbm.Config{ConnString: connString, MaxConns: 4})
		schema := "at_" + name
		exec(t, bind(t, pool, schema), "create table {{tables.items}} (id bigint generated always as identity primary key, name text, n int, doc jsonb)")
		ctx := t.Context()
		var wg sync.WaitGroup
		for mode, m := range everyMode(t, pool, schema) {
			wg.Go(func() {
				for i := range 50 {
					doc := map[string]any{"mode": mode}
					insert := fmt.Sprintf("insert into {{tables.items}} (name, n, doc) values ($1, $2 + %d, $3)", i)
					b := &pgx.Batch{}
					b.Queue(insert, mode, 1, doc)
					b.Queue(insert, mode, 2, doc)
					_, copyErr := m.CopyFrom(ctx, "items", []string{"name", "n", "doc"}, pgx.CopyFromRows([][]any{{mode, 3, doc}}))
					err := errors.Join(copyErr, m.SendBatch(ctx, b).Close(), second(m.Exec(ctx, insert, mode, 4, doc)),
						m.InTx(ctx, func(tx *pgdbm.Tx) error {
							return errors.Join(second(tx.Exec(ctx, insert, mode, 5, doc)), second(tx.Exec(ctx, insert, mode, 6, doc)))
						}))
					if err != nil {
						t.Errorf("%s: %s: %v", name, mode, err)
						return
					}
				}
				for row, err := range pgdbm.Each[struct {
					N   int
					Doc map[string]any
				}](ctx, m, "select count(*) as n, doc from {{tables.items}} where name = $1 group by doc", mode) {
					if err != nil || row.N != 300 || row.Doc["mode"] != mode {
						t.Errorf("%s: %s: %+v, %v", name, mode, row, err)
					}
				}
			})
		}
		wg.Wait()
	}
}

// Behind a pooler no statements are prepared, whatever a manager asks for.
func TestModesBehindPooler(t *testing.T) {
	t.Parallel()
	b, _ := bouncer(t, "1")
	pool := open(t, pgdbm.Config{ConnString: b.ConnString(), MaxConns: 1})
	for _, m := range everyMode(t, pool, "app") {
		exec(t, m, "select $1::int", 1)
		testkit.NoError(t, m.InTx(t.Context(), func(tx *pgdbm.Tx) error { return second(tx.Exec(t.Context(), "select $1::int", 1)) }))
		testkit.Equal(t, prepared(t, m), 0)
	}
}

func TestModesThatAreRefused(t *testing.T) {
	t.Parallel()
	connString := testkit.ConnString(t)
	pool := open(t, pgdbm.Config{ConnString: connString})
	_, err := pool.Bind(pgdbm.Binding{Schema: "pg_x", ExecMode: pgx.QueryExecModeDescribeExec})
	testkit.ErrorContains(t, err, "belong to PostgreSQL", "Binding.ExecMode describe_exec takes two round trips", "use pgx.QueryExecModeExec")
	_, err = pool.Bind(pgdbm.Binding{Schema: "app", ExecMode: 17})
	testkit.ErrorContains(t, err, "pgdbm: Binding.ExecMode 17 is none: use pgx.QueryExecModeExec, or leave it out")

	raw, err := pgxpool.New(t.Context(), connString)
	testkit.NoError(t, err)
	defer raw.Close()
	borrowed, err := pgdbm.Borrow(raw, pgdbm.Config{})
	testkit.NoError(t, err)
	_, err = borrowed.Bind(pgdbm.Binding{Schema: "app", ExecMode: pgx.QueryExecModeExec})
	testkit.ErrorContains(t, err, "a borrowed pool's connections are made as its owner configured them", "ConnConfig.DefaultQueryExecMode")
}
