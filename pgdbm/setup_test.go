package pgdbm_test

import (
	"context"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// open opens a pool, on a database of the test's own unless cfg names one, closed
// at its end.
func open(t testing.TB, cfg pgdbm.Config) *pgdbm.Pool {
	t.Helper()
	if cfg.ConnString == "" && cfg.Host == "" {
		cfg.ConnString = testkit.ConnString(t)
	}
	pool, err := pgdbm.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return pool
}

// bind returns a manager of schema, which exists.
func bind(t testing.TB, pool *pgdbm.Pool, schema string) *pgdbm.Manager {
	t.Helper()
	m, err := pool.Manager(schema)
	if err != nil {
		t.Fatal(err)
	}
	if schema != "" {
		if err := m.EnsureSchema(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// setup returns a manager of schema app with a table items(id, name unique).
func setup(t testing.TB) *pgdbm.Manager {
	t.Helper()
	m := bind(t, open(t, pgdbm.Config{}), "app")
	exec(t, m, `create table {{tables.items}} (id bigint generated always as identity primary key, name text unique, n int check (n >= 0))`)
	return m
}

func exec(t testing.TB, db pgdbm.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// names returns the names in items, in the order of their ids.
func names(t testing.TB, db pgdbm.DB) []string {
	t.Helper()
	got, err := pgdbm.FetchAll[string](t.Context(), db, "select name from {{tables.items}} order by id")
	if err != nil {
		t.Fatal(err)
	}
	return got
}
