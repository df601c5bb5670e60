package migrations_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// role creates a role of the test's own.
func role(t *testing.T, owner *pgdbm.Pool, conn, suffix string) string {
	t.Helper()
	name := fmt.Sprintf("pgdbm_%s_%x", suffix, uint64(migrations.LockKey(conn, suffix)))
	exec(t, owner, "create role "+name)
	t.Cleanup(func() {
		if _, err := owner.Pgx().Exec(context.Background(), "drop owned by "+name+" cascade; drop role "+name); err != nil {
			t.Error(err)
		}
	})
	return name
}

func TestFilesRunAsTheRoleOfTheConnection(t *testing.T) {
	t.Parallel()
	conn := testkit.ConnString(t)
	owner := open(t, pgdbm.Config{ConnString: conn})
	name := role(t, owner, conn, "owner")
	exec(t, owner, "create schema app authorization "+name)
	pool := open(t, pgdbm.Config{ConnString: conn, RuntimeParams: map[string]string{"role": name}})
	const other = "-- pgdbm:lint-ignore session-setting on purpose\n"
	m := migrator(t, pool, files(
		"1_a.sql", "create table {{tables.a}} ()", "2_b.sql", other+"set role none; reset role", "3_c.sql", "create table {{tables.c}} ()",
		"4_d.sql", auto+other+"set session authorization default; set role none", "5_e.sql", auto+"create table {{tables.e}} ()",
	), migrations.Config{})
	up(t, m)
	if n := value[int](t, owner, "select count(*) from pg_class where relnamespace = 'app'::regnamespace and relkind = 'r' and relowner = $1::regrole", name); n != 4 {
		t.Errorf("%d of 4 tables belong to the role", n)
	}
	rows, err := m.History(t.Context())
	if err != nil || len(rows) != 5 {
		t.Fatalf("%+v, %v", rows, err)
	}
	for _, r := range rows {
		if r.AppliedBy != name {
			t.Errorf("%s was applied by %s", r.Name, r.AppliedBy)
		}
	}
}

func TestTheCommentOfAnothersTableIsLeftAlone(t *testing.T) {
	t.Parallel()
	conn := testkit.ConnString(t)
	owner := open(t, pgdbm.Config{ConnString: conn})
	up(t, migrator(t, owner, files("1_a.sql", "select 1"), migrations.Config{}))
	name := role(t, owner, conn, "writer")
	exec(t, owner, "grant usage, create on schema app to "+name+"; grant select, insert, update, delete on app.pgdbm_migrations to "+name)
	pool := open(t, pgdbm.Config{ConnString: conn, RuntimeParams: map[string]string{"role": name}})
	m := migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "create table {{tables.t}} ()"), migrations.Config{})
	if got := up(t, m); got != "2_b.sql" {
		t.Errorf("applied %s", got)
	}
	if got := up(t, m); got != "" {
		t.Errorf("then applied %s", got)
	}
	if err := m.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestExclusiveFilesOfDifferentSchemasDoNotMeet(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	const once = "-- pgdbm:exclusive database\ncreate table if not exists public.shared (n int);\ncreate or replace function public.f() returns int language sql as 'select 1';\ninsert into public.shared values (1)"
	src := load(t, files("1_a.sql", once, "2_b.sql", auto+once))
	var wg sync.WaitGroup
	for i := range 8 {
		m := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "app", Schema: fmt.Sprint("s", i), Source: src})
		wg.Go(func() {
			if _, err := m.Up(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := value[int](t, pool, "select count(*) from public.shared"); n != 16 {
		t.Errorf("%d rows", n)
	}
	nothingLeft(t, pool)
}
