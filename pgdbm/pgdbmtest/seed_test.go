package pgdbmtest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

const shop = `create table {{tables.customers}} (id bigint generated always as identity primary key, name text not null unique);
create type {{schema}}.size as enum ('small', 'large');
create table {{tables.items}} (
	id serial primary key, customer bigint not null references {{tables.customers}}, size {{schema}}.size default 'small',
	tags text[], data jsonb, price numeric(30, 2), added timestamptz not null default now(), raw bytea, "Odd {{{{ name" int
);`

func newShop(t pgdbmtest.TB) *pgdbmtest.DB {
	return pgdbmtest.New(t, pgdbmtest.WithSchema("shop"), pgdbmtest.WithMigrations(files("1_shop.sql", shop)))
}

func TestSeedCountsWhatItInserts(t *testing.T) {
	t.Parallel()
	db := newShop(t)
	counts := pgdbmtest.Seed(t, db, files(
		"1.sql", "-- customers;\ninsert into {{tables.customers}} (name) values ('Ada'), ('Bob; not two');\nupdate {{tables.customers}} set name = 'Bob' where id = 2;",
		"2.json", `{"customers": [{"name": "Eve"}], "items": [{"customer": 1}, {"customer": 3, "size": "large"}]}`,
		"3.sql", `with c as (select id from {{tables.customers}}) insert into "shop" . items (customer) select id from c`,
		"readme.txt", "ignored",
	))
	testkit.Equal(t, counts, map[string]int{"customers": 3, "items": 5})
	testkit.Equal(t, db.Count("items", "size = $1", "large"), 1)
}

func TestSeedConvertsValuesAsTheServerDoes(t *testing.T) {
	t.Parallel()
	db := newShop(t)
	pgdbmtest.Seed(t, db, files("items.json", `{
		"customers": [{"name": "Ada"}],
		"items": [{"customer": 1, "tags": ["a", "b c"], "data": {"n": [1, null]}, "price": 12345678901234567890.12,
			"added": "2024-05-06T07:08:09Z", "raw": "\\x00ff", "Odd {{ name": 7, "size": null}]
	}`), "items.json")
	got, err := pgdbm.FetchOne[map[string]any](t.Context(), db, `select tags[2] as tag, data->'n' as n, price::text as price,
		added at time zone 'UTC' = '2024-05-06 07:08:09' as added, length(raw) as raw, "Odd {{{{ name" as odd, size is null as size from {{tables.items}}`)
	testkit.NoError(t, err)
	testkit.Equal(t, got, map[string]any{
		"tag": "b c", "n": []any{1.0, nil}, "price": "12345678901234567890.12", "added": true, "raw": int32(2), "odd": int32(7), "size": true,
	})
}

func TestSeedMovesSequencesPastGivenIDs(t *testing.T) {
	t.Parallel()
	db := newShop(t)
	pgdbmtest.Seed(t, db, files("a.json", `{
		"customers": [{"id": 1, "name": "Ada"}, {"name": "Bob"}, {"id": 7, "name": "Carl"}, {"id": 6, "name": "Dan"}, {"name": "Dora"}, {"name": "Ed"}],
		"items": [{"id": 3, "customer": 7}]
	}`))
	ids, err := pgdbm.FetchAll[int](t.Context(), db, "select id from {{tables.customers}} order by name")
	testkit.NoError(t, err)
	testkit.Equal(t, ids, []int{1, 2, 7, 6, 8, 9})
	for sql, want := range map[string]int{
		"insert into {{tables.customers}} (name) values ('Eve') returning id": 10,
		"insert into {{tables.items}} (customer) values (7) returning id":     4,
	} {
		id, err := pgdbm.FetchValue[int](t.Context(), db, sql)
		testkit.NoError(t, err)
		testkit.Equal(t, id, want)
	}
}

func TestSeedTakesFilesPatternsAndFolders(t *testing.T) {
	t.Parallel()
	insert := func(name string) string { return "insert into {{tables.customers}} (name) values ('" + name + "')" }
	fsys := files("z.sql", insert("z"), "more/b.sql", insert("b"), "more/a.sql", insert("a"), "more/c.txt", "", "other/x-1.sql", insert("x"))
	for name, test := range map[string]struct {
		paths []string
		want  string
	}{
		"the root":  {nil, "z"},
		"a file":    {[]string{"more/b.sql"}, "b"},
		"a folder":  {[]string{"more"}, "ab"},
		"a pattern": {[]string{"*/*.sql"}, "abx"},
		"in order":  {[]string{"z.sql", "more", "other/x-*"}, "zabx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newShop(t)
			pgdbmtest.Seed(t, db, fsys, test.paths...)
			names, err := pgdbm.FetchAll[string](t.Context(), db, "select name from {{tables.customers}} order by id")
			testkit.NoError(t, err)
			testkit.Equal(t, strings.Join(names, ""), test.want)
		})
	}
}

func TestSeedWorksInATransaction(t *testing.T) {
	t.Parallel()
	tx := pgdbmtest.NewTx(t, pgdbmtest.WithModules(orders, users))
	counts := pgdbmtest.Seed(t, tx.InSchema("orders"), files("a.json", `{"users.users": [{"id": 1, "email": "ada@example.com"}], "{{tables.orders}}": [{"owner": 1}, {"owner": 1}]}`))
	testkit.Equal(t, counts, map[string]int{"users.users": 1, "orders": 2})
}

func TestTemplatesInFixtureFiles(t *testing.T) {
	t.Parallel()
	people := users.WithSchema("people")
	db := pgdbmtest.New(t, pgdbmtest.WithModules(people), pgdbmtest.WithSchema("app"), pgdbmtest.WithMigrations(files(
		"1_notes.sql", "create table {{tables.notes}} (id int generated always as identity, about regclass, body text, data jsonb, \"{{{{x}}\" int);",
	)))
	counts := pgdbmtest.Seed(t, db, files(
		"1.sql", `insert into {{tables.users.users}} (email) values ('ada@example.com'); -- of a module in another schema
			insert into {{schema}}.notes (about, body) values ('{{tables.users.users}}', $$in {{schema}}, {{{{not}} in a template$$);
			insert into {{tables.notes}} default values;
			insert into people . "users" (email) values ('bob@example.com')`,
		"2.json", `{
			"users.users": [{"email": "eve@example.com"}],
			"{{tables.users.users}}": [{"email": "{{tables.users}}"}],
			"{{schema}}.notes": [{"about": "people.users", "body": "Hello {{name}}, {{schema}}", "data": {"{{a}}": "{{schema}}"}, "{{x}}": 7}],
			"notes": [],
			"{{tables.notes}}": [{}]
		}`,
	))
	testkit.Equal(t, counts, map[string]int{"users.users": 3, "people.users": 1, "notes": 4})
	testkit.Equal(t, db.Count("users.users"), 4)
	testkit.Equal(t, db.InSchema("people").Count("users", "email = $1", "{{tables.users}}"), 1) // values are data
	testkit.Equal(t, db.Count("notes", "about = $1::regclass and body = $2", "people.users", `in "app", {{not}} in a template`), 1)
	testkit.Equal(t, db.Count("notes", `about = $1::regclass and body = $2 and data = $3 and "{{{{x}}" = 7`,
		"people.users", "Hello {{name}}, {{schema}}", `{"{{a}}": "{{schema}}"}`), 1)
}

func TestSeedThatFailsLeavesNothingAndSaysWhere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, text, want string }{
		"unknown column":   {"a.sql", "insert into {{tables.customers}} (name) values ('x');\n\ninsert into {{tables.customers}}\n  (nome) values ('x')", "a.sql:4: "},
		"constraint":       {"a.sql", "-- twice\ninsert into {{tables.customers}} (name) values ('x');\ninsert into {{tables.customers}} (name)\n values ('x')", "a.sql:3: "},
		"unknown template": {"a.sql", "select 1;\nselect {{table.x}}", "a.sql:2: "},
		"open string":      {"a.sql", "select 1;\nselect 'x", "a.sql:2: the string is never closed"},
		"commit":           {"a.sql", "select 1;\nCOMMIT;", "a.sql:2: remove COMMIT: all files are one transaction"},
		"no json":          {"a.json", "{\n\"customers\": [\n}", "a.json:3: "},
		"cut json":         {"a.json", "{\n\"customers\": [\n", "a.json:3: "},
		"an array":         {"a.json", "[]", "a.json:1: want an object of tables"},
		"not rows":         {"a.json", `{"customers": {"name": "x"}}`, "a.json:1: customers: want an array of rows"},
		"not a row":        {"a.json", `{"customers": [{"name": "x"}, 5]}`, "a.json:1: customers[1]: want a row: an object of columns"},
		"null row":         {"a.json", `{"customers": [null]}`, "a.json:1: customers[0]: want a row"},
		"wrong value":      {"a.json", `{"items": [{"size": "huge"}]}`, "a.json:1: items[0]: "},
		"wrong column":     {"a.json", `{"customers": [{"name": "x"}, {"nome": "y"}]}`, "a.json:1: customers[1]: "},
		"reference":        {"a.json", `{"customers": [{"name": "x"}], "items": [{"customer": 1}, {"customer": 99}]}`, "a.json:1: items[1]: "},
		"wrong table":      {"a.json", `{"clients": [{"name": "x"}]}`, "a.json:1: clients[0]: "},
		"later line":       {"a.json", "{\n\"customers\": [\n{\"name\": \"x\"},\n\n  {\"nome\": \"y\",\n\"id\": 1}]}", "a.json:5: customers[1]: "},
		"later table":      {"a.json", "{\"customers\": [{\"name\": \"x\"}],\n\"items\":\n[{\"customer\": 1},\n{\"customer\": 99}]}", "a.json:4: items[1]: "},
		"unknown in key":   {"a.json", "{\"customers\": [{\"name\": \"x\"}],\n\"{{table.items}}\": []}", "a.json:2: {{table.items}}: template {{table.items}} "},
		"other module":     {"a.json", "{\"customers\": [{\"name\": \"x\"}],\n\"nowhere.items\": [{}]}", "a.json:2: nowhere.items[0]: "},
		"bad table":        {"a.json", `{"no-good": [{"name": "x"}]}`, "a.json:1: no-good: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newShop(t)
			wantFatal(t, func(f *fake) { pgdbmtest.Seed(f, db, files(test.file, test.text)) }, "pgdbmtest: Seed: "+test.want)
			testkit.Equal(t, db.Count("customers"), 0)
		})
	}
	db := newShop(t)
	wantFatal(t, func(f *fake) { pgdbmtest.Seed(f, db, files("a.txt", "x"), "a.txt") }, "a.txt: a fixture is a .sql or a .json file")
	wantFatal(t, func(f *fake) { pgdbmtest.Seed(f, db, files("more/a.txt", "x"), "more") }, "more: the folder has no *.sql and no *.json")
	wantFatal(t, func(f *fake) { pgdbmtest.Seed(f, db, nil) }, "the file system is nil")
}

func TestFixturesAreInTheTemplate(t *testing.T) {
	t.Parallel()
	fixtures := pgdbmtest.WithFixtures(files("a.json", `{"users": [{"email": "ada@example.com"}]}`, "b.sql", "insert into {{tables.users}} (email) values ('bob@example.com')"))
	for range 2 {
		db := pgdbmtest.New(t, pgdbmtest.WithModules(users), fixtures)
		testkit.Equal(t, db.Count("users"), 2)
		id, err := store{db}.add(t.Context(), "eve@example.com")
		testkit.NoError(t, err)
		testkit.Equal(t, id, 3)
	}
	wantFatal(t, func(f *fake) {
		pgdbmtest.New(f, pgdbmtest.WithModules(users), pgdbmtest.WithFixtures(files("b.sql", "select 1;\nselect nonsense")))
	}, "pgdbmtest: WithFixtures: b.sql:2: ")
}

func TestSetupRunsOnceInOrder(t *testing.T) {
	t.Parallel()
	opts := []pgdbmtest.Option{
		pgdbmtest.WithModules(users),
		pgdbmtest.WithSetup("ada", func(ctx context.Context, db pgdbm.DB) error {
			_, err := store{db}.add(ctx, "ada@example.com")
			return err
		}),
		pgdbmtest.WithFixtures(files("a.sql", "update {{tables.users}} set email = upper(email)")),
	}
	for range 2 {
		db := pgdbmtest.New(t, opts...)
		testkit.Equal(t, db.Count("users", "email = 'ADA@EXAMPLE.COM'"), 1)
	}
	wantFatal(t, func(f *fake) {
		pgdbmtest.New(f, pgdbmtest.WithSetup("broken", func(ctx context.Context, db pgdbm.DB) error {
			_, err := db.Exec(ctx, "select nonsense")
			return err
		}))
	}, `pgdbmtest: WithSetup "broken": `, "nonsense")
}

func TestSampleTables(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithTables())
	for table, rows := range map[string]int{"users": 3, "projects": 2, "agents": 5} {
		testkit.Equal(t, db.Count(table), 0)
		testkit.Equal(t, pgdbmtest.New(t, pgdbmtest.WithSchema("app"), pgdbmtest.WithTables(), pgdbmtest.WithData()).Count(table), rows)
	}
	full := pgdbmtest.New(t, pgdbmtest.WithData())
	testkit.Equal(t, full.Count("users", "email = 'alice@example.com'"), 1)
	testkit.Equal(t, full.Count("projects", "owner_id = 1"), 2)
	testkit.Equal(t, full.Count("agents", "assigned_to = 2"), 3)
}
