package migrations_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// fleetOf returns a pool on a database with tenants that have crm1.
func fleetOf(t *testing.T, ids []string) *pgdbm.Pool {
	t.Helper()
	pool := setup(t)
	provision(t, tenants(t, pool, crm1, migrations.Config{}), ids)
	return pool
}

func TestAFailingCanaryEndsTheRun(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(8))
	exec(t, pool, "create table t_002.items (x int)")
	ts := tenants(t, pool, crm2, migrations.Config{})
	report, err := ts.Up(t.Context(), migrations.FanOut{Canary: 3})
	if err == nil || !slices.Equal(report.Migrated, []string{"001"}) || len(report.Failed) != 1 || report.Left != 6 {
		t.Errorf("%v, %v", report, err)
	}
	if want := `migrations: tenants of crm: a canary failed, and the others were not touched; 1 of 8 failed
crm (schema t_002): 2_items.sql:3:1: relation "items" already exists (SQLSTATE 42P07)`; err.Error() != want {
		t.Errorf("%s", err)
	}
	if got := states(t, ts); got != "1 current at 2 with 2, 7 behind at 1 with 1" {
		t.Error(got)
	}
	// The caller chooses the canaries by their place in the list, or does without.
	report, err = ts.Up(t.Context(), migrations.FanOut{Only: []string{"005", "002", "003"}})
	if err == nil || !slices.Equal(report.Migrated, []string{"005", "003"}) || report.Left != 0 {
		t.Errorf("%v, %v", report, err)
	}
	report, err = ts.Up(t.Context(), migrations.FanOut{Canary: -1})
	if err == nil || len(report.Migrated) != 4 || report.Current != 3 || report.Left != 0 {
		t.Errorf("%v, %v", report, err)
	}
}

func TestMaxFailuresEndsTheRun(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(30))
	for i := 2; i <= 30; i++ {
		exec(t, pool, fmt.Sprintf("create table t_%03d.items (x int)", i))
	}
	report, err := tenants(t, pool, crm2, migrations.Config{}).Up(t.Context(), migrations.FanOut{Workers: 2, MaxFailures: 5})
	if err == nil || !strings.Contains(err.Error(), "migrations: tenants of crm: ended after 5 failures, as MaxFailures says; ") {
		t.Fatal(err)
	}
	if n := len(report.Failed); n < 5 || n > 6 || len(report.Migrated) != 1 || report.Left != 29-n {
		t.Errorf("%v", report)
	}
}

func TestADroppedTenantIsSkippedAndStaysAway(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(6))
	var once sync.Once
	seen := &events{on: func(e migrations.Event) {
		if e.Kind == migrations.EventTenant {
			once.Do(func() { exec(t, pool, "drop schema t_003 cascade; drop schema t_005 cascade; create schema t_005") })
		}
	}}
	ts := tenants(t, pool, crm2, migrations.Config{Observer: seen})
	for _, fan := range []migrations.FanOut{{Workers: 1}, {Only: ids(6)}, {Only: []string{"003"}}} {
		report := fanOut(t, ts, fan)
		want := []string{"003", "005"}
		if len(fan.Only) == 1 {
			want = want[:1]
		}
		slices.Sort(report.Missing)
		if !slices.Equal(report.Missing, want) {
			t.Errorf("%v: missing %q", report, report.Missing)
		}
	}
	if got := states(t, ts); got != "4 current at 2 with 2" {
		t.Error(got)
	}
	if value[bool](t, pool, "select to_regnamespace('t_003') is not null or to_regclass('t_005.pgdbm_migrations') is not null") {
		t.Error("it was created again")
	}
	// With Create only what was not there from the start comes into being.
	provision(t, ts, []string{"003", "new"})
}

func TestDroppedBetweenTheLookAndACreatingRun(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(3))
	var once sync.Once
	seen := &events{on: func(e migrations.Event) {
		if e.Kind == migrations.EventTenant {
			once.Do(func() { exec(t, pool, "drop schema t_003 cascade") })
		}
	}}
	ts := tenants(t, pool, crm2, migrations.Config{Observer: seen})
	report := fanOut(t, ts, migrations.FanOut{Only: []string{"001", "new", "003"}, Create: true})
	if !slices.Equal(report.Missing, []string{"003"}) || len(report.Migrated) != 2 {
		t.Errorf("%v", report)
	}
}

func TestConnectionsAreRecycled(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(20))
	exec(t, pool, "create table public.seen (pid int)")
	fsys := files("1_orders.sql", string(crm1["1_orders.sql"].Data), "2_pid.sql", "insert into public.seen values (pg_backend_pid())", "3_pid.sql", "insert into public.seen values (pg_backend_pid())")
	fanOut(t, tenants(t, pool, fsys, migrations.Config{}), migrations.FanOut{Workers: 2, RecycleEvery: 3})
	if n := value[int](t, pool, "select max(n) from (select count(*) as n from public.seen group by pid) x"); n > 6 {
		t.Errorf("a connection has run %d files of 2 for each tenant", n)
	}
	if n := value[int](t, pool, "select count(distinct pid) from public.seen"); n < 7 {
		t.Errorf("%d connections for 20 tenants", n)
	}
	fsys["4_pid.sql"] = files("x", "truncate public.seen; insert into public.seen values (pg_backend_pid())")["x"]
	fsys["5_pid.sql"] = files("x", "insert into public.seen values (pg_backend_pid())")["x"]
	fanOut(t, tenants(t, pool, fsys, migrations.Config{}), migrations.FanOut{Workers: 1, Canary: -1, RecycleEvery: -1})
	if n := value[int](t, pool, "select count(distinct pid) from public.seen"); n != 1 {
		t.Errorf("%d connections without recycling", n)
	}
}

func TestACancelledRunGoesOnLater(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(20))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := &events{on: func(e migrations.Event) {
		if e.Kind == migrations.EventTenant && e.Done == 7 {
			cancel()
		}
	}}
	report, err := tenants(t, pool, crm2, migrations.Config{Observer: seen}).Up(ctx, migrations.FanOut{Workers: 2})
	if !errors.Is(err, context.Canceled) || len(report.Failed) != 0 || len(report.Migrated) < 7 || report.Left != 20-len(report.Migrated) {
		t.Fatalf("%v, %v", report, err)
	}
	nothingLeft(t, pool)
	ts := tenants(t, pool, crm2, migrations.Config{})
	// Of what was under way, the server may have committed something.
	if again := fanOut(t, ts, migrations.FanOut{}); len(again.Migrated) > report.Left || len(again.Migrated)+again.Current != 20 {
		t.Errorf("first %v, then %v", report, again)
	}
	if got := states(t, ts); got != "20 current at 2 with 2" {
		t.Error(got)
	}
}

func TestAFileUnderWayIsRolledBackWhenTheRunIsCancelled(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(2))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fsys := files("1_orders.sql", string(crm1["1_orders.sql"].Data), "2_slow.sql", "create table {{tables.u}} (n int); select pg_sleep(60)")
	done := make(chan error)
	go func() {
		_, err := tenants(t, pool, fsys, migrations.Config{}).Up(ctx, migrations.FanOut{})
		done <- err
	}()
	eventually(t, "the file sleeps", func() bool {
		return value[int](t, pool, "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'") == 1
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	nothingLeft(t, pool)
	if value[bool](t, pool, "select to_regclass('t_001.u') is not null") {
		t.Error("something is left of the file")
	}
}

func TestALostConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(10))
	exec(t, pool, "create sequence public.runs")
	// The third run of the file ends its own session; what it did is rolled back.
	kill := "select case when nextval('public.runs') = 3 then pg_terminate_backend(pg_backend_pid()) end"
	fsys := files("1_orders.sql", string(crm1["1_orders.sql"].Data), "2_kill.sql", "create table {{tables.u}} (n int); "+kill)
	ts := tenants(t, pool, fsys, migrations.Config{})
	if report := fanOut(t, ts, migrations.FanOut{Workers: 1}); len(report.Migrated) != 10 {
		t.Error(report)
	}
	// One that always does is not tried for ever, and harms nobody else.
	fsys["3_kill.sql"] = files("x", "select pg_terminate_backend(pg_backend_pid()) where {{schema.literal}} = 't_004'")["x"]
	report, err := tenants(t, pool, fsys, migrations.Config{}).Up(t.Context(), migrations.FanOut{Workers: 2})
	if !errors.Is(err, pgdbm.ErrUnavailable) || len(report.Migrated) != 9 || len(report.Failed) != 1 || report.Failed[0].Tenant != "004" {
		t.Errorf("%v, %v", report, err)
	}
}

func TestEventsAndLogOfAFleet(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(12))
	exec(t, pool, "create table t_009.items (x int)")
	var log bytes.Buffer
	seen := &events{}
	ts := tenants(t, pool, crm2, migrations.Config{Observer: seen, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	_, err := ts.Up(t.Context(), migrations.FanOut{})
	if err == nil {
		t.Fatal("no error")
	}
	list := seen.of(migrations.EventTenant)
	if len(list) != 12 {
		t.Fatalf("%d events", len(list))
	}
	for i, e := range list {
		if e.Done != i+1 || e.Total != 12 || e.Rate <= 0 || e.Duration <= 0 || e.Tenant == "" || e.Schema != "t_"+e.Tenant || (e.Err != nil) != (e.Tenant == "009") {
			t.Errorf("%+v", e)
		}
	}
	last := seen.of(migrations.EventRunFinished)
	if list[11].Failed != 1 || len(last) != 1 || last[0].Done != 12 || last[0].Failed != 1 || last[0].Err == nil || len(seen.of(migrations.EventRunStarted)) != 1 {
		t.Errorf("%+v, %+v", list[11], last)
	}
	if n := len(seen.of(migrations.EventFileApplied)); n != 0 {
		t.Errorf("%d events of files", n)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "migrating tenants") || !strings.Contains(lines[1], "tenant migration failed") || !strings.Contains(lines[2], `level=WARN msg="tenants migrated" module=crm migrated=11 files=11 failed=1 left=0`) {
		t.Errorf("log:\n%s", log.String())
	}
}

func TestNothingOfOneTenantReachesTheNext(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(6))
	fsys := files("1_orders.sql", string(crm1["1_orders.sql"].Data), "2_set.sql", `-- pgdbm:lint-ignore session-setting on purpose
create table {{tables.seen}} as select current_setting('work_mem') as mem, current_user as who, to_regclass('pg_temp.tmp') is not null as temp, current_setting('search_path') as path;
set work_mem = '7MB'; set role pg_monitor; create temp table tmp (n int); set search_path = pg_catalog; prepare p as select 1`)
	report := fanOut(t, tenants(t, pool, fsys, migrations.Config{}), migrations.FanOut{Workers: 1})
	if len(report.Migrated) != 6 {
		t.Fatal(report)
	}
	for _, id := range ids(6) {
		got := value[string](t, pool, "select mem || ' ' || (who = current_user) || ' ' || temp || ' ' || path from t_"+id+".seen")
		if want := value[string](t, pool, "show work_mem") + ` true false "t_` + id + `", public`; got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}

func TestManyRunsAtTheSameTime(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(15))
	fsys := files("1_orders.sql", string(crm1["1_orders.sql"].Data), "2_a.sql", "insert into {{tables.orders}} values (2)",
		"3_b.sql", "insert into {{tables.orders}} values (3)", "4_c.sql", auto+"create index concurrently i on {{tables.orders}} (note)", "R_r.sql", "insert into {{tables.orders}} values (100)")
	var (
		wg    sync.WaitGroup
		files atomic.Int64
	)
	for range 4 {
		ts := tenants(t, pool, fsys, migrations.Config{})
		wg.Go(func() {
			report, err := ts.Up(t.Context(), migrations.FanOut{Workers: 2})
			if err != nil {
				t.Error(err)
			}
			files.Add(int64(report.Files))
			if n := report.Current + len(report.Migrated); n != 15 {
				t.Errorf("%v", report)
			}
		})
		wg.Go(func() {
			for _, id := range []string{"015", "new", "007"} {
				if err := ts.Ensure(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range append(ids(15), "new") {
		if n := value[int](t, pool, "select sum(id) from t_"+id+".orders"); n != 105 {
			t.Errorf("%s: %d", id, n)
		}
	}
	if n := files.Load(); n > 15*4 {
		t.Errorf("%d files", n)
	}
	nothingLeft(t, pool)
}

func TestATenantThatIsBusyIsPutOff(t *testing.T) {
	t.Parallel()
	pool := fleetOf(t, ids(5))
	holder, err := pool.Pgx().Acquire(t.Context())
	testkit.NoError(t, err)
	defer holder.Release()
	// Another runner has 002, and a session of its own is in the way of 003.
	_, err = holder.Exec(t.Context(), fmt.Sprintf("select pg_advisory_lock(%d)", migrations.LockKey("t_002", "pgdbm_migrations")))
	testkit.NoError(t, err)
	_, err = holder.Exec(t.Context(), "begin; lock table t_003.orders in access share mode")
	testkit.NoError(t, err)
	var order []string
	seen := &events{on: func(e migrations.Event) {
		switch e.Kind {
		case migrations.EventTenant:
			order = append(order, e.Tenant)
		case migrations.EventLockWait, migrations.EventRetry:
			if len(order) < 3 || e.Tenant != "002" && e.Tenant != "003" {
				t.Errorf("after %q: %+v", order, e)
			}
			if _, err := holder.Exec(context.Background(), "rollback; select pg_advisory_unlock_all()"); err != nil {
				t.Error(err)
			}
		default:
		}
	}}
	ts := tenants(t, pool, crm2, migrations.Config{Observer: seen, StatementLockTimeout: 300 * time.Millisecond})
	report := fanOut(t, ts, migrations.FanOut{Workers: 2})
	if len(report.Migrated) != 5 || !slices.Equal(slices.Sorted(slices.Values(order[:3])), []string{"001", "004", "005"}) {
		t.Errorf("%v in the order %q", report, order)
	}
}

// Rows are not read of tenants whose head is known: a file is one transaction, and
// what makes the session anew another one.
func TestKnownHeadsSpareTransactions(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	if value[int](t, pool, "select current_setting('server_version_num')::int") < 150000 {
		t.Skip("PostgreSQL 14 counts transactions some time after they have ended")
	}
	commits := func() int {
		return value[int](t, pool, "select pg_stat_get_db_xact_commit(oid) from pg_database where datname = current_database()")
	}
	each := func(what string, most int, do func()) {
		t.Helper()
		before := commits()
		do()
		nothingLeft(t, pool) // a backend reports what it has counted when it ends
		if n := commits() - before; n < 40 || n > 40*most+60 {
			t.Errorf("%s: %d transactions for 40 tenants", what, n)
		}
	}
	fsys := files("1_orders.sql", string(crm2["1_orders.sql"].Data), "2_items.sql", string(crm2["2_items.sql"].Data), "R_r.sql", "select 1")
	each("provisioning with 3 files", 12, func() { provision(t, tenants(t, pool, fsys, migrations.Config{}), ids(40)) })
	fsys["3_c.sql"] = files("x", "select 3")["x"]
	fsys["R_r.sql"] = files("x", "select 2")["x"]
	each("2 pending files", 4, func() { fanOut(t, tenants(t, pool, fsys, migrations.Config{}), migrations.FanOut{}) })
}
