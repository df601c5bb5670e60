package migrations_test

import (
	"context"
	"errors"
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestWrongIdsAreRefusedBeforeAnySQL(t *testing.T) {
	t.Parallel()
	pool, err := pgdbm.New(pgdbm.Config{Host: "127.0.0.1", Port: 1})
	testkit.NoError(t, err)
	t.Cleanup(func() { _ = pool.Close(t.Context()) })
	src := load(t, crm1)
	m := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "users", Schema: "t_users", Source: src})
	ts, err := m.Tenants(migrations.Target{Module: "crm", Schema: "t_", Source: src})
	testkit.NoError(t, err)
	none, err := m.Tenants(migrations.Target{Module: "crm", Source: src})
	testkit.NoError(t, err)
	for _, c := range []struct {
		ts       *migrations.Tenants
		id, want string
	}{
		{ts, "", "migrations: tenant of crm: the id is empty"},
		{ts, "550e8400-e29b", `migrations: tenant "550e8400-e29b" of crm: schema "t_550e8400-e29b": a name is a letter or _ followed by up to 62 letters, digits or _`},
		{ts, `a"; drop schema x`, `schema "t_a\"; drop schema x": a name is`},
		{ts, strings.Repeat("x", 62), "a name is a letter or _ followed by up to 62"},
		{ts, "é", "a name is"},
		{ts, "users", `migrations: tenant "users" of crm: schema t_users belongs to module users`},
		{none, "public", `migrations: tenant "public" of crm: schema public belongs to PostgreSQL`},
		{none, "pg_x", "names that begin with pg_ belong to PostgreSQL"},
		{none, "1", "a name is"},
	} {
		err := c.ts.Ensure(t.Context(), c.id)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.id, err, c.want)
		}
		report, err := c.ts.Up(t.Context(), migrations.FanOut{Only: []string{"fine", c.id, "a b"}})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `tenant "a b"`) || report == nil {
			t.Errorf("%q: %v", c.id, err)
		}
	}
	_, err = ts.Up(t.Context(), migrations.FanOut{Workers: -1, MaxFailures: -1, Create: true})
	want := "migrations: FanOut: Workers must not be negative\nmigrations: FanOut: MaxFailures must not be negative\nmigrations: FanOut: Create needs Only: the ids of the tenants to create"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	for target, want := range map[*migrations.Target]string{
		{Module: "users", Schema: "x_"}:                             "migrations: Tenants: module users has schema t_users; a module is either on one schema or on those of tenants",
		{Module: "crm", Schema: "x_", DependsOn: []string{"plans"}}: `migrations: module crm depends on "plans", which is not among the targets (have crm, users)`,
		{Module: "crm", Schema: "x-"}:                               `migrations: module crm: schema "x-_": a name is`,
		{Module: "a b", Schema: "x_"}:                               `migrations: module "a b": names are`,
		{Module: "crm", Schema: "x_", Source: load(t, files("1_a.sql", "select 1 from {{tables.plans.t}}"))}: `1_a.sql:1:15: {{tables.plans.t}} names module "plans", which is not a declared dependency`,
	} {
		if _, err := m.Tenants(*target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", target, err, want)
		}
	}
}

func TestTenantsKeepTheirNames(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	all := []string{"MyApp", "myapp", "SELECT", strings.Repeat("x", 63)}
	ts, err := newMigrator(t, pool, migrations.Config{}).Tenants(migrations.Target{Module: "crm", Source: load(t, crm2)})
	testkit.NoError(t, err)
	for _, id := range all {
		testkit.NoError(t, ts.Ensure(t.Context(), id))
	}
	status, err := ts.Status(t.Context())
	testkit.NoError(t, err)
	var got []string
	for _, s := range status {
		got = append(got, s.Tenant)
		if s.Schema != s.Tenant || s.State != migrations.TenantCurrent {
			t.Errorf("%+v", s)
		}
	}
	if want := []string{"MyApp", "SELECT", "myapp", all[3]}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if n := value[int](t, pool, "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relname = 'items' and n.nspname = any($1)", all); n != 4 {
		t.Errorf("%d tables", n)
	}
}

func TestTenantsShareTheTablesOfTheirDependencies(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "plans", Schema: "Plans", Source: load(t, files("1_a.sql", "create table {{tables.plan}} (id int primary key)"))})
	up(t, m)
	src := load(t, files("1_a.sql", "create table {{tables.orders}} (plan int references {{tables.plans.plan}})"))
	ts, err := m.Tenants(migrations.Target{Module: "crm", Schema: "t_", Source: src, DependsOn: []string{"plans"}})
	testkit.NoError(t, err)
	provision(t, ts, []string{"a", "b"})
	if n := value[int](t, pool, `select count(*) from pg_constraint where confrelid = '"Plans".plan'::regclass`); n != 2 {
		t.Errorf("%d references", n)
	}
	if got := up(t, m); got != "" {
		t.Errorf("the migrator has applied %s", got)
	}
}

func TestASchemaOfAnotherModuleIsNoTenant(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	up(t, newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "billing", Schema: "t_billing", Source: load(t, crm1)}))
	ts := tenants(t, pool, crm1, migrations.Config{})
	provision(t, ts, []string{"a"})
	const want = "migrations: crm (schema t_billing): the schema belongs to another module: billing"
	if err := ts.Ensure(t.Context(), "billing"); err == nil || err.Error() != want {
		t.Error(err)
	}
	report, err := ts.Up(t.Context(), migrations.FanOut{Only: []string{"a", "billing"}, Create: true})
	if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(want, "migrations: ")) || report.Current != 1 || report.Failed[0].Tenant != "billing" {
		t.Errorf("%v, %v", report, err)
	}
	if got := states(t, ts); got != "1 current at 1 with 1" {
		t.Error(got)
	}
	// Side by side with another module's rows in the same schema it can be.
	up(t, newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "audit", Schema: "t_a", Source: load(t, files("1_x.sql", "select 1"))}))
	if report := fanOut(t, tenants(t, pool, crm2, migrations.Config{}), migrations.FanOut{}); len(report.Migrated) != 1 {
		t.Error(report)
	}
	if got := value[string](t, pool, "select obj_description('t_a.pgdbm_migrations'::regclass)"); strings.Count(got, ":") != 4 || !strings.Contains(got, "audit") {
		t.Errorf("heads: %s", got)
	}
}

func TestAFailedNoTransactionFileIsSeenInTheStatus(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(3))
	exec(t, pool, "insert into t_002.orders values (1, 'same'), (2, 'same')")
	fsys := files("1_orders.sql", string(crm1["1_orders.sql"].Data), "2_i.sql", auto+"create table {{tables.u}} (n int); create unique index concurrently i on {{tables.orders}} (note)")
	sent := &statements{}
	ts := tenants(t, open(t, pgdbm.Config{ConnString: pool.Pgx().Config().ConnString(), Tracers: []pgx.QueryTracer{sent}}), fsys, migrations.Config{})
	report, err := ts.Up(t.Context(), migrations.FanOut{Canary: -1})
	if err == nil || len(report.Migrated) != 2 || len(report.Failed) != 1 || !errors.Is(err, pgdbm.ErrConflict) {
		t.Fatalf("%v, %v", report, err)
	}
	sent.reset()
	status, err := ts.Status(t.Context())
	testkit.NoError(t, err)
	if s := status[1]; s.State != migrations.TenantFailed || s.Tenant != "002" || !slices.Equal(s.Pending, []string{"2_i.sql"}) || s.Err != nil || len(sent.list) != 1 {
		t.Errorf("%+v with %d queries", s, len(sent.list))
	}
	exec(t, pool, "delete from t_002.orders where id = 2")
	testkit.NoError(t, ts.Ensure(t.Context(), "002"))
	if got := states(t, ts); got != "3 current at 2 with 2" {
		t.Error(got)
	}
}

func TestATenantWhoseFirstFileFailedIsOne(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	ts := tenants(t, pool, files("1_a.sql", auto+"create table {{tables.a}} (n int); select nonsense"), migrations.Config{})
	if err := ts.Ensure(t.Context(), "a"); err == nil {
		t.Fatal("no error")
	}
	if got := states(t, ts); got != "1 failed at 0 with 0" {
		t.Error(got)
	}
	ts = tenants(t, pool, files("1_a.sql", auto+"create table {{tables.a}} (n int); select 1"), migrations.Config{})
	if report := fanOut(t, ts, migrations.FanOut{}); len(report.Migrated) != 1 {
		t.Error(report)
	}
	if got := states(t, ts); got != "1 current at 1 with 1" {
		t.Error(got)
	}
}

func TestATenantOfAModuleWithoutFiles(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	ts := tenants(t, pool, files(), migrations.Config{})
	testkit.NoError(t, ts.Ensure(t.Context(), "a"))
	provision(t, ts, []string{"b"})
	if got := states(t, ts); got != "2 current at 0 with 0" {
		t.Error(got)
	}
}

func TestAnEditedFileIsReportedForEveryTenant(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(4))
	fanOut(t, tenants(t, pool, crm2, migrations.Config{}), migrations.FanOut{Only: []string{"001"}})
	edited := files("1_orders.sql", string(crm1["1_orders.sql"].Data), "2_items.sql", "select 2", "3_c.sql", "create table {{tables.c}} (n int)")
	ts := tenants(t, pool, edited, migrations.Config{})
	if got := states(t, ts); got != "1 failed at 2 with 2, 3 behind at 1 with 1" {
		t.Error(got)
	}
	report, err := ts.Up(t.Context(), migrations.FanOut{Canary: -1})
	if !errors.Is(err, migrations.ErrDrift) || len(report.Migrated) != 3 || len(report.Failed) != 1 || !strings.Contains(report.Failed[0].Err.Error(), "crm (schema t_001): 2_items.sql: an applied migration was edited") {
		t.Errorf("%v, %v", report, err)
	}
	if err := ts.Ensure(t.Context(), "001"); !errors.Is(err, migrations.ErrDrift) {
		t.Error(err)
	}
}

func TestAHalfMadeTenantIsCompleted(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	broken := tenants(t, pool, files("1_a.sql", "create table {{tables.a}} (n int)", "2_b.sql", "select nonsense"), migrations.Config{})
	e, ok := errors.AsType[*migrations.MigrationError](broken.Ensure(t.Context(), "a"))
	if !ok || e.File != "2_b.sql" || e.Line != 1 || e.Column != 8 {
		t.Fatalf("%+v", e)
	}
	exec(t, pool, "create schema t_b; create schema t_c") // made by somebody with more rights
	if e := tenants(t, pool, files("1_a.sql", "select nonsense"), migrations.Config{}).Ensure(t.Context(), "c"); e == nil {
		t.Error("no error")
	}
	ts := tenants(t, pool, crm1, migrations.Config{})
	if got := states(t, tenants(t, pool, files("1_a.sql", "create table {{tables.a}} (n int)"), migrations.Config{})); got != "1 behind at 0 with 0, 1 current at 1 with 1" {
		t.Error(got)
	}
	for _, id := range []string{"b", "c"} {
		testkit.NoError(t, ts.Ensure(t.Context(), id))
	}
}

func TestTenantsThroughAPooler(t *testing.T) {
	t.Parallel()
	pooled, direct := pgbouncer(t)
	pool := open(t, pgdbm.Config{ConnString: pooled})
	all := ids(12)
	ts := tenants(t, pool, crm1, migrations.Config{})
	provision(t, ts, all)
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := 0
	for range 3 {
		ts := tenants(t, open(t, pgdbm.Config{ConnString: pooled, MaxConns: 2}), crm2, migrations.Config{})
		wg.Go(func() {
			report, err := ts.Up(t.Context(), migrations.FanOut{Workers: 2})
			if err != nil {
				t.Error(err)
			}
			if err := ts.Ensure(t.Context(), "new"); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			count += report.Files
		})
	}
	wg.Wait()
	if got := states(t, tenants(t, pool, crm2, migrations.Config{})); got != "13 current at 2 with 2" || count > 12 {
		t.Errorf("%s, %d files", got, count)
	}
	before := value[string](t, pool, "select current_setting('lock_timeout') || current_setting('search_path') || current_setting('application_name')")
	if strings.Contains(before, "migrate") || strings.Contains(before, "t_") {
		t.Errorf("the pooler's sessions have %s", before)
	}
	fsys := files("1_orders.sql", string(crm2["1_orders.sql"].Data), "2_items.sql", string(crm2["2_items.sql"].Data), "3_i.sql", auto+"create index concurrently i on {{tables.items}} (n)")
	report, err := tenants(t, pool, fsys, migrations.Config{}).Up(t.Context(), migrations.FanOut{})
	if !errors.Is(err, migrations.ErrPooled) || len(report.Failed) != 1 || report.Left != 12 {
		t.Errorf("%v, %v", report, err)
	}
	if report := fanOut(t, tenants(t, open(t, pgdbm.Config{ConnString: pooled, DirectConnString: direct}), fsys, migrations.Config{}), migrations.FanOut{}); len(report.Migrated) != 13 {
		t.Error(report)
	}
}

// tenantConn is the environment that makes TestTenantRunner a process of its own.
const tenantConn = "MIGRATIONS_TEST_TENANT_CONN"

// TestTenantRunner is the program that TestEnsureFromManyProcesses starts. In an
// ordinary test run there is nothing for it to do.
func TestTenantRunner(t *testing.T) {
	t.Parallel()
	conn := os.Getenv(tenantConn)
	if conn == "" {
		return
	}
	ts := tenants(t, open(t, pgdbm.Config{ConnString: conn, MaxConns: 2}), crm2, migrations.Config{})
	for _, id := range []string{"a", "b", "c"} {
		if err := ts.Ensure(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEnsureFromManyProcesses(t *testing.T) {
	t.Parallel()
	conn := testkit.ConnString(t)
	pool := open(t, pgdbm.Config{ConnString: conn})
	var wg sync.WaitGroup
	for range 6 {
		cmd := osexec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTenantRunner$", "-test.v")
		cmd.Env = append(os.Environ(), tenantConn+"="+conn)
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	if got := states(t, tenants(t, pool, crm2, migrations.Config{})); got != "3 current at 2 with 2" {
		t.Error(got)
	}
	if n := value[int](t, pool, "select count(*) from t_a.pgdbm_migrations"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// What is not a file of plain statements is run as a Migrator runs it.
func TestTenantsWithGoFunctionsAndCheckpoints(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(3))
	fsys := files("1_orders.sql", string(crm1["1_orders.sql"].Data), "2_b.sql", "create table {{tables.b}} (n int)",
		"4_all.sql", "-- pgdbm:checkpoint 1-3\ncreate table {{tables.orders}} (id int primary key, note text); create table {{tables.b}} (n int)",
		"5_e.sql", "create table {{tables.e}} (n int)")
	src, err := migrations.Load(fsys, migrations.LoadOptions{Go: []migrations.GoMigration{{Version: 3, Name: "go", Up: func(ctx context.Context, db pgdbm.DB) error {
		_, err := db.Exec(ctx, "insert into {{tables.b}} values (3)")
		return err
	}}}})
	testkit.NoError(t, err)
	ts, err := newMigrator(t, pool, migrations.Config{}).Tenants(migrations.Target{Module: "crm", Schema: "t_", Source: src})
	testkit.NoError(t, err)
	if report := fanOut(t, ts, migrations.FanOut{}); len(report.Migrated) != 3 {
		t.Error(report)
	}
	provision(t, ts, []string{"new1", "new2"})
	testkit.NoError(t, ts.Ensure(t.Context(), "new3"))
	report := fanOut(t, ts, migrations.FanOut{})
	if report.Current != 6 {
		t.Error(report)
	}
	status, err := ts.Status(t.Context())
	testkit.NoError(t, err)
	for _, s := range status {
		want := 1
		if strings.HasPrefix(s.Tenant, "new") {
			want = 0
		}
		if n := value[int](t, pool, "select count(*) from "+s.Schema+".b"); s.State != migrations.TenantCurrent || s.Version != 5 || n != want {
			t.Errorf("%+v, %d rows", s, n)
		}
	}
}
