package migrations_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// tenants puts module crm on the schemas t_<id>.
func tenants(tb testing.TB, pool *pgdbm.Pool, fsys fs.FS, cfg migrations.Config) *migrations.Tenants {
	tb.Helper()
	ts, err := newMigrator(tb, pool, cfg).Tenants(migrations.Target{Module: "crm", Schema: "t_", Source: load(tb, fsys)})
	if err != nil {
		tb.Fatal(err)
	}
	return ts
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%03d", i+1)
	}
	return out
}

// fanOut runs Up, which must succeed.
func fanOut(tb testing.TB, ts *migrations.Tenants, fan migrations.FanOut) *migrations.TenantReport {
	tb.Helper()
	report, err := ts.Up(tb.Context(), fan)
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

// provision creates tenants.
func provision(tb testing.TB, ts *migrations.Tenants, ids []string) {
	tb.Helper()
	report := fanOut(tb, ts, migrations.FanOut{Only: ids, Create: true})
	if len(report.Migrated) != len(ids) {
		tb.Fatal(report)
	}
}

// states renders the status of all tenants: how many are in which state.
func states(tb testing.TB, ts *migrations.Tenants) string {
	tb.Helper()
	all, err := ts.Status(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range all {
		count[fmt.Sprintf("%s at %d with %d", s.State, s.Version, s.Applied)]++
	}
	var out []string
	for state, n := range count {
		out = append(out, fmt.Sprintf("%d %s", n, state))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

var (
	crm1 = files("1_orders.sql", "create table {{tables.orders}} (id int primary key, note text)")
	crm2 = files("1_orders.sql", "create table {{tables.orders}} (id int primary key, note text)",
		"2_items.sql", "alter table {{tables.orders}} add total int;\n\ncreate table {{tables.items}} (n int)")
)

func TestOneFailingTenantDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	all := ids(60)
	provision(t, tenants(t, pool, crm1, migrations.Config{}), all)
	exec(t, pool, "create table t_030.items (x int)")
	ts := tenants(t, pool, crm2, migrations.Config{})
	if got := states(t, ts); got != "60 behind at 1 with 1" {
		t.Errorf("before: %s", got)
	}
	report, err := ts.Up(t.Context(), migrations.FanOut{})
	if err == nil || len(report.Failed) != 1 || len(report.Migrated) != 59 || report.Files != 59 || report.Tenants != 60 {
		t.Fatalf("%v, %v", report, err)
	}
	failed := report.Failed[0]
	e, ok := errors.AsType[*migrations.MigrationError](err)
	if !ok || e.Error() != failed.Err.Error() || e.Schema != "t_030" || e.File != "2_items.sql" || e.Line != 3 || e.Column != 1 || e.Statement != 2 || e.SQLState != "42P07" {
		t.Errorf("%+v", e)
	}
	if failed.Tenant != "030" || failed.State != migrations.TenantFailed {
		t.Errorf("%+v", failed)
	}
	if want := `migrations: tenants of crm: 1 of 60 failed
crm (schema t_030): 2_items.sql:3:1: relation "items" already exists (SQLSTATE 42P07)`; err.Error() != want {
		t.Errorf("%s", err)
	}
	if got := states(t, ts); got != "1 behind at 1 with 1, 59 current at 2 with 2" {
		t.Errorf("after: %s", got)
	}
	if value[bool](t, pool, "select exists (select from pg_attribute where attrelid = 't_030.orders'::regclass and attname = 'total')") {
		t.Error("the failed file has left something")
	}
	exec(t, pool, "drop table t_030.items")
	again := fanOut(t, ts, migrations.FanOut{})
	if !slices.Equal(again.Migrated, []string{"030"}) || again.Current != 59 || again.Files != 1 {
		t.Errorf("the second run: %v", again)
	}
	nothingLeft(t, pool)
}

// The rows that Tenants writes must be those that a Migrator would write.
func TestTenantsAndMigratorsWriteTheSame(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "select 1; select 2", "2_b.down.sql", "select 3",
		"3_c.sql", auto+"create index concurrently i on {{tables.t}} (n)", "R_v.sql", "create or replace view {{tables.v}} as select 1 as n")
	cfg := migrations.Config{AppVersion: "1.2.3"}
	provision(t, tenants(t, pool, fsys, cfg), []string{"a"})
	up(t, newMigrator(t, pool, cfg, migrations.Target{Module: "crm", Schema: "t_b", Source: load(t, fsys)}))
	changed := files("R_v.sql", "create or replace view {{tables.v}} as select 2 as n", "4_d.sql", "select 4")
	for name, f := range fsys {
		if changed[name] == nil {
			changed[name] = f
		}
	}
	for _, fsys := range []fs.FS{fsys, changed} {
		fanOut(t, tenants(t, pool, fsys, cfg), migrations.FanOut{Only: []string{"a"}})
		up(t, newMigrator(t, pool, cfg, migrations.Target{Module: "crm", Schema: "t_b", Source: load(t, fsys)}))
		const rows = `select coalesce(string_agg(r, e'\n' order by r), '') from (select (to_jsonb(t) - 'seq' - 'started_at' - 'finished_at' - 'duration_ms')::text as r from %s.pgdbm_migrations t where finished_at >= started_at) x`
		a, b := value[string](t, pool, fmt.Sprintf(rows, "t_a")), value[string](t, pool, fmt.Sprintf(rows, "t_b"))
		if a != b || a == "" {
			t.Errorf("Tenants wrote\n%s\nand the migrator\n%s", a, b)
		}
		const comment = "select obj_description('%s.pgdbm_migrations'::regclass)"
		if a, b := value[string](t, pool, fmt.Sprintf(comment, "t_a")), value[string](t, pool, fmt.Sprintf(comment, "t_b")); a != b {
			t.Errorf("comments %s and %s", a, b)
		}
	}
	if n := value[int](t, pool, "select n from t_a.v"); n != 2 {
		t.Errorf("the view says %d", n)
	}
}

func TestNothingToDoIsOneQueryForAllTenants(t *testing.T) {
	t.Parallel()
	sent := &statements{}
	pool := open(t, pgdbm.Config{ConnString: testkit.ConnString(t), Tracers: []pgx.QueryTracer{sent}})
	ts := tenants(t, pool, crm2, migrations.Config{})
	provision(t, ts, ids(40))
	older := tenants(t, pool, crm1, migrations.Config{})
	count := func(what string, want int, do func()) {
		t.Helper()
		sent.reset()
		do()
		if len(sent.list) != want {
			t.Errorf("%s: %d queries: %q", what, len(sent.list), sent.list)
		}
	}
	count("Up", 1, func() {
		if r := fanOut(t, ts, migrations.FanOut{}); r.Current != 40 {
			t.Error(r)
		}
	})
	count("Up of some", 1, func() {
		if r := fanOut(t, ts, migrations.FanOut{Only: []string{"007", "011", "007", "none"}}); r.Current != 2 || !slices.Equal(r.Missing, []string{"none"}) {
			t.Error(r)
		}
	})
	count("Up of none", 0, func() { fanOut(t, ts, migrations.FanOut{Only: []string{}}) })
	count("Status", 1, func() {
		if got := states(t, ts); got != "40 current at 2 with 2" {
			t.Error(got)
		}
	})
	count("Ensure", 1, func() { testkit.NoError(t, ts.Ensure(t.Context(), "007")) })
	count("Status by an older program", 2, func() {
		if got := states(t, older); got != "40 ahead at 2 with 2" {
			t.Error(got)
		}
	})
	count("Up by an older program", 1, func() { // it remembers
		r := fanOut(t, older, migrations.FanOut{})
		if r.Current != 40 || len(r.Warnings) != 1 || !strings.HasSuffix(r.Warnings[0], "are applied: 2_items (and 39 other tenants)") {
			t.Errorf("%v %q", r, r.Warnings)
		}
	})
	count("Ensure by an older program", 1, func() { testkit.NoError(t, older.Ensure(t.Context(), "007")) })
	exec(t, pool, "comment on table t_007.pgdbm_migrations is null; comment on table t_008.pgdbm_migrations is 'mine'; create schema t_not; create table t_not.pgdbm_migrations (like t_007.pgdbm_migrations)")
	count("Status without comments", 2, func() {
		if got := states(t, ts); got != "40 current at 2 with 2" {
			t.Error(got)
		}
	})
}

func TestEnsureFromManyGoroutinesCreatesOnce(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 2})
	var wg sync.WaitGroup
	for _, own := range []bool{false, true} { // one Tenants for all, and each its own, as processes have
		ts := tenants(t, pool, crm2, migrations.Config{})
		for i := range 24 {
			wg.Go(func() {
				ts := ts
				if own {
					ts = tenants(t, pool, crm2, migrations.Config{})
				}
				if err := ts.Ensure(t.Context(), fmt.Sprintf("%t_%d", own, i%2)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if got := states(t, tenants(t, pool, crm2, migrations.Config{})); got != "4 current at 2 with 2" {
		t.Error(got)
	}
	nothingLeft(t, pool)
}

func TestAuditIsNoPartOfATenantsHead(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	some, all := files("1_a.sql", "select 1", "3_c.sql", "select 3"), files("1_a.sql", "select 1", "2_b.sql", "select 2", "3_c.sql", "select 3", "4_d.sql", "select 4")
	one := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "crm", Schema: "t_1", Source: load(t, some)})
	up(t, one, migrations.To(1))
	testkit.NoError(t, one.Resolve(t.Context(), "crm", "3", migrations.ResolveApplied))
	ts := tenants(t, pool, all, migrations.Config{OutOfOrder: true})
	testkit.NoError(t, ts.Ensure(t.Context(), "2"))
	testkit.Equal(t, fanOut(t, ts, migrations.FanOut{}).Files, 2)
	comment := func(schema string) string {
		return value[string](t, pool, "select obj_description(($1 || '.pgdbm_migrations')::regclass)", schema)
	}
	testkit.Equal(t, comment("t_1"), comment("t_2")) // the same is applied
}

func TestTenantsDoNotShareSessionState(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	ts := tenants(t, pool, files("1_a.sql", `create sequence {{schema}}.s;
do $$ begin
  if (select count(*) from pg_cursors where name = 'c') > 0 then raise exception 'cursor'; end if;
  if (select count(*) from pg_listening_channels()) > 0 then raise exception 'listen'; end if;
  if coalesce(current_setting('app.x', true), '') <> '' then raise exception 'setting'; end if;
end $$;
declare c cursor with hold for select 1; listen x; select nextval('{{schema}}.s'); select set_config('app.x', '1', false); create temp table tt (n int); prepare p as select 1`), migrations.Config{})
	_, err := ts.Up(t.Context(), migrations.FanOut{Only: ids(3), Create: true, Workers: 1})
	testkit.NoError(t, err)
	m := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "a", Schema: "a", Source: load(t, files("1_a.sql", "declare c cursor with hold for select 1", "2_b.sql", "declare c cursor with hold for select 1"))})
	up(t, m)
}
