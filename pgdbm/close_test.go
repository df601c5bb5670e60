package pgdbm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// closing returns what Close says when it has hardly any time.
func closing(t *testing.T, pool *pgdbm.Pool) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := pool.Close(ctx)
	testkit.ErrorIs(t, err, context.DeadlineExceeded)
	return err
}

func TestCloseIsBoundedAndNamesWhatIsOut(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 8, MinConns: 8})
	m := bind(t, pool, "shop")
	exec(t, m, "create table {{tables.items}} (id int primary key, note text)")
	ctx := t.Context()

	rows, err := m.Query(ctx, "select id, 'hunter2' from {{tables.items}} where id > $1 and note <> $tag$hunter2$tag$", 0)
	testkit.NoError(t, err)
	tx, err := m.Begin(ctx)
	testkit.NoError(t, err)
	testkit.NoError(t, second(tx.Exec(ctx, "insert into {{tables.items}} values ($1, $2)", 1, "hunter2")))
	testkit.NoError(t, second(tx.CopyFrom(ctx, "items", []string{"id"}, pgx.CopyFromRows([][]any{{2}}))))
	raw, err := m.Acquire(ctx)
	testkit.NoError(t, err)
	long, err := m.Acquire(ctx)
	testkit.NoError(t, err)
	testkit.NoError(t, second(long.Exec(ctx, "select "+strings.Repeat("1 + ", 100)+"1")))
	batch := &pgx.Batch{}
	batch.Queue("select 11")
	batch.Queue("select 12")
	results := m.SendBatch(ctx, batch)
	given, err := m.Acquire(ctx) // and given back
	testkit.NoError(t, err)
	testkit.NoError(t, second(given.Exec(ctx, "select 'given back'")))
	given.Release()

	err = closing(t, pool)
	testkit.ErrorContains(t, err, "pgdbm: close: 5 connections are still in use (unclosed rows, an unfinished transaction or a missing Release): for ",
		`, last statement: select id, …; for `, `, last statement: copy "shop"."items"; `, " without a statement; ", `, last statement: select 1 + 1 +`, "last statement: select 12: context deadline exceeded")
	if text := err.Error(); strings.Contains(text, "hunter2") || strings.Contains(text, "given back") || len(text) > 700 {
		t.Errorf("got %v", err)
	}
	_, err = m.Exec(ctx, "select 1")
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "the pool is closed")

	rows.Close()
	testkit.NoError(t, tx.Rollback(ctx))
	raw.Release()
	long.Release()
	testkit.NoError(t, results.Close())
	testkit.NoError(t, pool.Close(ctx))
	testkit.NoError(t, pool.Close(ctx))
}

func TestCloseNamesTheFirstFew(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 8})
	m := bind(t, pool, "")
	var release []func()
	for i := range 8 {
		conn, err := m.Acquire(t.Context())
		testkit.NoError(t, err)
		testkit.NoError(t, second(conn.Exec(t.Context(), fmt.Sprintf("select 1%d", i))))
		release = append(release, conn.Release)
	}
	err := closing(t, pool)
	testkit.ErrorContains(t, err, "8 connections are still in use", "select 10; ", "select 14; and 3 more: context")
	for _, fn := range release {
		fn()
	}
}

// A connection that was taken away from the pool is nobody's debt.
func TestCloseDoesNotWaitForDedicated(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 2})
	m := bind(t, pool, "")
	dedicated, err := pool.Dedicated(t.Context())
	testkit.NoError(t, err)
	hijacked, err := m.Acquire(t.Context())
	testkit.NoError(t, err)
	own := hijacked.Hijack()
	conn, err := m.Acquire(t.Context())
	testkit.NoError(t, err)
	testkit.NoError(t, second(conn.Exec(t.Context(), "select 'it'")))
	testkit.ErrorContains(t, closing(t, pool), "pgdbm: close: 1 connections", "missing Release): for ", ", last statement: select …: context")
	conn.Release()
	testkit.NoError(t, pool.Close(t.Context()))
	testkit.NoError(t, dedicated.Close(t.Context()))
	testkit.NoError(t, own.Close(t.Context()))
}

func TestSecondPoolIsPointedOut(t *testing.T) {
	t.Parallel()
	s := secure(t)
	admin := s.ConnString("postgres")
	plain := s.config("plain")
	plain.Database = "template1" // a database that no other test opens
	opened := func(cfg pgdbm.Config) (*pgdbm.Pool, string) {
		t.Helper()
		log := &logBuffer{}
		cfg.Logger = log.logger()
		pool, err := pgdbm.New(cfg)
		testkit.NoError(t, err)
		return pool, log.String()
	}
	silent := func(what string, cfg pgdbm.Config) *pgdbm.Pool {
		t.Helper()
		pool, log := opened(cfg)
		if log != "" {
			t.Errorf("%s: %s", what, log)
		}
		return pool
	}
	first := silent("the first pool", plain)
	other := silent("another user", pgdbm.Config{ConnString: strings.Replace(admin, "/postgres", "/template1", 1)})
	elsewhere := silent("another database", func() pgdbm.Config { c := plain; c.Database = "template0"; return c }())
	_, err := pgdbm.Borrow(first.Pgx(), pgdbm.Config{})
	testkit.NoError(t, err)
	another, log := opened(plain)
	want := fmt.Sprintf(`level=WARN msg="another pool to the same database is open in this process; share one: pool.Manager(schema), or pgdbm.Borrow(pool, cfg)" pools=2 database=plain@localhost:%d/template1`, s.port)
	if !strings.Contains(log, want) || strings.Count(log, "\n") != 1 {
		t.Errorf("log: %s", log)
	}
	for _, pool := range []*pgdbm.Pool{first, other, elsewhere, another} {
		testkit.NoError(t, pool.Close(t.Context()))
		testkit.NoError(t, pool.Close(t.Context()))
	}
	testkit.NoError(t, silent("the first is closed", plain).Close(t.Context()))
}
