package migrations_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestFilesApplyInNumericOrder(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files(
		"10_b.sql", "insert into {{tables.t}} values (10)", "2_a.sql", "create table {{tables.t}} (n int)", "README.md", "x",
	), migrations.Config{AppVersion: "v1.2.3"})
	if got := up(t, m); got != "2_a.sql 10_b.sql" {
		t.Errorf("applied %s", got)
	}
	if got := up(t, m); got != "" {
		t.Errorf("the second run applied %s", got)
	}
	rows, err := m.History(t.Context())
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v, %v", rows, err)
	}
	r := rows[1]
	if r.Version != 10 || r.Name != "b" || r.Kind != migrations.KindSQL || r.Status != migrations.StatusApplied || r.Statements != 1 || r.Done != 1 ||
		r.AppVersion != "v1.2.3" || r.AppliedBy == "" || r.Host == "" || r.FinishedAt.Before(r.StartedAt) || r.Seq <= rows[0].Seq {
		t.Errorf("record %+v", r)
	}
	if value[int](t, pool, "select n from app.t") != 10 {
		t.Error("the second file did not run")
	}
	if err := m.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, pool)
}

func TestTheServersHeadIsTheFilesHead(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "select 2", "R_v.sql", "select 3", "3_c.sql", "-- pgdbm:no-transaction\nselect 4"), migrations.Config{})
	up(t, m)
	comment := value[string](t, pool, "select obj_description('app.pgdbm_migrations'::regclass)")
	// Spoil the rows: a run that goes by the comment does not see it.
	exec(t, pool, "update app.pgdbm_migrations set checksum = 'x'")
	if err := m.Verify(t.Context()); err != nil {
		t.Errorf("comment %s: %v", comment, err)
	}
	exec(t, pool, "comment on table app.pgdbm_migrations is null")
	if err := m.Verify(t.Context()); !errors.Is(err, migrations.ErrDrift) {
		t.Errorf("without a comment: %v; want ErrDrift", err)
	}
}

func TestTenGoroutinesDoTheWorkOfOne(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1})
	m := migrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "insert into {{tables.t}} values (1)"), migrations.Config{})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := m.Up(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := value[int](t, pool, "select count(*) from app.t"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestTenMigratorsDoTheWorkOfOne(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "insert into {{tables.t}} values (1)",
		"3_c.sql", "-- pgdbm:no-transaction\ncreate index concurrently i on {{tables.t}} (n)")
	var wg sync.WaitGroup
	for range 10 {
		m := migrator(t, pool, fsys, migrations.Config{})
		wg.Go(func() {
			if _, err := m.Up(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := value[int](t, pool, "select count(*) from app.t"); n != 1 {
		t.Errorf("%d rows", n)
	}
	nothingLeft(t, pool)
}

func TestModulesMigrateAfterWhatTheyDependOn(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	users := load(t, files("1_a.sql", "create table {{tables.users}} (id int primary key)"))
	orders := load(t, files("1_a.sql", "create table {{tables.orders}} (u int references {{tables.users.users}}); select '{{tables.users.users}}'::regclass, {{schema.literal}}::regnamespace"))
	m := newMigrator(t, pool, migrations.Config{},
		migrations.Target{Module: "a_orders", Schema: "shop", Source: orders, DependsOn: []string{"users"}},
		migrations.Target{Module: "users", Schema: "People", Source: users},
		migrations.Target{Module: "none", Schema: "none"})
	report, err := m.Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Applied) != 2 || report.Applied[0].Schema != "People" || report.Applied[1].Schema != "shop" {
		t.Errorf("applied %+v", report.Applied)
	}
}

func TestToAndOnlyNarrowTheRun(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	src := load(t, files("1_a.sql", "select 1", "2_b.sql", "select 1", "3_c.sql", "select 1", "R_v.sql", "select 1"))
	m := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "a", Schema: "a", Source: src}, migrations.Target{Module: "b", Schema: "b", Source: src})
	if got := up(t, m, migrations.Only("b"), migrations.To(2)); got != "1_a.sql 2_b.sql" {
		t.Errorf("applied %s", got)
	}
	if err := m.Verify(t.Context(), migrations.Only("b"), migrations.To(2)); err != nil {
		t.Error(err)
	}
	if got := up(t, m, migrations.Only("b")); got != "3_c.sql R_v.sql" {
		t.Errorf("then %s", got)
	}
	if err := m.Verify(t.Context()); !errors.Is(err, migrations.ErrPending) || !strings.Contains(err.Error(), "migrations: a (schema a): migrations are pending: 1_a.sql, 2_b.sql") {
		t.Errorf("verify: %v", err)
	}
	for want, scopes := range map[string][]migrations.Scope{
		`module "c" is not among the targets (have a, b)`: {migrations.Only("c")},
		"there are several modules":                       {migrations.To(1)},
	} {
		if _, err := m.Up(t.Context(), scopes...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

func TestRepeatableFilesRunWhenTheirTextChanges(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	view := func(n string) string { return "create or replace view {{schema}}.v as select " + n + " as n" }
	for _, step := range []struct{ n, want string }{{"1", "1_a.sql R_a.sql R_v.sql"}, {"1", ""}, {"2", "R_v.sql"}, {"2", ""}} {
		m := migrator(t, pool, files("1_a.sql", "select 1", "R_v.sql", view(step.n), "R_a.sql", "select 1"), migrations.Config{})
		if got := up(t, m); got != step.want {
			t.Errorf("applied %q, want %q", got, step.want)
		}
	}
	if value[int](t, pool, "select n from app.v") != 2 {
		t.Error("the view is the old one")
	}
}
