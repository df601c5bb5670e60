package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// failure runs Up, which must fail with a *MigrationError.
func failure(t *testing.T, m *migrations.Migrator) (*migrations.Report, *migrations.MigrationError) {
	t.Helper()
	report, err := m.Up(t.Context())
	e, ok := errors.AsType[*migrations.MigrationError](err)
	if !ok {
		t.Fatalf("error %v, want a *MigrationError", err)
	}
	return report, e
}

func TestErrorNamesFileLineAndColumn(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	text := "-- é\ncreate table {{tables.täble}} ();"
	text = strings.ReplaceAll(text, "täble", "t")
	text += "\n/* ü */ select 'é', '{{tables.t}}';\n\n\n" + "-- a line\n\tselect 'éé', {{tables.t}}.* fro {{tables.t}};\nselect 1;"
	m := migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", text), migrations.Config{})
	report, e := failure(t, m)
	if applied(report) != "1_a.sql" {
		t.Errorf("applied %s", applied(report))
	}
	if e.Module != "app" || e.Schema != "app" || e.File != "2_b.sql" || e.Line != 7 || e.Column != 34 || e.Statement != 3 || e.SQLState != "42601" {
		t.Errorf("%+v", e)
	}
	want := "migrations: app (schema app): 2_b.sql:7:34: syntax error at or near \"\"…"
	if !strings.HasPrefix(e.Error(), want[:48]) {
		t.Errorf("message %s", e)
	}
	if want := "    \tselect 'éé', {{tables.t}}.* fro {{tables.t}};\n    \t" + strings.Repeat(" ", 32) + "^"; e.Excerpt != want {
		t.Errorf("excerpt\n%s\nwant\n%s", e.Excerpt, want)
	}
	if _, ok := errors.AsType[*pgconn.PgError](e); !ok {
		t.Error("no *pgconn.PgError inside")
	}
	if value[bool](t, pool, "select to_regclass('app.t') is not null") {
		t.Error("the failed file left its table")
	}
	if got := history(t, m); got != "a:applied" {
		t.Errorf("history %s", got)
	}
	nothingLeft(t, pool)
}

func TestErrorsReachTheClassesOfTheCore(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int unique);\ninsert into {{tables.t}} values (1), (1)"), migrations.Config{})
	_, e := failure(t, m)
	if !errors.Is(e, pgdbm.ErrConflict) || e.Line != 2 || e.SQLState != "23505" {
		t.Errorf("%v", e)
	}
}

func TestDeferredConstraintFailsTheFileAtCommit(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int primary key, m int references {{tables.t}} deferrable initially deferred);\ninsert into {{tables.t}} values (1, 2)"), migrations.Config{})
	_, e := failure(t, m)
	if !errors.Is(e, pgdbm.ErrReference) || !strings.Contains(e.Error(), "1_a.sql: commit: ") {
		t.Errorf("%v", e)
	}
	if got := history(t, m); got != "" {
		t.Errorf("history %s", got)
	}
	nothingLeft(t, pool)
}

func TestEditedFileIsDriftAndNothingRuns(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	up(t, migrator(t, pool, files("1_a.sql", "select 1;\nselect 2;\n", "2_b.sql", "select 1"), migrations.Config{}))
	if got := up(t, migrator(t, pool, files("1_a.sql", "\ufeffselect 1;\r\nselect 2;\r\n", "2_b.sql", "select 1"), migrations.Config{})); got != "" {
		t.Errorf("CRLF and BOM: applied %s", got)
	}
	m := migrator(t, pool, files("1_a.sql", "select 1;\nselect 3;\n", "2_b.sql", "select 2", "3_c.sql", "create table {{tables.t}} ()"), migrations.Config{})
	_, err := m.Up(t.Context())
	if !errors.Is(err, migrations.ErrDrift) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"migrations: app (schema app): 1_a.sql: an applied migration was edited: its checksum was ", "2_b.sql"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err := m.Verify(t.Context()); !errors.Is(err, migrations.ErrDrift) || !errors.Is(err, migrations.ErrPending) {
		t.Errorf("verify: %v", err)
	}
	status, err := m.Status(t.Context())
	if err != nil || len(status) != 1 || !errors.Is(status[0].Err, migrations.ErrDrift) || status[0].Current || status[0].Applied != 2 {
		t.Errorf("status %+v, %v", status, err)
	}
	if value[bool](t, pool, "select to_regclass('app.t') is not null") {
		t.Error("the third file ran")
	}
}

func TestOrderErrors(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	up(t, migrator(t, pool, files("1_a.sql", "select 1", "5_e.sql", "select 5", "9_z.sql", "select 9"), migrations.Config{}))

	late := files("1_a.sql", "select 1", "3_c.sql", "select 3", "5_e.sql", "select 5", "9_z.sql", "select 9")
	_, err := migrator(t, pool, late, migrations.Config{}).Up(t.Context())
	if !errors.Is(err, migrations.ErrOutOfOrder) || !strings.Contains(err.Error(), "3_c.sql: a pending migration is older than an applied one: version 9 is applied") {
		t.Errorf("%v", err)
	}
	_, err = migrator(t, pool, files("1_a.sql", "select 1", "9_z.sql", "select 9"), migrations.Config{}).Up(t.Context())
	if !errors.Is(err, migrations.ErrUnknownApplied) || !strings.Contains(err.Error(), "version 5 (e) is recorded") {
		t.Errorf("%v", err)
	}
	report, err := migrator(t, pool, files("1_a.sql", "select 1"), migrations.Config{}).Up(t.Context())
	if err != nil || len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "newer version of the program are applied: 5_e, 9_z") {
		t.Errorf("an old program: %v, %v", report.Warnings, err)
	}
	report, err = migrator(t, pool, late, migrations.Config{OutOfOrder: true}).Up(t.Context())
	if err != nil || applied(report) != "3_c.sql" || !report.Applied[0].OutOfOrder {
		t.Errorf("allowed by the policy: %+v, %v", report.Applied, err)
	}
	late["4_d.sql"] = files("x", "-- pgdbm:out-of-order\nselect 4")["x"]
	if got := up(t, migrator(t, pool, late, migrations.Config{})); got != "4_d.sql" {
		t.Errorf("allowed by the file: applied %s", got)
	}
}

func TestTerminatedBackendKeepsEarlierFiles(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "insert into {{tables.t}} values (2);\nselect pg_terminate_backend(pg_backend_pid())",
		"3_c.sql", "insert into {{tables.t}} values (3)")
	m := migrator(t, pool, fsys, migrations.Config{})
	report, e := failure(t, m)
	if applied(report) != "1_a.sql" || e.File != "2_b.sql" || !errors.Is(e, pgdbm.ErrUnavailable) {
		t.Errorf("applied %s, %v", applied(report), e)
	}
	if got := history(t, m); got != "a:applied" {
		t.Errorf("history %s", got)
	}
	fsys["2_b.sql"] = files("x", "insert into {{tables.t}} values (2)")["x"]
	if got := up(t, migrator(t, pool, fsys, migrations.Config{})); got != "2_b.sql 3_c.sql" {
		t.Errorf("the next run applied %s", got)
	}
	if n := value[int](t, pool, "select sum(n) from app.t"); n != 5 {
		t.Errorf("sum %d", n)
	}
}

func TestCancelledRunLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "insert into {{tables.t}} values (1);\nselect pg_sleep(60)"), migrations.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := m.Up(ctx)
		done <- err
	}()
	eventually(t, "the file sleeps", func() bool {
		return value[int](t, pool, "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'") == 1
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	nothingLeft(t, pool)
	if got := history(t, m); got != "a:applied" {
		t.Errorf("history %s", got)
	}
	if n := value[int](t, pool, "select count(*) from app.t"); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestBadNamesFailBeforeAnySQL(t *testing.T) {
	t.Parallel()
	pool, err := pgdbm.New(pgdbm.Config{ConnString: "host=/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close(context.Background()) }()
	var targets []migrations.Target
	for _, schema := range []string{"", "pg_x", strings.Repeat("x", 64), "a b", `a"b`} {
		targets = append(targets, migrations.Target{Module: "m", Schema: schema})
	}
	targets = append(targets, migrations.Target{Module: "bad name", Schema: "ok"},
		migrations.Target{Module: "twice", Schema: "s"}, migrations.Target{Module: "twice", Schema: "s"},
		migrations.Target{Module: "needy", Schema: "n", DependsOn: []string{"gone"}})
	_, err = migrations.New(pool, targets, migrations.Config{Table: "a-b", LockTimeout: -1})
	for _, want := range []string{
		`module m: schema ""`, `names that begin with pg_`, `schema "` + strings.Repeat("x", 64) + `"`, `schema "a b"`, `module "bad name"`,
		"module twice is given schema s twice", `module needy depends on "gone", which is not among the targets`, `config: Table "a-b"`, "LockTimeout must not be negative",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	_, err = migrations.New(pool, []migrations.Target{
		{Module: "a", Schema: "a", DependsOn: []string{"b"}}, {Module: "b", Schema: "b", DependsOn: []string{"c"}}, {Module: "c", Schema: "c", DependsOn: []string{"b"}},
	}, migrations.Config{})
	if err == nil || err.Error() != "migrations: the modules depend on each other: b → c → b" {
		t.Errorf("cycle: %v", err)
	}
	src := load(t, files("1_a.sql", "select 1;\nselect {{tables.users.users}}"))
	_, err = migrations.New(pool, []migrations.Target{{Module: "a", Schema: "a", Source: src}}, migrations.Config{})
	if err == nil || !strings.Contains(err.Error(), `migrations: a (schema a): 1_a.sql:2:8: {{tables.users.users}} names module "users", which is not a declared dependency (have none)`) {
		t.Errorf("undeclared: %v", err)
	}
}

func TestUnusualSchemaNamesAreExact(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	src := load(t, files("1_a.sql", "create table {{tables.Users}} (n int); create table plain (n int);"))
	for i, schema := range []string{"MyApp", "select", strings.Repeat("x", 63)} {
		m := newMigrator(t, pool, migrations.Config{Table: "Mig"}, migrations.Target{Module: fmt.Sprint("m", i), Schema: schema, Source: src})
		up(t, m)
		for _, table := range []string{"Users", "plain", "Mig"} {
			if value[int](t, pool, "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = $1 and relname = $2", schema, table) != 1 {
				t.Errorf("no table %s in schema %s", table, schema)
			}
		}
	}
}

func TestSessionSettingsOfAFileEndWithIt(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 2})
	set := `-- pgdbm:lint-ignore session-setting this is what the test is about
set search_path = pg_catalog; set lock_timeout = '1ms'; set application_name = 'x'; create temp table tmp (n int); set role pg_monitor;`
	const check = "do $$ begin assert current_setting('search_path') = '\"app\", public' and current_setting('lock_timeout') = '2s' and current_user = session_user, 'settings leaked'; end $$"
	m := migrator(t, pool, files("1_a.sql", set, "2_b.sql", check, "3_c.sql", "-- pgdbm:no-transaction\n"+set, "4_d.sql", "-- pgdbm:no-transaction\n"+check), migrations.Config{})
	if got := up(t, m); got != "1_a.sql 2_b.sql 3_c.sql 4_d.sql" {
		t.Errorf("applied %s", got)
	}
	for range 3 {
		if got := value[string](t, pool, "select current_user || current_setting('search_path')"); got != value[string](t, pool, `select session_user || '"$user", public'`) {
			t.Errorf("the pool has %s", got)
		}
	}
}

func TestLostLockIsNoticed(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", "select pg_advisory_unlock_all()", "2_b.sql", "create table {{tables.t}} ()"), migrations.Config{})
	report, err := m.Up(t.Context())
	if !errors.Is(err, migrations.ErrLockLost) || applied(report) != "1_a.sql" {
		t.Errorf("applied %s, %v", applied(report), err)
	}
	if got := up(t, m); got != "2_b.sql" {
		t.Errorf("the next run applied %s", got)
	}
}

func TestLockTimeoutNamesTheHolder(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	sleeping := migrator(t, pool, files("1_a.sql", "select pg_sleep(60)"), migrations.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = sleeping.Up(ctx)
	}()
	defer func() { cancel(); <-done }()
	eventually(t, "the file sleeps", func() bool {
		return value[int](t, pool, "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'") == 1
	})
	seen := &events{}
	m := migrator(t, pool, files("1_a.sql", "select pg_sleep(60)"), migrations.Config{LockTimeout: 50 * time.Millisecond, Observer: seen})
	_, err := m.Up(t.Context())
	if !errors.Is(err, migrations.ErrLockTimeout) || !strings.Contains(err.Error(), "longer than LockTimeout 50ms; waited for pid ") || !strings.Contains(err.Error(), "pgdbm-migrate:app@app") {
		t.Errorf("%v", err)
	}
	if waits := seen.of(migrations.EventLockWait); len(waits) == 0 || len(waits[0].Sessions) != 1 {
		t.Errorf("events %+v", waits)
	}
}

// The tracking table can be locked, too, when the record of a file is read again.
func TestTrackingTableIsLockedWhenAFileIsTriedAgain(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	exec(t, pool, "create schema app; create table app.t (n int)")
	up(t, migrator(t, pool, files("1_a.sql", "select 1"), migrations.Config{}))
	fsys := files("1_a.sql", "select 1", "2_b.sql", auto+"-- pgdbm:lock-timeout 100ms\nselect 1; alter table {{tables.t}} add column m int")
	held, err := pool.Pgx().Begin(t.Context())
	testkit.NoError(t, err)
	defer func() { _ = held.Rollback(context.Background()) }()
	seen := &events{on: func(e migrations.Event) {
		if e.Kind == migrations.EventStatement {
			if _, err := held.Exec(context.Background(), "lock table app.t, app.pgdbm_migrations"); err != nil {
				t.Error(err)
			}
		}
	}}
	_, e := failure(t, migrator(t, pool, fsys, migrations.Config{Observer: seen, Retries: 3}))
	testkit.Equal(t, e.SQLState, "55P03")
	testkit.Equal(t, e.File, "2_b.sql")
	testkit.NoError(t, held.Rollback(t.Context()))
	testkit.Equal(t, up(t, migrator(t, pool, fsys, migrations.Config{})), "2_b.sql")
	nothingLeft(t, pool)
}

func TestFailedFileThatIsGoneIsSeenByAll(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	up(t, migrator(t, pool, files("1_a.sql", "select 1", "3_c.sql", "select 1"), migrations.Config{}))
	_, _ = failure(t, migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", auto+"-- pgdbm:out-of-order\nselect 1/0", "3_c.sql", "select 1"), migrations.Config{}))
	m := migrator(t, pool, files("1_a.sql", "select 1", "3_c.sql", "select 1"), migrations.Config{})
	status, err := m.Status(t.Context())
	testkit.NoError(t, err)
	testkit.ErrorIs(t, status[0].Err, migrations.ErrUnknownApplied)
	testkit.ErrorIs(t, m.Verify(t.Context()), migrations.ErrUnknownApplied)
	_, err = m.Up(t.Context())
	testkit.ErrorIs(t, err, migrations.ErrUnknownApplied)
	testkit.NoError(t, m.Resolve(t.Context(), "app", "2", migrations.ResolveForget))
	testkit.NoError(t, m.Verify(t.Context()))
}
