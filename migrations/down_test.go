package migrations_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

var reversible = []string{
	"1_a.sql", "create table {{tables.t}} (n int)", "1_a.down.sql", "drop table {{tables.t}}",
	"2_b.sql", "insert into {{tables.t}} values (2)", "2_b.down.sql", "begin;\ndelete from {{tables.t}} where n = 2;\ncommit;",
}

func TestDownUndoesNewestFirst(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files(reversible...), migrations.Config{})
	if report, err := m.Down(t.Context(), "app", 0); err != nil || applied(report) != "" {
		t.Errorf("before anything is applied: %v, %v", report.Applied, err)
	}
	up(t, m)
	report, err := m.Down(t.Context(), "app", 1)
	if err != nil || applied(report) != "2_b.down.sql" || value[int](t, pool, "select count(*) from app.t") != 0 {
		t.Fatalf("%+v, %v", report.Applied, err)
	}
	if err := m.Verify(t.Context()); !errors.Is(err, migrations.ErrPending) {
		t.Errorf("verify: %v", err)
	}
	if got := up(t, m); got != "2_b.sql" {
		t.Errorf("applied %s", got)
	}
	if report, err = m.Down(t.Context(), "app", 0); err != nil || applied(report) != "2_b.down.sql 1_a.down.sql" {
		t.Errorf("%+v, %v", report.Applied, err)
	}
	if got := history(t, m); got != "" {
		t.Errorf("history %s", got)
	}
}

func TestAnOlderProgramUndoesByWhatWasRecorded(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	up(t, migrator(t, pool, files(append(reversible, "3_c.sql", "select 1")...), migrations.Config{}), migrations.To(2))
	older := migrator(t, pool, files(reversible[:4]...), migrations.Config{})
	report, err := older.Down(t.Context(), "app", 1)
	if err != nil || applied(report) != "2_b.down.sql (recorded)" {
		t.Errorf("%+v, %v", report.Applied, err)
	}
}

func TestDownRunsNothingWhenSomethingCannotBeUndone(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "create table {{tables.t}} ()", "2_b.down.sql", "drop table {{tables.t}}"), migrations.Config{})
	up(t, m)
	_, err := m.Down(t.Context(), "app", 0)
	if err == nil || !strings.Contains(err.Error(), "migrations: app (schema app): 1_a has no down file, neither here nor recorded; write 1_a.down.sql") {
		t.Errorf("%v", err)
	}
	if got := history(t, m); got != "a:applied b:applied" {
		t.Errorf("history %s", got)
	}
	m = migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "create table {{tables.t}} ()", "2_b.down.sql", "drop table {{tables.t}};\ndrop table {{tables.u}}"), migrations.Config{})
	_, err = m.Down(t.Context(), "app", 1)
	if e, ok := errors.AsType[*migrations.MigrationError](err); !ok || e.File != "2_b.down.sql" || e.Line != 2 || !errors.Is(err, pgdbm.ErrUndefined) {
		t.Errorf("%v", err)
	}
	if got := history(t, m); got != "a:applied b:applied" {
		t.Errorf("history %s", got)
	}
}

func TestBaselineRecordsWithoutRunning(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "select 1/0", "3_c.sql", "insert into {{tables.t}} values (3)"), migrations.Config{})
	exec(t, pool, "create schema app; create table app.t (n int)")
	if _, err := m.Baseline(t.Context(), "app", 4); err == nil || !strings.Contains(err.Error(), "module app has no version 4") {
		t.Errorf("%v", err)
	}
	report, err := m.Baseline(t.Context(), "app", 2)
	if err != nil || applied(report) != "1_a.sql 2_b.sql" {
		t.Fatalf("%+v, %v", report.Applied, err)
	}
	if _, err := m.Baseline(t.Context(), "app", 2); err == nil || !strings.Contains(err.Error(), "2 migrations are recorded already") {
		t.Errorf("twice: %v", err)
	}
	if got := up(t, m); got != "3_c.sql" {
		t.Errorf("applied %s", got)
	}
	if rows, err := m.History(t.Context()); err != nil || rows[0].Kind != migrations.KindBaseline || rows[2].Kind != migrations.KindSQL {
		t.Errorf("history %+v, %v", rows, err)
	}
	if err := m.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDryRunLeavesEverythingAsItWas(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	users := load(t, files("1_a.sql", "create table {{tables.users}} (id int primary key)"))
	orders := load(t, files("1_a.sql", "create table {{tables.orders}} (u int references {{tables.users.users}} deferrable initially deferred)",
		"2_b.sql", auto+"vacuum", "3_c.sql", "select 1/0"))
	broken := load(t, files("1_a.sql", "create table {{tables.t}} (n int primary key references {{tables.t}} deferrable initially deferred, m int references {{tables.t}} deferrable initially deferred)", "2_b.sql", "insert into {{tables.t}} values (1, 2)"))
	m := newMigrator(t, pool, migrations.Config{},
		migrations.Target{Module: "users", Schema: "users", Source: users},
		migrations.Target{Module: "orders", Schema: "orders", Source: orders, DependsOn: []string{"users"}},
		migrations.Target{Module: "zbroken", Schema: "zbroken", Source: broken})
	report, err := m.DryRun(t.Context(), migrations.Only("users", "orders"))
	if err != nil || len(report.Applied) != 2 || len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "orders@orders: not run: 2_b.sql is a no-transaction file (2 pending") {
		t.Errorf("%+v, %v", report, err)
	}
	_, err = m.DryRun(t.Context(), migrations.Only("zbroken"))
	if !errors.Is(err, pgdbm.ErrReference) || !strings.Contains(err.Error(), "2_b.sql: ") {
		t.Errorf("a deferred constraint: %v", err)
	}
	if n := value[int](t, pool, "select count(*) from pg_namespace where nspname in ('users', 'orders', 'zbroken')"); n != 0 {
		t.Errorf("%d schemas left", n)
	}
	nothingLeft(t, pool)
}

func TestDownTriesAgainWhenSomebodyHoldsALock(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "1_a.down.sql", "-- pgdbm:lock-timeout 50ms\ndrop table {{tables.t}}")
	up(t, migrator(t, pool, fsys, migrations.Config{}))
	reader, err := pool.Pgx().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(t.Context(), "select from app.t"); err != nil {
		t.Fatal(err)
	}
	seen := &events{on: func(e migrations.Event) {
		if e.Kind == migrations.EventRetry && e.Attempt == 1 {
			if err := reader.Commit(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}}
	report, err := migrator(t, pool, fsys, migrations.Config{Observer: seen}).Down(t.Context(), "app", 0)
	if err != nil || applied(report) != "1_a.down.sql" || report.Applied[0].Attempts < 2 {
		t.Errorf("%+v, %v", report, err)
	}
}
