package migrations_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// statements counts what a pool sends.
type statements struct {
	mu   sync.Mutex
	list []string
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, data.SQL)
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
}

func TestStartWithNothingToDoIsOneQueryForAnyNumberOfSchemas(t *testing.T) {
	t.Parallel()
	sent := &statements{}
	pool := open(t, pgdbm.Config{ConnString: testkit.ConnString(t), Tracers: []pgx.QueryTracer{sent}})
	src := load(t, files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "select 1"))
	var targets []migrations.Target
	for i := range 40 {
		targets = append(targets, migrations.Target{Module: fmt.Sprintf("m%d", i%2), Schema: fmt.Sprintf("s%d", i), Source: src})
	}
	m := newMigrator(t, pool, migrations.Config{}, targets...)
	if n := len(strings.Fields(up(t, m))); n != 80 {
		t.Errorf("%d files applied", n)
	}
	sent.reset()
	if got := up(t, m); got != "" {
		t.Errorf("applied %s", got)
	}
	if len(sent.list) != 1 {
		t.Errorf("%d queries: %q", len(sent.list), sent.list)
	}
	// Without comments, and with a database that is newer than the files.
	exec(t, pool, "do $$ declare s text; begin for s in select nspname from pg_namespace where nspname ~ '^s[0-9]+$' loop execute format('comment on table %I.pgdbm_migrations is null', s); end loop; end $$")
	sent.reset()
	if got := up(t, m); got != "" || len(sent.list) > 3 {
		t.Errorf("applied %q with %d queries", got, len(sent.list))
	}
}

func TestLookingNeedsNoMoreThanSelect(t *testing.T) {
	t.Parallel()
	conn := testkit.ConnString(t)
	owner := open(t, pgdbm.Config{ConnString: conn})
	applied := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "select 1")
	m := migrator(t, owner, applied, migrations.Config{})
	up(t, m, migrations.To(1))

	role := fmt.Sprintf("pgdbm_reader_%d", migrations.LockKey(conn, "reader")&0xffffff)
	exec(t, owner, "create role "+role+"; grant usage on schema app to "+role+"; grant select on app.pgdbm_migrations to "+role)
	t.Cleanup(func() {
		_, err := owner.Pgx().Exec(context.Background(), "drop owned by "+role+"; drop role "+role)
		if err != nil {
			t.Error(err)
		}
	})
	reader := open(t, pgdbm.Config{ConnString: conn, RuntimeParams: map[string]string{"role": role, "default_transaction_read_only": "on"}})
	src := load(t, applied)
	m = newMigrator(t, reader, migrations.Config{}, migrations.Target{Module: "app", Schema: "app", Source: src}, migrations.Target{Module: "new", Schema: "new", Source: src})
	plan, err := m.Plan(t.Context())
	if err != nil || len(plan.Steps) != 3 || plan.Steps[0].File != "2_b.sql" || plan.Steps[1].Schema != "new" || plan.Steps[1].Statements[0].SQL != `create table "new"."t" (n int)` {
		t.Errorf("plan %v, %v", plan, err)
	}
	status, err := m.Status(t.Context())
	if err != nil || len(status) != 2 || status[0].Version != 1 || status[0].Pending[0] != "2_b.sql" || status[1].Tracked || len(status[1].Pending) != 2 {
		t.Errorf("status %+v, %v", status, err)
	}
	if rows, err := m.History(t.Context()); err != nil || len(rows) != 1 {
		t.Errorf("history %+v, %v", rows, err)
	}
	up(t, migrator(t, owner, applied, migrations.Config{}))
	m = newMigrator(t, reader, migrations.Config{}, migrations.Target{Module: "app", Schema: "app", Source: src})
	if got := up(t, m); got != "" {
		t.Errorf("applied %s", got)
	}
	if value[bool](t, owner, "select to_regnamespace('new') is not null") {
		t.Error("looking has created a schema")
	}
}

func TestLookingDoesNotWaitForARunner(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "select pg_sleep(60)"), migrations.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = m.Up(ctx)
	}()
	defer func() { cancel(); <-done }()
	eventually(t, "the file sleeps", func() bool {
		return value[int](t, pool, "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'") == 1
	})
	status, err := m.Status(t.Context())
	if err != nil || status[0].Applied != 1 {
		t.Errorf("status %+v, %v", status, err)
	}
	if plan, err := m.Plan(t.Context()); err != nil || len(plan.Steps) != 1 {
		t.Errorf("plan %v, %v", plan, err)
	}
}

func TestTheFenceAloneRunsEachFileOnce(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "R_r.sql", "insert into {{tables.t}} values (100)")
	for i := 2; i <= 5; i++ {
		fsys[fmt.Sprintf("%d_x.sql", i)] = files("x", fmt.Sprintf("insert into {{tables.t}} values (%d)", i))["x"]
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		runs int
	)
	for range 16 {
		m := migrations.WithoutLocks(migrator(t, pool, fsys, migrations.Config{}))
		wg.Go(func() {
			report, err := m.Up(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			runs += len(report.Applied)
		})
	}
	wg.Wait()
	if n := value[int](t, pool, "select sum(n) from app.t"); n != 114 || runs != 6 {
		t.Errorf("%d files applied, sum %d", runs, n)
	}
}

func TestLockKeysArePinned(t *testing.T) {
	t.Parallel()
	// Programs of different versions exclude one another only while these stay.
	for _, c := range []struct {
		schema string
		want   int64
	}{{"app", -4462137534468444991}, {"MyApp", 4465287741985246377}} {
		if got := migrations.LockKey(c.schema, "pgdbm_migrations"); got != c.want {
			t.Errorf("key of %s is %d, want %d", c.schema, got, c.want)
		}
	}
}
