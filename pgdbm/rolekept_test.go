package pgdbm_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// What fails on our side leaves an adopted transaction open: its owner goes on
// under its own role.
func TestAdoptedTransactionGetsItsRoleBack(t *testing.T) {
	t.Parallel()
	pool := open(t, setupRole(t, testkit.ConnString(t)))
	app := bindRole(t, pool, "app")
	login := currentUser(t, bind(t, pool, "app"))
	ctx := t.Context()
	const number = "select name from {{tables.items}} where n = $1"
	tooLarge := []any{int64(1) << 40}
	for what, fails := range map[string]func(tx *pgdbm.Tx) error{
		"Exec":  func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, number, tooLarge...)) },
		"Query": func(tx *pgdbm.Tx) error { return second(tx.Query(ctx, number, tooLarge...)) },
		"SendBatch": func(tx *pgdbm.Tx) error {
			b := &pgx.Batch{}
			b.Queue(number, tooLarge...)
			return tx.SendBatch(ctx, b).Close()
		},
		"CopyFrom": func(tx *pgdbm.Tx) error {
			ended, cancel := context.WithCancel(ctx)
			return second(tx.CopyFrom(ended, "items", []string{"name"}, pgx.CopyFromFunc(func() ([]any, error) { cancel(); return nil, nil })))
		},
		"ends": func(tx *pgdbm.Tx) error {
			ended, cancel := context.WithCancel(ctx)
			rows, err := tx.Query(ended, "select 1")
			testkit.NoError(t, err)
			testkit.Equal(t, rows.Next(), true)
			cancel()
			for rows.Next() {
			}
			return nil
		},
	} {
		raw, err := pool.Pgx().Begin(ctx)
		testkit.NoError(t, err)
		err = fails(app.Adopt(raw))
		if raw.Conn().IsClosed() || raw.Conn().PgConn().TxStatus() != 'T' {
			t.Logf("%s: the transaction is over: %v", what, err)
			_ = raw.Rollback(ctx)
			continue
		}
		var user string
		testkit.NoError(t, raw.QueryRow(ctx, "select current_user::text").Scan(&user))
		if user != login {
			t.Errorf("%s (%v): the owner works as %s", what, err, user)
		}
		testkit.NoError(t, raw.Rollback(ctx))
	}
}

// COMMIT AND CHAIN ends a role, and the transaction goes on.
func TestRoleAfterCommitAndChain(t *testing.T) {
	t.Parallel()
	app := bindRole(t, open(t, setupRole(t, testkit.ConnString(t))), "app")
	for what, way := range ways {
		for _, chain := range []string{"commit and chain", "rollback and chain", "end and chain"} {
			testkit.NoError(t, app.InTx(t.Context(), func(tx *pgdbm.Tx) error {
				exec(t, tx, "select 1")
				err := way(t.Context(), tx, chain, nil)
				if user := currentUser(t, tx); user != app.Role() {
					t.Errorf("%s, %s (%v): %s", what, chain, err, user)
				}
				return nil
			}))
		}
	}
}

// Whoever has pgx's transaction may change its role behind our back: what is
// undone to a savepoint takes the role with it.
func TestRoleAfterASavepointOfPgx(t *testing.T) {
	t.Parallel()
	pool := open(t, setupRole(t, testkit.ConnString(t)))
	app, shop, admin := bindRole(t, pool, "app"), bindRole(t, pool, "shop"), bind(t, pool, "app")
	ctx := t.Context()
	testkit.NoError(t, admin.InTx(ctx, func(tx *pgdbm.Tx) error {
		raw, err := tx.Pgx(ctx)
		testkit.NoError(t, err)
		savepoint, err := raw.Begin(ctx)
		testkit.NoError(t, err)
		testkit.Equal(t, currentUser(t, shop.In(tx)), shop.Role())
		testkit.NoError(t, savepoint.Rollback(ctx))
		testkit.Equal(t, currentUser(t, shop.In(tx)), shop.Role())
		testkit.Equal(t, currentUser(t, app.In(tx)), app.Role())
		return nil
	}))
}

// A login may have taken a role of its own when it connected.
func TestTransactionOfALoginThatTookARole(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	cfg := setupRole(t, dsn)
	owner := rolePrefix() + "owner"
	admin := bind(t, open(t, pgdbm.Config{ConnString: dsn}), "")
	exec(t, admin, "create role "+owner+" in role "+cfg.ModuleRoles+"app")
	t.Cleanup(func() { testkit.NoError(t, second(admin.Exec(context.Background(), "drop role "+owner))) })
	takes := "set role " + owner
	for how, cfg := range map[string]pgdbm.Config{
		"OnConnect": {ConnString: cfg.ConnString, ModuleRoles: cfg.ModuleRoles, OnConnect: []string{takes}},
		"AfterConnect": {ConnString: cfg.ConnString, ModuleRoles: cfg.ModuleRoles, AfterConnect: func(ctx context.Context, conn *pgx.Conn) error {
			return second(conn.Exec(ctx, takes))
		}},
		"RuntimeParams": {ConnString: cfg.ConnString, ModuleRoles: cfg.ModuleRoles, RuntimeParams: map[string]string{"role": owner}},
	} {
		pool := open(t, cfg)
		app, login := bindRole(t, pool, "app"), bind(t, pool, "app")
		testkit.NoError(t, login.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			for range 2 {
				if user := currentUser(t, tx); user != owner {
					t.Errorf("%s: the login works as %s", how, user)
				}
				testkit.Equal(t, currentUser(t, app.In(tx)), app.Role())
			}
			return nil
		}))
		testkit.NoError(t, app.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			testkit.Equal(t, currentUser(t, tx), app.Role())
			if user := currentUser(t, login.In(tx)); user != owner {
				t.Errorf("%s: the login works as %s in a transaction of the module", how, user)
			}
			return nil
		}))
	}
}

// What a DO block or a procedure does after a COMMIT would run as the login.
func TestCommitInsideOfAStatementUnderARole(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{0, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		pool := open(t, setupRole(t, testkit.ConnString(t)))
		admin := bind(t, pool, "app")
		exec(t, admin, "create procedure app.leave() language plpgsql as 'begin commit; insert into shop.items values (1); end'")
		app, err := pool.Bind(pgdbm.Binding{Module: "app", Schema: "app", ExecMode: mode})
		testkit.NoError(t, err)
		for what, way := range ways {
			for _, sql := range []string{
				"do 'begin commit; insert into shop.items values (1); end'",
				"/* x */ CALL app.leave()",
			} {
				for name, db := range map[string]pgdbm.DB{"": app, " on a replica": app.Replica("")} {
					if err := way(t.Context(), db, sql, nil); err == nil {
						t.Errorf("%s, %s%s: %s worked", mode, what, name, sql)
					}
				}
			}
		}
		for _, db := range []pgdbm.DB{app, app.Replica("")} { // one that does not commit works
			exec(t, db, "do 'begin perform 1; end'")
			rows, err := db.Query(t.Context(), "do 'begin perform 1; end'")
			testkit.NoError(t, err)
			rows.Close()
			testkit.NoError(t, rows.Err())
		}
		exec(t, admin, "do 'begin commit; insert into app.items (n) values (1); end'")
		n, err := pgdbm.FetchValue[int](t.Context(), admin, "select count(*) from shop.items")
		testkit.NoError(t, err)
		testkit.Equal(t, n, 0)
	}
}

// The same for reads without a role: what follows the COMMIT would write.
func TestCommitInsideOfARead(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{}), "app")
	exec(t, m, "create table {{tables.items}} (id int)")
	exec(t, m, "create procedure {{schema}}.leave() language plpgsql as 'begin commit; insert into {{tables.items}} values (1); end'")
	for what, way := range ways {
		if err := way(t.Context(), m.Replica(""), "call {{schema}}.leave()", nil); err == nil {
			t.Errorf("%s: it wrote", what)
		}
	}
	b := &pgx.Batch{}
	b.Queue("commit")
	b.Queue("insert into {{tables.items}} values (1)")
	testkit.ErrorContains(t, m.Replica("").SendBatch(t.Context(), b).Close(), "pgdbm: SendBatch: statement 1 ends the transaction")
	n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from {{tables.items}}")
	testkit.NoError(t, err)
	testkit.Equal(t, n, 0)
}

// What follows the end of a transaction in a batch would run as the login.
func TestBatchThatEndsItsTransactionUnderARole(t *testing.T) {
	t.Parallel()
	pool := open(t, setupRole(t, testkit.ConnString(t)))
	app := bindRole(t, pool, "app")
	ctx := t.Context()
	for _, ends := range []string{"commit", "END", "/* x */ rollback", "abort", "rollback and chain"} {
		batch := func() *pgx.Batch {
			b := &pgx.Batch{}
			b.Queue("select 1")
			b.Queue(ends)
			b.Queue("insert into shop.items values (1)")
			return b
		}
		err := app.SendBatch(ctx, batch()).Close()
		if err == nil {
			t.Errorf("%s: the batch worked", ends)
		}
		err = app.InTx(ctx, func(tx *pgdbm.Tx) error { return tx.SendBatch(ctx, batch()).Close() })
		if err == nil {
			t.Errorf("%s: the batch worked in a transaction", ends)
		}
	}
	n, err := pgdbm.FetchValue[int](ctx, bind(t, pool, "app"), "select count(*) from shop.items")
	testkit.NoError(t, err)
	testkit.Equal(t, n, 0)
}

// "none" is no role.
func TestRoleThatIsNone(t *testing.T) {
	t.Parallel()
	pool, err := pgdbm.New(pgdbm.Config{Host: "localhost", ModuleRoles: "no"})
	testkit.NoError(t, err)
	defer func() { _ = pool.Close(context.Background()) }()
	_, err = pool.Bind(pgdbm.Binding{Module: "users", Schema: "ne"})
	testkit.ErrorContains(t, err, `pgdbm: module "users": its role cannot be called "none"`)
}
