package pgdbm_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Classes that depend on who does what at the same time, or on the connection.

func TestLocked(t *testing.T) {
	t.Parallel()
	cfg := pgdbm.Config{ConnString: testkit.ConnString(t), LockTimeout: time.Millisecond}
	m := bind(t, open(t, cfg), "app")
	exec(t, m, "create table {{tables.items}} (name text)")
	exec(t, m, insert, secret)
	ctx := t.Context()
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		exec(t, tx, "lock table {{tables.items}} in access exclusive mode")
		for how, way := range ways {
			err := way(ctx, m, "update {{tables.items}} set name = $1", []any{secret})
			testkit.ErrorIs(t, err, pgdbm.ErrLocked)
			valueFree(t, how, err)
		}
		return nil
	})
	testkit.NoError(t, err)
	err = m.InTx(ctx, func(tx *pgdbm.Tx) error {
		exec(t, tx, "select * from {{tables.items}} for update")
		testkit.ErrorContains(t, second(m.Exec(ctx, "update {{tables.items}} set name = 'x'")), "SQLSTATE 55P03", "another transaction held the lock for longer than Config.LockTimeout")
		testkit.ErrorContains(t, second(m.Exec(ctx, "select * from {{tables.items}} for update nowait")), "could not obtain lock on row", "SQLSTATE 55P03")
		return nil
	})
	testkit.NoError(t, err)
	whole(t, m)
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	m := bind(t, open(t, pgdbm.Config{ConnString: dsn, Pooler: pgdbm.PoolerNone, StatementTimeout: 100 * time.Millisecond}), "")
	ctx := t.Context()
	for how, way := range ways {
		err := way(ctx, m, "select pg_sleep(61), $1::text", []any{secret})
		testkit.ErrorIs(t, err, pgdbm.ErrTimeout)
		testkit.ErrorContains(t, err, "canceling statement due to statement timeout (SQLSTATE 57014); it ran for longer than Config.StatementTimeout")
		valueFree(t, how, err)
		for _, ends := range []error{context.DeadlineExceeded, context.Canceled} {
			over := make(chan struct{})
			close(over)
			ended := expire(t, over, ends)
			<-ended.Done()
			err := way(ended, m, "select $1::text", []any{secret})
			testkit.ErrorIs(t, err, ends)
			if errors.Is(err, pgdbm.ErrTimeout) != errors.Is(ends, context.DeadlineExceeded) {
				t.Errorf("%s: %v", how, err)
			}
		}
	}
	whole(t, bind(t, open(t, pgdbm.Config{ConnString: dsn}), ""))
}

func TestCancelledOnTheServer(t *testing.T) {
	t.Parallel()
	m := setup(t)
	var wg sync.WaitGroup
	wg.Go(func() { exec(t, m, "select pg_cancel_backend($1)", busyPid(t, m, sleepy)) })
	err := second(m.Exec(t.Context(), sleepy))
	wg.Wait()
	testkit.ErrorIs(t, err, pgdbm.ErrTimeout)
	testkit.ErrorContains(t, err, "somebody cancelled it on the server (pg_cancel_backend)")
}

// A pool that somebody else made may cancel on the server when a context ends: its
// answer is not the reason.
func TestCancelRequestsOfABorrowedPool(t *testing.T) {
	t.Parallel()
	cfg, err := pgxpool.ParseConfig(testkit.ConnString(t))
	testkit.NoError(t, err)
	cfg.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Minute}
	}
	raw, err := pgxpool.NewWithConfig(t.Context(), cfg)
	testkit.NoError(t, err)
	t.Cleanup(raw.Close)
	pool, err := pgdbm.Borrow(raw, pgdbm.Config{})
	testkit.NoError(t, err)
	m := bind(t, pool, "")
	for how, run := range map[string]func(context.Context) error{
		"exec":  func(ctx context.Context) error { return second(m.Exec(ctx, sleepy)) },
		"query": func(ctx context.Context) error { return m.QueryRow(ctx, sleepy).Scan(new(any)) },
		"tx": func(ctx context.Context) error {
			return m.InTx(ctx, func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, sleepy)) })
		},
	} {
		for _, ends := range []error{context.DeadlineExceeded, context.Canceled} {
			busy := make(chan struct{})
			go func() { defer close(busy); running(t, m, sleepy) }()
			err := run(expire(t, busy, ends))
			testkit.ErrorIs(t, err, ends)
			e, _ := errors.AsType[*pgdbm.Error](err)
			if e == nil || errors.Is(e, pgdbm.ErrTimeout) != errors.Is(ends, context.DeadlineExceeded) || e.Hint != "" {
				t.Errorf("%s: %v", how, err)
			}
		}
	}
	whole(t, m)
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	exec(t, setupErrors(t, pgdbm.Config{ConnString: dsn}), "select 1")
	m := bind(t, open(t, pgdbm.Config{ConnString: dsn, RuntimeParams: map[string]string{"default_transaction_read_only": "on"}}), "app")
	ctx := t.Context()
	for how, way := range ways {
		err := way(ctx, m, insert, []any{"x"})
		testkit.ErrorIs(t, err, pgdbm.ErrReadOnly)
		testkit.ErrorContains(t, err, "cannot execute INSERT in a read-only transaction", "SQLSTATE 25006", "or connect to the primary (target_session_attrs=read-write)")
		valueFree(t, how, err)
	}
	_, err := m.CopyFrom(ctx, "items", []string{"name"}, pgx.CopyFromRows([][]any{{"x"}}))
	testkit.ErrorIs(t, err, pgdbm.ErrReadOnly)
}

func TestPermission(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	owner := setupErrors(t, pgdbm.Config{ConnString: dsn})
	m := bind(t, open(t, pgdbm.Config{ConnString: dsn, RuntimeParams: map[string]string{"role": "pg_monitor"}}), "app")
	ctx := t.Context()
	check := func(err error, table, message string) {
		t.Helper()
		e, _ := errors.AsType[*pgdbm.Error](err)
		if e == nil || !errors.Is(e.Class, pgdbm.ErrPermission) || e.Schema != "app" || e.Table != table {
			t.Errorf("%v", err)
		}
		testkit.ErrorContains(t, err, message, "SQLSTATE 42501", "grant the privilege to the role that the pool connects as")
	}
	for _, way := range ways {
		check(way(ctx, m, insert, []any{secret}), "", "permission denied for schema app")
	}
	exec(t, owner, "grant usage on schema {{schema}} to pg_monitor")
	for _, way := range ways {
		check(way(ctx, m, insert, []any{secret}), "items", "permission denied for table items (table app.items, ")
	}
	_, err := m.CopyFrom(ctx, "items", []string{"name"}, pgx.CopyFromRows([][]any{{secret}}))
	check(err, "items", "permission denied for table items")
	check(second(m.Exec(ctx, "alter table {{tables.items}} add x int")), "items", "must be owner of table items")
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	owner := bind(t, open(t, pgdbm.Config{ConnString: dsn}), "")
	role := fmt.Sprintf("pgdbm_full_%x", time.Now().UnixNano())
	exec(t, owner, "create role "+role+" login connection limit 0 password 'x'")
	t.Cleanup(func() {
		if _, err := owner.Exec(context.Background(), "drop role "+role); err != nil {
			t.Error(err)
		}
	})
	pool, err := pgdbm.New(pgdbm.Config{ConnString: withParam(withParam(dsn, "user", role), "password", "x"), AcquireTimeout: 50 * time.Millisecond})
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, pool.Close(t.Context())) }()
	err = second(bind(t, pool, "").Exec(t.Context(), "select 1"))
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "too many connections for role", "SQLSTATE 53300", "lower MaxConns or use a pooler")
}

func TestLostConnectionOutsideOfATransaction(t *testing.T) {
	t.Parallel()
	m, w := setupWire(t)
	ctx := t.Context()
	for how, way := range ways {
		for _, what := range []fault{cutRequest, cutAnswer} {
			w.on("'lost'", what)
			err := way(ctx, m, "select 'lost', $1::text", []any{secret})
			if e, _ := errors.AsType[*pgdbm.Error](err); e == nil || !errors.Is(e.Class, pgdbm.ErrUnavailable) {
				t.Errorf("%s: %v", how, err)
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { exec(t, m, "select pg_terminate_backend($1)", busyPid(t, m, sleepy)) })
	err := second(m.Exec(ctx, sleepy))
	wg.Wait()
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "SQLSTATE 57P01")
	whole(t, m)
}

func TestTransactionTimeout(t *testing.T) {
	t.Parallel()
	if testkit.Version(t) < 170000 {
		t.Skip("transaction_timeout is new in PostgreSQL 17")
	}
	m := setup(t)
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		exec(t, tx, "set local transaction_timeout to 10")
		return second(tx.Exec(t.Context(), sleepy))
	})
	testkit.ErrorIs(t, err, pgdbm.ErrTimeout)
	testkit.ErrorContains(t, err, "SQLSTATE 25P04")
	whole(t, m)
}

func TestCopyErrors(t *testing.T) {
	t.Parallel()
	m := setupErrors(t, pgdbm.Config{})
	ctx := t.Context()
	odd := struct{ S string }{secret}
	for name, c := range map[string]struct {
		table  string
		column string
		row    any
		want   pgdbm.Error
		text   string
	}{
		"unique":    {"items", "name", secret, pgdbm.Error{Class: pgdbm.ErrConflict, Table: "items", Constraint: "items_name_key"}, "23505"},
		"reference": {"refs", "item", int64(secretNumber), pgdbm.Error{Class: pgdbm.ErrReference, Table: "refs", Constraint: "refs_item_fkey"}, "23503"},
		"not null":  {"strict", "note", secret, pgdbm.Error{Class: pgdbm.ErrInvalid, Table: "strict", Column: "name"}, "23502"},
		"check":     {"items", "n", int32(-secretNumber), pgdbm.Error{Class: pgdbm.ErrInvalid, Table: "items", Constraint: "items_n_check"}, "23514"},
		"length":    {"strict", "short", secret, pgdbm.Error{Class: pgdbm.ErrInvalid}, "22001"},
		"encoding":  {"items", "n", odd, pgdbm.Error{Class: pgdbm.ErrInvalid}, "a value cannot be encoded as int4"},
		"number":    {"items", "n", secret, pgdbm.Error{Class: pgdbm.ErrInvalid}, "a value cannot be encoded as int4"},
		"too big":   {"items", "n", int64(secretNumber) << 32, pgdbm.Error{Class: pgdbm.ErrInvalid}, "a value cannot be encoded as int4"},
		"table":     {"missing", "n", 1, pgdbm.Error{Class: pgdbm.ErrUndefined, Table: "missing"}, "was the module of schema app migrated?"},
		"column":    {"items", "nope", 1, pgdbm.Error{Class: pgdbm.ErrUndefined, Column: "nope"}, "42703"},
	} {
		for where, run := range within {
			err := run(ctx, m, func(db pgdbm.DB) error {
				return second(db.CopyFrom(ctx, c.table, []string{c.column}, pgx.CopyFromRows([][]any{{c.row}})))
			})
			e, _ := errors.AsType[*pgdbm.Error](err)
			if e == nil || !errors.Is(e.Class, c.want.Class) || e.Schema != "app" || e.Table != c.want.Table || e.Column != c.want.Column || e.Constraint != c.want.Constraint {
				t.Errorf("%s, %s: %v", name, where, err)
			}
			testkit.ErrorContains(t, err, c.text)
			valueFree(t, name+", "+where, err)
		}
	}
	for where, run := range within {
		if where == "hidden" {
			continue // it is no error of the database
		}
		err := run(ctx, m, func(db pgdbm.DB) error {
			return second(db.CopyFrom(ctx, "app.items", []string{"name"}, pgx.CopyFromRows(nil)))
		})
		if err == nil || err.Error() != `pgdbm: table "app.items": name an unqualified table of the bound schema` {
			t.Errorf("%s: %v", where, err)
		}
	}
	whole(t, m)
}
