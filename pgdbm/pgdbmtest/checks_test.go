package pgdbmtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func TestCount(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithData())
	testkit.Equal(t, db.Count("users"), 3)
	testkit.Equal(t, db.Count("users", "email like $1 or full_name = $2 -- a comment", "bob%", "Alice Smith"), 2)
	testkit.Equal(t, db.Count("public.users"), 3)
	wantFatal(t, func(f *fake) { onFake(t, f).Count("users", 5) }, "pgdbmtest: Count: the condition is a int; give SQL text")
	wantFatal(t, func(f *fake) { onFake(t, f).Count("clients") }, "pgdbmtest: Count: ", "clients")
	wantFatal(t, func(f *fake) { onFake(t, f).Count("users u") }, "pgdbmtest: Count: ", "users u")
}

// onFake returns a database whose helpers end the fake test.
func onFake(t *testing.T, f *fake) *pgdbmtest.DB {
	t.Helper()
	return pgdbmtest.New(f, pgdbmtest.WithData())
}

func TestTableExists(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithSchema("app"), pgdbmtest.WithTables())
	execute(t, db, "create view {{tables.active}} as select * from {{tables.users}} where is_active")
	for table, want := range map[string]bool{
		"users": true, "active": true, "app.users": true, "Users": false, "users_pkey": false, "users_id_seq": false, "public.users": false, "nowhere.users": false,
	} {
		if got := db.TableExists(table); got != want {
			t.Errorf("%s: %v", table, got)
		}
	}
	wantFatal(t, func(f *fake) { onFake(t, f).TableExists("no-good") }, "pgdbmtest: TableExists: ", "no-good")
}

func TestTruncate(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithData())
	db.Truncate("projects")
	testkit.Equal(t, db.Count("users"), 3)
	testkit.Equal(t, db.Count("projects"), 0)
	testkit.Equal(t, db.Count("agents"), 0)
	db.Truncate("users", "agents")
	execute(t, db, "insert into users (email) values ('ada@example.com')")
	testkit.Equal(t, db.Count("users", "id = 1"), 1)
	wantFatal(t, func(f *fake) { onFake(t, f).Truncate() }, "pgdbmtest: Truncate: name the tables")
	wantFatal(t, func(f *fake) { onFake(t, f).Truncate("clients") }, "pgdbmtest: Truncate: ", "clients")
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithData())
	before := db.Snapshot("users", "id")
	before.RequireUnchanged()
	execute(t, db, "update users set full_name = full_name")
	before.RequireUnchanged()

	for sql, parts := range map[string][]string{
		"delete from users where id = 3":                          {"table users has changed", `  - {"id":3,"email":"charlie@example.com"`},
		"insert into users (email) values ('ada')":                {`  + {"id":4,"email":"ada"`},
		"update users set is_active = false where id = 1":         {`"is_active":true`, "\n  + ", `"is_active":false`},
		"insert into users (email) select generate_series(1, 30)": {"  and 10 more"},
	} {
		wantFatal(t, func(f *fake) {
			db := onFake(t, f)
			before := db.Snapshot("users", "id")
			execute(t, db, sql)
			before.RequireUnchanged()
		}, parts...)
	}
	unordered := db.Snapshot("agents", "")
	execute(t, db, "update agents set status = status where id < 3")
	unordered.RequireUnchanged()
	wantFatal(t, func(f *fake) { onFake(t, f).Snapshot("clients", "id") }, "pgdbmtest: Snapshot: ", "clients")
}

func TestSnapshotSeesEveryColumn(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t)
	execute(t, db, "create table {{tables.t}} (r int, s int); insert into t values (1, 1)", pgx.QueryExecModeSimpleProtocol)
	wantFatal(t, func(f *fake) { // a column that is called like the row
		before := db.For(f).Snapshot("t", "r")
		execute(t, db, "update t set s = 2")
		before.RequireUnchanged()
	}, `  - {"r":1,"s":1}`, `  + {"r":1,"s":2}`)
}

func TestTxHasTheHelpersOfDB(t *testing.T) {
	t.Parallel()
	tx := pgdbmtest.NewTx(t, pgdbmtest.WithModules(orders, users), pgdbmtest.WithSchema("orders"))
	before := tx.Snapshot("users.users", "id")
	testkit.Equal(t, tx.TableExists("orders"), true)
	testkit.Equal(t, tx.TableExists("users"), false)
	people := tx.InSchema("users")
	id, err := store{people}.add(t.Context(), "ada@example.com")
	testkit.NoError(t, err)
	execute(t, tx, "insert into {{tables.orders}} (owner) values ($1)", id)
	testkit.Equal(t, tx.Count("orders", "owner = $1", id), 1)
	people.Truncate("users")
	testkit.Equal(t, tx.Count("orders"), 0)
	before.RequireUnchanged()
}

func TestHelpersSayThatNoModuleIsBound(t *testing.T) {
	t.Parallel()
	wantFatal(t, func(f *fake) { pgdbmtest.New(f, pgdbmtest.WithModules(orders, users)).Count("orders") },
		`pgdbmtest: Count: pgdbm: undefined object`, `; of several modules none is bound: add WithSchema("orders"), or name the table "orders.…"`)
}
