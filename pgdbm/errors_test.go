package pgdbm_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// secret stands for argument values; no message may hold it.
const secret = "hunter2secret"

func TestErrorsAreClassifiedWhereverPgxReportsThem(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	exec(t, m, "create table {{tables.refs}} (item bigint references {{tables.items}})")
	exec(t, m, insert, secret)
	for _, c := range []struct {
		sql   string
		args  []any
		class error
		want  pgdbm.Error
	}{
		{insert, []any{secret}, pgdbm.ErrConflict, pgdbm.Error{Schema: "app", Table: "items", Constraint: "items_name_key"}},
		{"insert into {{tables.refs}} values ($1)", []any{-7}, pgdbm.ErrReference, pgdbm.Error{Schema: "app", Table: "refs", Constraint: "refs_item_fkey"}},
		{"insert into {{tables.items}} (name, n) values ($1, -1)", []any{"x"}, pgdbm.ErrInvalid, pgdbm.Error{Schema: "app", Table: "items", Constraint: "items_n_check"}},
		{"select $1::text::int", []any{secret}, pgdbm.ErrInvalid, pgdbm.Error{Schema: "app"}},
		{"select $1::text::date", []any{secret}, pgdbm.ErrInvalid, pgdbm.Error{Schema: "app"}},
		{"select 1 / ($1::int - 1)", []any{1}, pgdbm.ErrInvalid, pgdbm.Error{Schema: "app"}},
		{"select * from {{tables.missing}}", nil, pgdbm.ErrUndefined, pgdbm.Error{Schema: "app", Table: "missing"}},
		{"select nope from {{tables.items}}", nil, pgdbm.ErrUndefined, pgdbm.Error{Schema: "app"}},
	} {
		fetch := func(q func() (pgx.Rows, error)) error {
			rows, err := q()
			if err != nil {
				return err
			}
			for rows.Next() {
			}
			return rows.Err()
		}
		batch := func() *pgx.Batch {
			b := &pgx.Batch{}
			b.Queue("select 1")
			b.Queue(c.sql, c.args...)
			return b
		}
		for way, err := range map[string]error{
			"Exec":      second(m.Exec(ctx, c.sql, c.args...)),
			"Query":     fetch(func() (pgx.Rows, error) { return m.Query(ctx, c.sql, c.args...) }),
			"QueryRow":  m.QueryRow(ctx, c.sql, c.args...).Scan(new(any)),
			"SendBatch": m.SendBatch(ctx, batch()).Close(),
			"Tx":        m.InTx(ctx, func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, c.sql, c.args...)) }),
			"Tx batch":  m.InTx(ctx, func(tx *pgdbm.Tx) error { return tx.SendBatch(ctx, batch()).Close() }),
			"exec mode": second(m.Exec(ctx, c.sql, append([]any{pgx.QueryExecModeExec}, c.args...)...)),
		} {
			var e *pgdbm.Error
			if !errors.Is(err, c.class) || !errors.As(err, &e) || !errors.Is(e.Class, c.class) {
				t.Errorf("%s: %s: %v; want %v", way, c.sql, err, c.class)
				continue
			}
			if e.Schema != c.want.Schema || e.Table != c.want.Table || e.Constraint != c.want.Constraint {
				t.Errorf("%s: %s: details %q %q %q", way, c.sql, e.Schema, e.Table, e.Constraint)
			}
			if _, ok := errors.AsType[*pgconn.PgError](err); !ok {
				t.Errorf("%s: %s: the server's error is lost", way, c.sql)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "-7") {
				t.Errorf("%s: an argument in the message: %v", way, err)
			}
			if n := strings.Count(err.Error(), "pgdbm:"); n != 1 {
				t.Errorf("%s: the package's prefix stands %d times: %v", way, n, err)
			}
		}
	}
	whole(t, m)
}

func second[T any](_ T, err error) error { return err }

func TestDeferredConstraintFailsAtCommit(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	exec(t, m, "create table {{tables.late}} (item bigint references {{tables.items}} deferrable initially deferred)")
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		return second(tx.Exec(ctx, "insert into {{tables.late}} values (99)"))
	})
	var e *pgdbm.Error
	if !errors.As(err, &e) || !errors.Is(e.Class, pgdbm.ErrReference) || e.Table != "late" {
		t.Errorf("got %v", err)
	}
	whole(t, m)
}

func TestCopyErrorsAreClassified(t *testing.T) {
	t.Parallel()
	m := setup(t)
	_, err := m.CopyFrom(t.Context(), "items", []string{"name"}, pgx.CopyFromRows([][]any{{"a"}, {"a"}}))
	if !errors.Is(err, pgdbm.ErrConflict) {
		t.Errorf("got %v", err)
	}
	_, err = m.CopyFrom(t.Context(), "app.items", []string{"name"}, pgx.CopyFromRows(nil))
	if err == nil || !strings.Contains(err.Error(), "unqualified table") {
		t.Errorf("got %v", err)
	}
}

func TestArgumentsThatCannotBeEncodedStayOutOfTheMessage(t *testing.T) {
	t.Parallel()
	m := setup(t)
	for _, arg := range []any{secret, struct{ S string }{secret}, []string{secret}} {
		err := second(m.Exec(t.Context(), "select $1::int, $2::int", 1, arg))
		if !errors.Is(err, pgdbm.ErrInvalid) {
			t.Errorf("%T: %v", arg, err)
		}
		if strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "argument $2") && !strings.Contains(err.Error(), "22P02") {
			t.Errorf("%T: %v", arg, err)
		}
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	m := setup(t)
	err := m.QueryRow(t.Context(), "select id from {{tables.items}}").Scan(new(int64))
	if !errors.Is(err, pgdbm.ErrNotFound) || !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("got %v", err)
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if err := second(m.Exec(ctx, "select pg_sleep(60)")); !errors.Is(err, pgdbm.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		exec(t, tx, "set local statement_timeout to 1")
		return second(tx.Exec(t.Context(), "select pg_sleep(60)"))
	})
	if !errors.Is(err, pgdbm.ErrTimeout) {
		t.Errorf("statement_timeout: %v", err)
	}
	err = m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		exec(t, tx, "lock table {{tables.items}} in access exclusive mode")
		return m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			return second(tx.Exec(t.Context(), "lock table {{tables.items}} in access share mode nowait"))
		})
	})
	if !errors.Is(err, pgdbm.ErrLocked) {
		t.Errorf("nowait: %v", err)
	}
}

func TestClassifyKeepsWhatIsClassified(t *testing.T) {
	t.Parallel()
	e := &pgdbm.Error{Class: pgdbm.ErrStale}
	if got := pgdbm.Classify(e); !errors.Is(got, error(e)) {
		t.Errorf("got %v", got)
	}
	if pgdbm.Classify(nil) != nil {
		t.Error("nil became an error")
	}
	if err := pgdbm.Classify(&pgconn.PgError{Code: "53300"}); !errors.Is(err, pgdbm.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
