package pgdbm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// way is a way to run a statement that fails.
type way func(ctx context.Context, db pgdbm.DB, sql string, args []any) error

var ways = map[string]way{
	"Exec": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		return second(db.Exec(ctx, sql, args...))
	},
	"Rows.Err": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		rows, err := db.Query(ctx, sql, args...)
		for err == nil && rows.Next() {
		}
		rows.Close()
		if again := rows.Err(); err != nil && !errors.Is(err, again) {
			return fmt.Errorf("%w, then %w", err, again)
		}
		return rows.Err()
	},
	"Row.Scan": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		return db.QueryRow(ctx, sql, args...).Scan(new(any))
	},
	"FetchAll": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		return second(pgdbm.FetchAll[map[string]any](ctx, db, sql, args...))
	},
	"FetchOne": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		return second(pgdbm.FetchOne[map[string]any](ctx, db, sql, args...))
	},
	"FetchValue": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		return second(pgdbm.FetchValue[any](ctx, db, sql, args...))
	},
	"ExecMany": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		return second(pgdbm.ExecMany(ctx, db, sql, [][]any{args}))
	},
	"BatchResults.Close": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		return db.SendBatch(ctx, batchAround(sql, args)).Close()
	},
	"BatchResults.Exec": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		results := db.SendBatch(ctx, batchAround(sql, args))
		defer func() { _ = results.Close() }()
		if _, err := results.Exec(); err != nil {
			return err
		}
		return second(results.Exec())
	},
	"BatchResults.Query": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		results := db.SendBatch(ctx, batchAround(sql, args))
		defer func() { _ = results.Close() }()
		if err := results.QueryRow().Scan(new(any)); err != nil {
			return err
		}
		rows, _ := results.Query()
		for rows.Next() {
		}
		return rows.Err()
	},
	"BatchResults.QueryRow": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		results := db.SendBatch(ctx, batchAround(sql, args))
		defer func() { _ = results.Close() }()
		if err := results.QueryRow().Scan(new(any)); err != nil {
			return err
		}
		return results.QueryRow().Scan(new(any))
	},
	"QueuedQuery.Query": func(ctx context.Context, db pgdbm.DB, sql string, args []any) (inside error) {
		b := batchAround(sql, args)
		b.QueuedQueries[1].Query(func(rows pgx.Rows) error {
			for rows.Next() {
			}
			inside = rows.Err()
			return inside
		})
		return closed(db.SendBatch(ctx, b), &inside)
	},
	"QueuedQuery.QueryRow": func(ctx context.Context, db pgdbm.DB, sql string, args []any) (inside error) {
		b := batchAround(sql, args)
		b.QueuedQueries[1].QueryRow(func(row pgx.Row) error {
			inside = row.Scan(new(any))
			return inside
		})
		return closed(db.SendBatch(ctx, b), &inside)
	},
	"QueuedQuery.Exec": func(ctx context.Context, db pgdbm.DB, sql string, args []any) error {
		b := batchAround(sql, args)
		b.QueuedQueries[1].Exec(func(pgtag) error { return nil })
		return db.SendBatch(ctx, b).Close()
	},
}

// batchAround returns a batch of three statements with sql in the middle.
func batchAround(sql string, args []any) *pgx.Batch {
	b := &pgx.Batch{}
	b.Queue("select 1")
	b.Queue(sql, args...)
	b.Queue("select 2")
	return b
}

// closed closes results and returns the error, which must be the one inside, if any.
func closed(results pgx.BatchResults, inside *error) error {
	err := results.Close()
	if *inside != nil && !errors.Is(err, *inside) {
		return fmt.Errorf("inside %w, at the end %w", *inside, err)
	}
	return err
}

// within are where statements run.
var within = map[string]func(context.Context, *pgdbm.Manager, func(pgdbm.DB) error) error{
	"outside": func(_ context.Context, m *pgdbm.Manager, fn func(pgdbm.DB) error) error { return fn(m) },
	"first": func(ctx context.Context, m *pgdbm.Manager, fn func(pgdbm.DB) error) error {
		return m.InTx(ctx, func(tx *pgdbm.Tx) error { return fn(tx) })
	},
	"later": func(ctx context.Context, m *pgdbm.Manager, fn func(pgdbm.DB) error) error {
		return m.InTx(ctx, func(tx *pgdbm.Tx) error {
			if _, err := tx.Exec(ctx, "select 1"); err != nil {
				return err
			}
			return fn(tx)
		})
	},
	"hidden": func(ctx context.Context, m *pgdbm.Manager, fn func(pgdbm.DB) error) error {
		return m.InTx(ctx, func(tx *pgdbm.Tx) error {
			_ = fn(tx)
			return nil
		})
	},
}

// Every class, from every place where pgx reports errors, in every mode: the class,
// the names and the hint are there, the values are not.
func TestErrorsAreClassifiedWhereverPgxReportsThem(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			log := &logBuffer{}
			m := setupErrors(t, pgdbm.Config{ConnString: withParam(testkit.ConnString(t), "default_query_exec_mode", mode), Logger: log.logger()})
			for name, c := range errorCases {
				for how, way := range ways {
					for where, run := range within {
						if mode != "cache_statement" && where != "first" && how != "Exec" {
							continue // that makes no difference
						}
						err := run(t.Context(), m, func(db pgdbm.DB) error { return way(t.Context(), db, c.sql, c.args) })
						at := name + ", " + how + ", " + where
						checkError(t, at, err, c, how)
						log.logger().Error("failed", "err", err)
						if where == "hidden" && !errors.Is(err, pgx.ErrTxCommitRollback) {
							t.Errorf("%s: commit: %v", at, err)
						}
					}
				}
			}
			if s := log.String(); strings.Contains(s, secret) || strings.Contains(s, fmt.Sprint(secretNumber)) {
				t.Errorf("a value in the log: %s", s)
			}
			whole(t, m)
		})
	}
}

func checkError(t *testing.T, at string, err error, c errorCase, how string) {
	t.Helper()
	e, ok := errors.AsType[*pgdbm.Error](err)
	if !ok || e.Class != c.want.Class || c.want.Class != nil && !errors.Is(err, c.want.Class) { //nolint:errorlint // the class alone
		t.Errorf("%s: %v; want %v", at, err, c.want.Class)
		return
	}
	pg, _ := errors.AsType[*pgconn.PgError](err)
	if pg == nil || pg.Code != c.code {
		t.Errorf("%s: the server's error is %v", at, pg)
	}
	if e.Schema != c.want.Schema || e.Table != c.want.Table || e.Column != c.want.Column || e.Constraint != c.want.Constraint {
		t.Errorf("%s: schema %q, table %q, column %q, constraint %q", at, e.Schema, e.Table, e.Column, e.Constraint)
	}
	if !strings.Contains(e.SQL, strings.Fields(c.sql)[0]) && !strings.HasPrefix(how, "BatchResults.Close") {
		t.Errorf("%s: SQL %q", at, e.SQL)
	}
	if !strings.Contains(err.Error(), c.text) {
		t.Errorf("%s: %v\nwant in it %s", at, err, c.text)
	}
	valueFree(t, at, err)
	if n := strings.Count(err.Error(), "pgdbm:"); n != 1 {
		t.Errorf("%s: the package's prefix stands %d times: %v", at, n, err)
	}
}

// valueFree fails the test if err shows a value, however it is printed.
func valueFree(t *testing.T, at string, err error) {
	t.Helper()
	encoded, _ := json.Marshal(map[string]any{"err": err})
	for _, s := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fmt.Sprintf("%q", err), string(encoded)} {
		if strings.Contains(s, secret) || strings.Contains(s, fmt.Sprint(secretNumber)) {
			t.Errorf("%s: a value in %s", at, s)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestNotFound(t *testing.T) {
	t.Parallel()
	m := setup(t)
	err := m.QueryRow(t.Context(), "select id from {{tables.items}}").Scan(new(int64))
	if !errors.Is(err, pgdbm.ErrNotFound) || !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("got %v", err)
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
