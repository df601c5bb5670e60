package module_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// ways are all ways to run a statement on a DB.
var ways = map[string]func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error{
	"Exec": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		_, err := db.Exec(ctx, sql, args...)
		return err
	},
	"Query": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		rows, err := db.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return rows.Err()
	},
	"QueryRow": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		err := db.QueryRow(ctx, sql, args...).Scan(nil)
		if errors.Is(err, pgdbm.ErrNotFound) {
			return nil
		}
		return err
	},
	"with a mode": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		_, err := db.Exec(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
		return err
	},
	"Query with formats": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		rows, err := db.Query(ctx, sql, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
		if err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	},
	"SendBatch": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		b := &pgx.Batch{}
		b.Queue("select 1")
		b.Queue(sql, args...)
		return db.SendBatch(ctx, b).Close()
	},
	"ExecMany": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		_, err := pgdbm.ExecMany(ctx, db, sql, [][]any{args})
		return err
	},
	"several statements": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		if len(args) > 0 {
			_, err := db.Exec(ctx, sql, args...)
			return err
		}
		_, err := db.Exec(ctx, "select 1; "+sql+"; select 2")
		return err
	},
	"InTx": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		return db.InTx(ctx, func(tx *pgdbm.Tx) error {
			_, err := tx.Exec(ctx, sql, args...)
			return err
		})
	},
	"the second of a transaction": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		return db.InTx(ctx, func(tx *pgdbm.Tx) error {
			if _, err := tx.Exec(ctx, "select 1"); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, sql, args...)
			return err
		})
	},
	"a savepoint": func(ctx context.Context, db pgdbm.DB, sql string, args ...any) error {
		return db.InTx(ctx, func(tx *pgdbm.Tx) error {
			return tx.InTx(ctx, func(tx *pgdbm.Tx) error {
				_, err := tx.Exec(ctx, sql, args...)
				return err
			})
		})
	},
}

func TestAModuleReachesItsSchemaAndReadsItsDependencies(t *testing.T) {
	t.Parallel()
	for _, login := range logins {
		t.Run(login, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, login, pgdbm.Config{MaxConns: 2})
			ctx := t.Context()
			testkit.Equal(t, who(t, s.sales), s.sales.Role())
			for name, run := range ways {
				testkit.NoError(t, run(ctx, s.sales, "insert into {{tables.orders}} (buyer, note) values (1, $1) returning id", name))
				testkit.NoError(t, run(ctx, s.sales, "update {{tables.orders}} set note = note || '!' where note = $1", name))
				testkit.NoError(t, run(ctx, s.sales, "select name from {{tables.people.people}}"))

				for _, sql := range []string{
					"insert into {{tables.people.people}} values (2, 'bob')",
					"update {{tables.people.people}} set name = 'x' where id = 1",
					"do $$begin execute 'delete from {{tables.people.people}}'; end$$",
				} {
					err := run(ctx, s.sales, sql)
					testkit.ErrorIs(t, err, pgdbm.ErrPermission)
					testkit.ErrorContains(t, err, `module "sales" may only read the tables of "people"`, "call the store of", "people.people", "(table people.people, SQLSTATE 42501)")
				}
				for _, sql := range []string{
					"select id from billing.invoices",
					"delete from billing.invoices",
					"do $x$begin perform id from billing.invoices; end$x$",
					"with i as (select * from billing.invoices) insert into {{tables.orders}} (buyer) select id from i",
				} {
					err := run(ctx, s.sales, sql)
					testkit.ErrorIs(t, err, pgdbm.ErrPermission)
					testkit.ErrorContains(t, err, `module "sales" does not depend on "billing"`, "add it to DependsOn to read billing.invoices")
				}
				for _, sql := range []string{"create table {{tables.more}} ()", "drop table {{tables.orders}}", "delete from {{schema}}.pgdbm_migrations"} {
					err := run(ctx, s.sales, sql)
					testkit.ErrorIs(t, err, pgdbm.ErrPermission)
					testkit.ErrorContains(t, err, `module "sales" works as role "`+s.sales.Role()+`"`)
				}
				testkit.NoError(t, run(ctx, s.sales, "select key from {{schema}}.pgdbm_migrations"))
			}
			n, err := pgdbm.FetchValue[int](ctx, s.sales, "select count(*) from {{tables.orders}} where note like '%!'")
			testkit.NoError(t, err)
			testkit.Equal(t, n, len(ways))
			s.loggedIn(t)
		})
	}
}

func TestCopyUnderARole(t *testing.T) {
	t.Parallel()
	s := openShop(t, "creator", pgdbm.Config{MaxConns: 2})
	ctx := t.Context()
	rows := func() pgx.CopyFromSource { return pgx.CopyFromRows([][]any{{1, "copied"}}) }
	n, err := s.sales.CopyFrom(ctx, "orders", []string{"buyer", "note"}, rows())
	testkit.NoError(t, err)
	testkit.Equal(t, n, 1)
	n, err = pgdbm.CopySeq(ctx, s.sales, "orders", []string{"buyer", "note"}, func(yield func([]any, error) bool) { yield([]any{1, "more"}, nil) })
	testkit.NoError(t, err)
	testkit.Equal(t, n, 1)
	own := errors.New("of the source")
	_, err = pgdbm.CopySeq(ctx, s.sales, "orders", []string{"buyer"}, func(yield func([]any, error) bool) { yield(nil, own) })
	testkit.ErrorIs(t, err, own)
	_, err = s.sales.CopyFrom(ctx, "pgdbm_migrations", []string{"name"}, pgx.CopyFromRows([][]any{{"x"}}))
	testkit.ErrorIs(t, err, pgdbm.ErrPermission)
	testkit.NoError(t, s.sales.InTx(ctx, func(tx *pgdbm.Tx) error {
		exec(t, s.people.In(tx), "select 1")
		_, err := tx.CopyFrom(ctx, "orders", []string{"buyer", "note"}, pgx.CopyFromRows([][]any{{1, "in a transaction"}}))
		testkit.Equal(t, who(t, tx), s.sales.Role())
		return err
	}))
	notes, err := pgdbm.FetchAll[string](ctx, s.sales, "select note from {{tables.orders}} order by id")
	testkit.NoError(t, err)
	if want := []string{"copied", "more", "in a transaction"}; !slices.Equal(notes, want) {
		t.Errorf("%v, want %v", notes, want)
	}
	s.loggedIn(t)
}

func TestModulesTakeTurnsInATransaction(t *testing.T) {
	t.Parallel()
	s := openShop(t, "creator", pgdbm.Config{MaxConns: 2})
	ctx := t.Context()
	plain, err := s.pool.Manager("sales")
	testkit.NoError(t, err)
	undo := errors.New("undo")
	testkit.NoError(t, s.sales.InTx(ctx, func(tx *pgdbm.Tx) error {
		inPeople, inBilling := s.people.In(tx), s.billing.In(tx)
		testkit.Equal(t, who(t, tx), s.sales.Role())
		testkit.Equal(t, who(t, inPeople), s.people.Role())
		testkit.Equal(t, who(t, inPeople), s.people.Role())
		testkit.Equal(t, who(t, plain.In(tx)), s.login)
		testkit.Equal(t, who(t, tx), s.sales.Role())
		exec(t, inPeople, "insert into {{tables.people}} values (2, 'bob')")
		exec(t, inBilling, "insert into {{tables.invoices}} values ($1)", 8)
		exec(t, tx, "insert into {{tables.orders}} (buyer) values (2)")

		err := tx.InTx(ctx, func(tx *pgdbm.Tx) error {
			testkit.Equal(t, who(t, s.people.In(tx)), s.people.Role())
			testkit.Equal(t, who(t, s.billing.In(tx)), s.billing.Role())
			return undo
		})
		testkit.ErrorIs(t, err, undo)
		testkit.Equal(t, who(t, inBilling), s.billing.Role())

		err = tx.InTx(ctx, func(tx *pgdbm.Tx) error {
			return ways["Exec"](ctx, s.people.In(tx), "delete from billing.invoices")
		})
		testkit.ErrorContains(t, err, `module "people" does not depend on "billing"`)
		testkit.Equal(t, who(t, tx), s.sales.Role())

		testkit.NoError(t, tx.InTx(ctx, func(tx *pgdbm.Tx) error { exec(t, s.people.In(tx), "select 1"); return nil }))
		b := &pgx.Batch{}
		b.Queue("insert into {{tables.invoices}} values (9)")
		b.Queue("select current_user::text").QueryRow(func(row pgx.Row) error {
			var role string
			defer func() { testkit.Equal(t, role, s.billing.Role()) }()
			return row.Scan(&role)
		})
		testkit.NoError(t, inBilling.SendBatch(ctx, b).Close())

		// SQL that changes the role behind our back does so for itself only.
		exec(t, tx, "set local role none")
		testkit.Equal(t, who(t, tx), s.sales.Role())
		exec(t, tx, "select 1; set local role none")
		testkit.Equal(t, who(t, inBilling), s.billing.Role())
		exec(t, tx, "savepoint mine")
		testkit.Equal(t, who(t, inPeople), s.people.Role())
		exec(t, inPeople, "rollback to savepoint mine")
		testkit.Equal(t, who(t, inPeople), s.people.Role())

		raw, err := tx.Pgx(ctx)
		testkit.NoError(t, err)
		var role string
		testkit.NoError(t, raw.QueryRow(ctx, "select current_user::text").Scan(&role))
		testkit.Equal(t, role, s.sales.Role())
		_, err = raw.Exec(ctx, "set local role none")
		testkit.NoError(t, err)
		testkit.Equal(t, who(t, tx), s.sales.Role())
		return nil
	}))
	n, err := pgdbm.FetchValue[int](ctx, s.billing, "select count(*) from {{tables.invoices}}")
	testkit.NoError(t, err)
	testkit.Equal(t, n, 3)

	// A transaction that one without a role began, and one of the first statement
	// that another module sends.
	testkit.NoError(t, plain.InTx(ctx, func(tx *pgdbm.Tx) error {
		testkit.Equal(t, who(t, tx), s.login)
		testkit.Equal(t, who(t, s.sales.In(tx)), s.sales.Role())
		testkit.Equal(t, who(t, tx), s.login)
		return nil
	}))
	testkit.NoError(t, s.sales.InTx(ctx, func(tx *pgdbm.Tx) error {
		testkit.Equal(t, who(t, s.people.In(tx)), s.people.Role())
		return nil
	}))
	s.loggedIn(t)
}

// The owner of an adopted transaction finds it as it was, whatever ran in between.
func TestAdoptedTransactionKeepsItsRole(t *testing.T) {
	t.Parallel()
	s := openShop(t, "creator", pgdbm.Config{MaxConns: 2})
	ctx := t.Context()
	for _, before := range []string{"", s.people.Role()} {
		raw, err := s.pool.Pgx().Begin(ctx)
		testkit.NoError(t, err)
		want := s.login
		if before != "" {
			want = before
			_, err := raw.Exec(ctx, `set local role "`+before+`"`)
			testkit.NoError(t, err)
		}
		unchanged := func() {
			t.Helper()
			var role string
			testkit.NoError(t, raw.QueryRow(ctx, "select current_user::text").Scan(&role))
			testkit.Equal(t, role, want)
		}
		tx := s.sales.Adopt(raw)
		for name, run := range ways {
			testkit.NoError(t, run(ctx, tx, "insert into {{tables.orders}} (buyer, note) values (1, $1)", name))
			unchanged()
		}
		testkit.Equal(t, who(t, tx), s.sales.Role())
		testkit.Equal(t, who(t, s.billing.In(tx)), s.billing.Role())
		unchanged()
		rows, err := tx.Query(ctx, "select current_user::text, generate_series(1, 3)")
		testkit.NoError(t, err)
		rows.Next()
		rows.Close()
		unchanged()
		_, err = tx.CopyFrom(ctx, "orders", []string{"buyer"}, pgx.CopyFromRows([][]any{{1}}))
		testkit.NoError(t, err)
		unchanged()
		exec(t, tx, "savepoint mine")
		exec(t, tx, "select 1; select 2")
		exec(t, tx, "rollback to savepoint mine")
		unchanged()
		err = tx.InTx(ctx, func(tx *pgdbm.Tx) error { return ways["Query"](ctx, tx, "select * from billing.invoices") })
		testkit.ErrorContains(t, err, `module "sales" does not depend on "billing"`)
		unchanged()
		same, err := tx.Pgx(ctx)
		testkit.NoError(t, err)
		testkit.Equal(t, same, raw)
		unchanged()
		err = ways["Exec"](ctx, tx, "delete from {{tables.people.people}}")
		testkit.ErrorContains(t, err, `module "sales" may only read the tables of "people"`)
		testkit.NoError(t, raw.Rollback(ctx))
	}
	s.loggedIn(t)
}
