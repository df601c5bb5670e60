package pgdbmtest_test

import (
	"errors"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func TestNewIsOneLine(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t)
	testkit.Equal(t, db.Schema(), "")
	execute(t, db, "create table {{tables.notes}} (body text)")
	execute(t, db, "insert into notes values ('one'), ('two')")
	testkit.Equal(t, db.Count("notes"), 2)
}

func TestWhichSchemaIsBound(t *testing.T) {
	t.Parallel()
	sql := files("1_notes.sql", "create table {{tables.notes}} (body text);")
	for name, test := range map[string]struct {
		opts   []pgdbmtest.Option
		schema string
		tables []string
	}{
		"nothing":            {nil, "", nil},
		"a schema":           {[]pgdbmtest.Option{pgdbmtest.WithSchema("app")}, "app", nil},
		"two schemas":        {[]pgdbmtest.Option{pgdbmtest.WithSchema("app"), pgdbmtest.WithSchema("other")}, "other", nil},
		"migrations":         {[]pgdbmtest.Option{pgdbmtest.WithMigrations(sql)}, "public", []string{"notes"}},
		"migrations, schema": {[]pgdbmtest.Option{pgdbmtest.WithMigrations(sql), pgdbmtest.WithSchema("app")}, "app", []string{"notes"}},
		"one module":         {[]pgdbmtest.Option{pgdbmtest.WithModules(orders)}, "orders", []string{"orders", "users.users"}},
		"a module elsewhere": {[]pgdbmtest.Option{pgdbmtest.WithModules(orders.WithSchema("sales"))}, "sales", []string{"orders", "users.users"}},
		"two modules":        {[]pgdbmtest.Option{pgdbmtest.WithModules(orders, users)}, "", nil},
		"modules, schema":    {[]pgdbmtest.Option{pgdbmtest.WithModules(orders, users.WithSchema("people")), pgdbmtest.WithSchema("orders")}, "orders", []string{"orders", "users.users"}},
		"all of it": {
			[]pgdbmtest.Option{pgdbmtest.WithModules(users), pgdbmtest.WithSchema("app"), pgdbmtest.WithMigrations(sql)},
			"app",
			[]string{"notes", "users.users"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgdbmtest.New(t, test.opts...)
			testkit.Equal(t, db.Schema(), test.schema)
			for _, table := range test.tables {
				if !db.TableExists(table) {
					t.Errorf("there is no table %s", table)
				}
			}
			var bound bool
			err := db.QueryRow(t.Context(), "select $1 in (select nspname from pg_namespace) or $1 = ''", test.schema).Scan(&bound)
			if err != nil || !bound {
				t.Errorf("the schema does not exist: %v", err)
			}
		})
	}
}

func TestMigrationsMayNameTheTablesOfModules(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithSchema("app"), pgdbmtest.WithModules(users.WithSchema("people")), pgdbmtest.WithMigrations(files(
		"1_notes.sql", "create table {{tables.notes}} (author bigint references {{tables.users.users}});",
	)))
	id, err := store{db.InSchema("people")}.add(t.Context(), "ada@example.com")
	testkit.NoError(t, err)
	execute(t, db, "insert into {{tables.notes}} values ($1)", id)
	testkit.Equal(t, db.Count("users.users"), 1)
}

func TestStoreWorksOnADB(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithModules(users))
	s := store{db}
	id, err := s.add(t.Context(), "ada@example.com")
	testkit.NoError(t, err)
	testkit.Equal(t, id, 1)
	_, err = s.add(t.Context(), "ada@example.com")
	testkit.ErrorIs(t, err, pgdbm.ErrConflict)
	testkit.Equal(t, db.Count("users", "email = $1", "ada@example.com"), 1)
}

func TestInSchema(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithSchema("one"))
	two := db.InSchema("two")
	testkit.Equal(t, two.Schema(), "two")
	testkit.Equal(t, two.Name(), db.Name())
	execute(t, two, "create table {{tables.t}} (id int)")
	testkit.Equal(t, two.TableExists("t"), true)
	testkit.Equal(t, db.TableExists("t"), false)
	testkit.Equal(t, db.TableExists("two.t"), true)
}

func TestInSchemaOfAModuleBindsTheModule(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithModules(orders, users.WithSchema("people")))
	testkit.Equal(t, db.InSchema("orders").Count("users.users"), 0)
	_, err := db.InSchema("people").Exec(t.Context(), "select from {{tables.orders.orders}}")
	testkit.ErrorContains(t, err, `module "users" does not depend on "orders"`)
}

func TestConfigOpensTheSameDatabase(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithModules(users), pgdbmtest.WithSchema("app"))
	set, err := module.Open(t.Context(), db.Config(), users)
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, set.Close(t.Context())) }()
	m, err := set.Manager(users)
	testkit.NoError(t, err)
	_, err = store{m}.add(t.Context(), "ada@example.com")
	testkit.NoError(t, err)
	testkit.Equal(t, db.InSchema("users").Count("users"), 1)
	bound, err := set.Pool().Manager("")
	testkit.NoError(t, err)
	testkit.Equal(t, bound.Schema(), "app")
}

func TestURL(t *testing.T) {
	t.Parallel()
	url := pgdbmtest.URL(t, pgdbmtest.WithModules(users))
	pool, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: url, Schema: "users"})
	testkit.NoError(t, err)
	m, err := pool.Manager("")
	testkit.NoError(t, err)
	_, err = store{m}.add(t.Context(), "ada@example.com")
	testkit.NoError(t, errors.Join(err, pool.Close(t.Context())))
}

func TestMistakesInOptionsAreReportedTogether(t *testing.T) {
	t.Parallel()
	wantFatal(t, func(t *fake) {
		pgdbmtest.New(t, pgdbmtest.WithSchema("no-good"), pgdbmtest.WithPoolSize(0), pgdbmtest.WithSetup("", nil),
			pgdbmtest.WithMigrations(nil), pgdbmtest.WithRole(""), pgdbmtest.WithFixtures(files(), "missing.sql"))
	},
		`pgdbmtest: WithSchema: schema "no-good": a name is a letter or _`,
		"pgdbmtest: WithPoolSize(0): use 1 to 1000 connections",
		"pgdbmtest: WithSetup: give a key that says what the function does, and a function",
		"pgdbmtest: WithMigrations: the file system is nil",
		"pgdbmtest: WithRole: the name is empty",
		"pgdbmtest: WithFixtures: missing.sql: there is no such file",
	)
	wantFatal(t, func(t *fake) { pgdbmtest.New(t, pgdbmtest.WithModules(users, users)) }, `"users" is registered twice`)
	wantFatal(t, func(t *fake) { pgdbmtest.New(t, pgdbmtest.WithExtensions("no_such_extension")) }, "pgdbmtest: WithExtensions", "no_such_extension")
}
