package pgdbmtest_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func TestPoolSize(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithModules(users), pgdbmtest.WithPoolSize(3))
	testkit.Equal(t, db.Stat().MaxConns(), 3)
	testkit.Equal(t, db.Config().MaxConns, 3)
	_, err := store{db}.add(t.Context(), "ada@example.com")
	testkit.NoError(t, err)
	testkit.Equal(t, pgdbmtest.New(t, pgdbmtest.WithModules(users), pgdbmtest.WithPoolSize(3)).Count("users"), 0)
}

func TestRoleIsNotTheOwner(t *testing.T) {
	t.Parallel()
	role := "pgdbm_test_clerk"
	db := pgdbmtest.New(t, pgdbmtest.WithSchema("app"), pgdbmtest.WithRole(role), pgdbmtest.WithMigrations(files("1_notes.sql", `
		create table {{tables.notes}} (body text, owner text not null);
		alter table {{tables.notes}} enable row level security;
		create policy own on {{tables.notes}} using (owner = current_user);
		grant usage on schema {{schema}} to `+role+`;
		grant select, insert on {{tables.notes}} to `+role+`;
	`)), pgdbmtest.WithSetup("a note of somebody else's", func(ctx context.Context, db pgdbm.DB) error {
		_, err := db.Exec(ctx, "insert into {{tables.notes}} values ('secret', 'boss')")
		return err
	}))
	user, err := pgdbm.FetchValue[string](t.Context(), db, "select current_user")
	testkit.NoError(t, err)
	testkit.Equal(t, user, role)
	execute(t, db, "insert into {{tables.notes}} values ('mine', current_user)")
	testkit.Equal(t, db.Count("notes"), 1)
	_, err = db.Exec(t.Context(), "delete from {{tables.notes}}")
	testkit.ErrorIs(t, err, pgdbm.ErrPermission)
	_, err = db.Exec(t.Context(), "insert into {{tables.notes}} values ('theirs', 'boss')")
	testkit.ErrorIs(t, err, pgdbm.ErrPermission)

	again, err := pgdbm.Open(t.Context(), db.Config())
	testkit.NoError(t, err)
	testkit.NoError(t, again.Pgx().QueryRow(t.Context(), "select current_user").Scan(&user))
	testkit.Equal(t, user, role)
	testkit.NoError(t, again.Close(t.Context()))
	wantFatal(t, func(f *fake) { pgdbmtest.URL(f, pgdbmtest.WithRole(role)) }, `pgdbmtest: URL: an address does not say WithRole("pgdbm_test_clerk")`)
}

func TestMinVersion(t *testing.T) {
	t.Parallel()
	pgdbmtest.New(t, pgdbmtest.MinVersion(14))
	f := try(func(f *fake) {
		pgdbmtest.New(f, pgdbmtest.WithModules(users), pgdbmtest.MinVersion(99), pgdbmtest.MinVersion(14))
	})
	if !f.skipped || f.failed || !strings.Contains(f.output(), "pgdbmtest: needs PostgreSQL 99, the server is ") {
		t.Errorf("skipped %v: %s", f.skipped, f.output())
	}
}

func TestFreshIsNeverUsedBefore(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 3 {
		try(func(f *fake) {
			db := pgdbmtest.New(f, pgdbmtest.WithModules(users), pgdbmtest.Fresh())
			if seen[db.Name()] {
				t.Errorf("%s again", db.Name())
			}
			seen[db.Name()] = true
		})
	}
}

func TestExtensions(t *testing.T) {
	t.Parallel()
	if pgdbmtest.New(t).Count("pg_catalog.pg_available_extensions", "name = 'pg_trgm'") == 0 {
		t.Skip("the server has no contributed extensions (Debian and Alpine package them with it, Fedora as postgresql-contrib)")
	}
	trigrams := pgdbmtest.WithMigrations(files("1_names.sql", "create table {{tables.names}} (name text); create index on {{tables.names}} using gin (name public.gin_trgm_ops);"))
	for range 2 {
		db := pgdbmtest.New(t, pgdbmtest.WithSchema("app"), trigrams, pgdbmtest.WithExtensions("pg_trgm"), pgdbmtest.WithExtensions("plpgsql", "pg_trgm"))
		execute(t, db, "insert into {{tables.names}} values ('Ada Lovelace')")
		testkit.Equal(t, db.Count("names", "name % $1", "ada lovlace"), 1)
	}
}

func TestOptionsOfHelpersAreComposed(t *testing.T) {
	t.Parallel()
	both := []pgdbmtest.Option{ // each is complete in itself
		pgdbmtest.WithModules(users),
		pgdbmtest.WithModules(orders, users),
		pgdbmtest.WithData(), pgdbmtest.WithTables(), pgdbmtest.WithData(),
		pgdbmtest.WithSchema("app"), pgdbmtest.WithSchema("app"),
	}
	db := pgdbmtest.New(t, both...)
	testkit.Equal(t, db.Count("users"), 3)
	testkit.Equal(t, db.InSchema("orders").Count("users.users"), 0)

	other := users
	other.Migrations = files("1_users.sql", "create table {{tables.users}} (id int);")
	for name, m := range map[string]module.Module{"other schema": users.WithSchema("people"), "other files": other} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFatal(t, func(f *fake) { pgdbmtest.New(f, pgdbmtest.WithModules(users), pgdbmtest.WithModules(m)) }, `"users" is registered twice`)
		})
	}
}

var kept = regexp.MustCompile(`psql '(.*)'\n  DROP DATABASE (pgdbm_kept_\w+);`)

// requireKept opens the database that the test's log tells of, and drops it.
func requireKept(t *testing.T, f *fake, rows int) {
	t.Helper()
	m := kept.FindStringSubmatch(f.output())
	if m == nil {
		t.Fatalf("nothing was kept:\n%s", f.output())
	}
	cfg, err := pgx.ParseConfig(m[1])
	testkit.NoError(t, err)
	own, err := pgx.ParseConfig(testkit.ConnString(t))
	testkit.NoError(t, err)
	cfg.Password = own.Password // which is not printed
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	testkit.NoError(t, err)
	var n int
	testkit.NoError(t, conn.QueryRow(t.Context(), "select count(*) from users.users").Scan(&n))
	testkit.Equal(t, n, rows)
	testkit.NoError(t, conn.Close(t.Context()))
	_, err = pgdbmtest.New(t).Exec(t.Context(), "drop database "+m[2]+" with (force)")
	testkit.NoError(t, err)
}

func TestFailedTestsDatabaseIsKeptOnRequest(t *testing.T) {
	t.Parallel()
	run := func(fail, keep bool, opts ...pgdbmtest.Option) *fake {
		return try(func(f *fake) {
			db := pgdbmtest.New(f, append(opts, pgdbmtest.WithModules(users))...)
			if _, err := (store{db}).add(t.Context(), "ada@example.com"); err != nil {
				f.Fatalf("%v", err)
			}
			if keep {
				db.Keep()
			}
			if fail {
				_, _ = db.Acquire(t.Context()) // and leaves a mess
				f.Fatalf("oops")
			}
		})
	}
	requireKept(t, run(true, false, pgdbmtest.KeepOnFailure()), 1)
	requireKept(t, run(false, true), 1)
	for _, f := range []*fake{run(false, false, pgdbmtest.KeepOnFailure()), run(false, false)} {
		if f.output() != "" {
			t.Errorf("unexpected: %s", f.output())
		}
	}
}

func TestTemplatesAreToldApart(t *testing.T) {
	t.Parallel()
	sql := func(text string) pgdbmtest.Option { return pgdbmtest.WithFixtures(files("a.sql", text)) }
	add := "insert into {{tables.users}} (email) values ('ada@example.com')"
	for _, test := range []struct {
		opts   []pgdbmtest.Option
		schema string
		rows   int
	}{
		{[]pgdbmtest.Option{pgdbmtest.WithModules(users)}, "users", 0},
		{[]pgdbmtest.Option{pgdbmtest.WithModules(users.WithSchema("people"))}, "people", 0},
		{[]pgdbmtest.Option{pgdbmtest.WithModules(users.As("users_eu"))}, "users_eu", 0},
		{[]pgdbmtest.Option{pgdbmtest.WithModules(users), sql(add)}, "users", 1},
		{[]pgdbmtest.Option{pgdbmtest.WithModules(users), sql(add + ", ('bob@example.com')")}, "users", 2},
		{[]pgdbmtest.Option{pgdbmtest.WithModules(users), sql(add), sql("delete from {{tables.users}}")}, "users", 0},
	} {
		db := pgdbmtest.New(t, test.opts...)
		testkit.Equal(t, db.Schema(), test.schema)
		testkit.Equal(t, db.Count("users"), test.rows)
	}
}

func TestSubtestsHaveDatabasesOfTheirOwn(t *testing.T) {
	t.Parallel()
	outer := pgdbmtest.New(t, pgdbmtest.WithModules(users))
	_, err := store{outer}.add(t.Context(), "ada@example.com")
	testkit.NoError(t, err)
	for i := range 3 { //nolint:paralleltest // outer is looked at after them
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			inner := pgdbmtest.New(t, pgdbmtest.WithModules(users))
			testkit.Equal(t, inner.Count("users"), 0)
			_, err := store{inner}.add(t.Context(), "ada@example.com")
			testkit.NoError(t, err)
		})
	}
	testkit.Equal(t, outer.Count("users"), 1)
}
