// Package scenarios has tests that fail on purpose. A comment // want "text" says
// that the output has that text, at that line.
package scenarios_test

import (
	"testing"
	"testing/fstest"

	"example.com/shop/catalog"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func TestMigration(t *testing.T) {
	broken := module.Module{Name: "broken", Migrations: file("0001_t.sql", "create table {{tables.t}} (id int);\nselect nonsense;")}
	t.Run("New", func(t *testing.T) {
		pgdbmtest.New(t, pgdbmtest.WithModules(broken)) // want "0001_t.sql:2:8: undefined object"
	})
	t.Run("NewTx", func(t *testing.T) {
		pgdbmtest.NewTx(t, pgdbmtest.WithModules(broken)) // want "0001_t.sql:2:8: undefined object"
	})
	t.Run("NewSet", func(t *testing.T) {
		pgdbmtest.NewSet(t, broken) // want "0001_t.sql:2:8: undefined object"
	})
	t.Run("URL", func(t *testing.T) {
		pgdbmtest.URL(t, pgdbmtest.WithModules(broken)) // want "0001_t.sql:2:8: undefined object"
	})
	t.Run("FX", func(t *testing.T) {
		pgdbmtest.FX(t, pgdbmtest.WithModules(broken)) // want "0001_t.sql:2:8: undefined object"
	})
	t.Run("Factory", func(t *testing.T) {
		pgdbmtest.NewFactory(t).Create("one", pgdbmtest.WithModules(broken)) // want "0001_t.sql:2:8: undefined object"
	})
}

func TestHelpers(t *testing.T) {
	db := pgdbmtest.New(t, pgdbmtest.WithModules(catalog.Module))
	set := pgdbmtest.NewSet(t, catalog.Module)
	for name, fail := range map[string]func(t *testing.T){
		"option": func(t *testing.T) {
			pgdbmtest.New(t, pgdbmtest.WithPoolSize(0)) // want "WithPoolSize(0): use 1 to 1000 connections"
		},
		"count": func(t *testing.T) {
			db.For(t).Count("products", "nonsense") // want "pgdbmtest: Count: "
		},
		"exists": func(t *testing.T) {
			db.For(t).TableExists("no-good") // want "pgdbmtest: TableExists: "
		},
		"truncate": func(t *testing.T) {
			db.For(t).Truncate("nothing") // want "pgdbmtest: Truncate: "
		},
		"snapshot": func(t *testing.T) {
			db.For(t).Snapshot("nothing", "") // want "pgdbmtest: Snapshot: "
		},
		"schema": func(t *testing.T) {
			db.For(t).InSchema("no-good") // want "no-good"
		},
		"tx": func(t *testing.T) {
			pgdbmtest.NewTx(t).Count("nothing") // want "pgdbmtest: Count: "
		},
		"manager": func(t *testing.T) {
			pgdbmtest.NewSet(t).Manager(catalog.Module) // want "catalog"
		},
		"db": func(t *testing.T) {
			pgdbmtest.NewSet(t).DB(catalog.Module) // want "catalog"
		},
		"seed": func(t *testing.T) {
			pgdbmtest.Seed(t, set.Manager(catalog.Module), file("a.json", "{\n\"products\": [{}]}")) // want "a.json:2: products[0]: "
		},
		"changed": func(t *testing.T) {
			before := db.For(t).Snapshot("products", "id")
			if _, err := catalog.NewStore(db).Add(t.Context(), "Anvil", 1); err != nil {
				t.Fatal(err)
			}
			before.RequireUnchanged() // want "table products has changed"
		},
		"skip": func(t *testing.T) {
			pgdbmtest.New(t, pgdbmtest.MinVersion(99)) // want "needs PostgreSQL 99"
		},
	} {
		t.Run(name, fail)
	}
}

// What is reported at the end of a test points at the call that began it.
func TestEnds(t *testing.T) {
	t.Run("kept", func(t *testing.T) {
		pgdbmtest.New(t, pgdbmtest.KeepOnFailure()) // want "kept for you"
		t.Error("oops")
	})
	t.Run("factory", func(t *testing.T) {
		pgdbmtest.NewFactory(t).Create("one") // want "pgdbmtest: \"one\" was database pgdbm_t_"
		t.Error("oops")
	})
}

func TestLeak(t *testing.T) {
	db := pgdbmtest.New(t) // want "still open at the end of the test"
	conn, err := db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "select 'who left me open'"); err != nil {
		t.Fatal(err)
	}
}

// TestServer says where it ran.
func TestServer(t *testing.T) {
	for range 2 {
		t.Run("", func(t *testing.T) {
			db := pgdbmtest.New(t, pgdbmtest.WithModules(catalog.Module))
			if _, err := catalog.NewStore(db).Add(t.Context(), "not in the log", 1); err != nil {
				t.Fatal(err)
			}
			var where string
			err := db.QueryRow(t.Context(), `select coalesce('port ' || inet_server_port(), 'socket in ' || current_setting('unix_socket_directories')) || ' as ' || current_user`).Scan(&where)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, database %s", where, db.Name())
		})
	}
}

func TestFails(t *testing.T) {
	pgdbmtest.New(t)
	t.Error("oops")
}

func file(name, text string) fstest.MapFS { return fstest.MapFS{name: {Data: []byte(text)}} }
