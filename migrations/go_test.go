package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// sqlFunc is a Go migration that executes statements one after the other.
func sqlFunc(statements ...string) migrations.GoFunc {
	return func(ctx context.Context, db pgdbm.DB) error {
		for _, sql := range statements {
			if _, err := db.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	}
}

// goMigrator makes the migrator of module app on schema app.
func goMigrator(t *testing.T, pool *pgdbm.Pool, fsys fstest.MapFS, cfg migrations.Config, list ...migrations.GoMigration) *migrations.Migrator {
	t.Helper()
	src, err := migrations.Load(fsys, migrations.LoadOptions{Go: list})
	testkit.NoError(t, err)
	return newMigrator(t, pool, cfg, migrations.Target{Module: "app", Schema: "app", Source: src})
}

func TestGoMigrationsRunAmongTheFiles(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1})
	users, err := migrations.Load(nil, migrations.LoadOptions{Go: []migrations.GoMigration{
		{Version: 1, Name: "users", Up: sqlFunc("create table {{tables.users}} (id int)", "insert into users values (7)")},
	}})
	testkit.NoError(t, err)
	var seen []string
	orders, err := migrations.Load(files("1_a.sql", "create table {{tables.orders}} (u int)", "3_c.sql", "insert into {{tables.orders}} values (3)"), migrations.LoadOptions{
		Go: []migrations.GoMigration{{Version: 2, Name: "copy", Up: func(ctx context.Context, db pgdbm.DB) error {
			ids, err := pgdbm.FetchAll[int](ctx, db, "select id from {{tables.users.users}}")
			if err != nil {
				return err
			}
			seen = append(seen, fmt.Sprint(db.Schema(), ids))
			_, err = db.CopyFrom(ctx, "orders", []string{"u"}, pgx.CopyFromSlice(len(ids), func(i int) ([]any, error) { return []any{ids[i]}, nil }))
			return err
		}}},
	})
	testkit.NoError(t, err)
	m := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "orders", Schema: "shop", Source: orders, DependsOn: []string{"users"}},
		migrations.Target{Module: "users", Schema: "people", Source: users})
	testkit.Equal(t, up(t, m), "1_users 1_a.sql 2_copy 3_c.sql")
	testkit.Equal(t, seen, []string{"shop[7]"})
	testkit.Equal(t, value[int](t, pool, "select sum(u) from shop.orders"), 10)
	testkit.Equal(t, up(t, m), "")
	rows, err := m.History(t.Context(), migrations.Only("orders"))
	testkit.NoError(t, err)
	if r := rows[1]; r.Kind != migrations.KindGo || r.Name != "copy" || r.Status != migrations.StatusApplied || r.FinishedAt.IsZero() || r.Schema != "shop" {
		t.Errorf("record %+v", r)
	}
	// The head is what the program computes: without reading a row it knows.
	exec(t, pool, "update shop.pgdbm_migrations set checksum = 'x'")
	testkit.NoError(t, m.Verify(t.Context()))
	nothingLeft(t, pool)
}

func TestFailedGoMigrationIsRolledBackAndNamesItsFunction(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	errBoom := errors.New("boom")
	for _, c := range []struct {
		fail func(ctx context.Context, db pgdbm.DB) error
		is   error
		want []string
	}{
		{func(context.Context, pgdbm.DB) error { return errBoom }, errBoom, []string{"migrations: app (schema app): 2_go: the function at go_test.go:", ": boom"}},
		{func(ctx context.Context, db pgdbm.DB) error {
			_, err := db.Exec(ctx, "insert into {{tables.t}} values (1)")
			return fmt.Errorf("first row: %w", err)
		}, pgdbm.ErrConflict, []string{"first row: pgdbm: conflict", "SQLSTATE 23505"}},
		{func(ctx context.Context, db pgdbm.DB) error {
			_, _ = db.Exec(ctx, "select 1/0")
			return nil
		}, pgdbm.ErrInvalid, []string{"the transaction was aborted by an earlier error", "22012"}},
		{func(ctx context.Context, db pgdbm.DB) error {
			_, err := db.Query(ctx, "select * from {{tables.t}}")
			return err
		}, nil, []string{"it left rows, the results of a batch or a COPY open"}},
		{func(context.Context, pgdbm.DB) error { panic("oh no") }, nil, []string{"panic: oh no\n\ngoroutine ", "go_test.go:"}},
	} {
		m := goMigrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int primary key); insert into {{tables.t}} values (1)", "3_c.sql", "select 1"), migrations.Config{},
			migrations.GoMigration{Version: 2, Name: "go", Up: func(ctx context.Context, db pgdbm.DB) error {
				if _, err := db.Exec(ctx, "insert into {{tables.t}} values (2)"); err != nil {
					return err
				}
				return c.fail(ctx, db)
			}})
		_, e := failure(t, m)
		testkit.ErrorContains(t, e, c.want...)
		if c.is != nil {
			testkit.ErrorIs(t, e, c.is)
		}
		testkit.Equal(t, e.File, "2_go")
		testkit.Equal(t, history(t, m), "a:applied")
		testkit.Equal(t, value[int](t, pool, "select count(*) from app.t"), 1)
	}
	nothingLeft(t, pool)
}

func TestGoMigrationSeesTheTablesThatItChanges(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	count := func(ctx context.Context, db pgdbm.DB) error {
		for range 2 {
			rows, err := pgdbm.FetchAll[map[string]any](ctx, db, "select * from {{tables.t}} where n > $1", 0)
			if err != nil {
				return err
			}
			if _, err := db.Exec(ctx, fmt.Sprintf("alter table {{tables.t}} add column c%d int", len(rows[0]))); err != nil {
				return err
			}
		}
		return nil
	}
	m := goMigrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int); insert into {{tables.t}} values (1)"), migrations.Config{},
		migrations.GoMigration{Version: 2, Name: "b", Up: count}, migrations.GoMigration{Version: 3, Name: "c", Up: count})
	testkit.Equal(t, up(t, m), "1_a.sql 2_b 3_c")
	testkit.Equal(t, value[int](t, pool, "select count(*) from information_schema.columns where table_schema = 'app' and table_name = 't'"), 5)
}

func TestDbOfAGoMigrationEndsWithIt(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	var kept pgdbm.DB
	m := goMigrator(t, pool, nil, migrations.Config{}, migrations.GoMigration{Version: 1, Name: "go", Up: func(_ context.Context, db pgdbm.DB) error {
		kept = db
		return nil
	}})
	testkit.Equal(t, up(t, m), "1_go")
	_, err := kept.Exec(t.Context(), "select 1")
	testkit.ErrorIs(t, err, pgx.ErrTxClosed)
}

func TestGoMigrationsThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	none := sqlFunc()
	_, err := migrations.Load(files("2_b.sql", "", "4_d.down.sql", ""), migrations.LoadOptions{Go: []migrations.GoMigration{
		{Version: 2, Name: "go", Up: none}, {Version: 3, Name: "x", Up: none}, {Version: 3, Name: "y", Up: none}, {Version: 4, Name: "d", Up: none},
	}})
	testkit.ErrorContains(t, err, "2_go (go_test.go:", "has the same version 2 as 2_b.sql", "3_y (go_test.go:", "has the same version 3 as 3_x (go_test.go:",
		"4_d.down.sql: there is no migration 4_d")
	_, err = migrations.Load(nil, migrations.LoadOptions{Go: []migrations.GoMigration{{Name: " ", Version: 0}}})
	testkit.ErrorContains(t, err, "Go migration 0_ : versions begin at 1", "it has no name", "its Up is nil")
}

func TestGoMigrationsAreUndoneTriedAndPlanned(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	list := []migrations.GoMigration{
		{Version: 1, Name: "a", Up: sqlFunc("create table {{tables.t}} (n int)"), Down: sqlFunc("drop table {{tables.t}}")},
		{Version: 3, Name: "c", Up: sqlFunc("insert into {{tables.t}} values (3)"), Down: sqlFunc("delete from {{tables.t}}")},
	}
	fsys := files("2_b.sql", "insert into {{tables.t}} values (2)", "2_b.down.sql", "delete from {{tables.t}}")
	m := goMigrator(t, pool, fsys, migrations.Config{}, list...)

	plan, err := m.Plan(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, plan.String(), "-- app@app 1_a (Go function, one transaction)\n-- app@app 2_b.sql (one transaction)\ninsert into \"app\".\"t\" values (2);\n-- app@app 3_c (Go function, one transaction)\n")
	report, err := m.DryRun(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, applied(report), "1_a 2_b.sql 3_c")
	testkit.Equal(t, value[bool](t, pool, "select to_regnamespace('app') is null"), true)

	testkit.Equal(t, up(t, m), "1_a 2_b.sql 3_c")
	report, err = m.Down(t.Context(), "app", 0)
	testkit.NoError(t, err)
	testkit.Equal(t, applied(report), "3_c.down 2_b.down.sql 1_a.down")
	testkit.Equal(t, history(t, m), "")

	list[1].Down = nil
	m = goMigrator(t, pool, fsys, migrations.Config{}, list...)
	up(t, m)
	_, err = m.Down(t.Context(), "app", 0)
	testkit.ErrorContains(t, err, "3_c is a Go migration without a Down function here")
	list[1].Name = "renamed"
	m = goMigrator(t, pool, fsys, migrations.Config{}, list...)
	err = m.Verify(t.Context())
	testkit.ErrorIs(t, err, migrations.ErrDrift)
	testkit.ErrorContains(t, err, "it was applied as 3_c (go) and is now 3_renamed (go); restore it and put the change into a new one, or accept it with Resolve")
	testkit.NoError(t, m.Resolve(t.Context(), "app", "3", migrations.ResolveAccept))
	testkit.NoError(t, m.Verify(t.Context()))
}

// backfill has a method that is a Go migration.
type backfill struct{}

func (*backfill) Up(context.Context, pgdbm.DB) error { return errors.New("boom") }

func TestMethodMayBeAGoMigration(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := goMigrator(t, pool, files("9_z.sql", ""), migrations.Config{}, migrations.GoMigration{Version: 1, Name: "a", Up: (&backfill{}).Up})
	_, e := failure(t, m)
	testkit.ErrorContains(t, e, "1_a: the function at migrations_test.(*backfill).Up: boom")
	up(t, goMigrator(t, pool, files("9_z.sql", ""), migrations.Config{}))
	testkit.ErrorContains(t, m.Verify(t.Context()), "1_a: a pending migration is older than an applied one: version 9 is applied; renumber it, or allow it with Config.OutOfOrder")
}

func TestDryRunOfAFailingGoMigration(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := goMigrator(t, pool, nil, migrations.Config{}, migrations.GoMigration{Version: 1, Name: "a", Up: sqlFunc("create table {{tables.t}} ()", "select 1/0")})
	_, err := m.DryRun(t.Context())
	testkit.ErrorContains(t, err, "1_a: the function at go_test.go:", "SQLSTATE 22012")
	m = goMigrator(t, pool, nil, migrations.Config{}, migrations.GoMigration{Version: 1, Name: "a", Up: func(context.Context, pgdbm.DB) error { panic("oh no") }})
	_, err = m.DryRun(t.Context())
	testkit.ErrorContains(t, err, "panic: oh no")
	nothingLeft(t, pool)
}

func TestGoMigrationIsTriedAgainWhereAFileWouldBe(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 2})
	calls := 0
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)")
	up(t, goMigrator(t, pool, fsys, migrations.Config{}))
	reader, err := pool.Pgx().Begin(t.Context())
	testkit.NoError(t, err)
	_, err = reader.Exec(t.Context(), "select from app.t")
	testkit.NoError(t, err)
	seen := &events{on: func(e migrations.Event) {
		if e.Kind == migrations.EventRetry {
			if len(e.Sessions) != 1 || !strings.Contains(e.Err.Error(), "; waited for pid ") {
				t.Errorf("the reader is not named: %v", e.Err)
			}
			testkit.NoError(t, reader.Rollback(context.Background()))
		}
	}}
	m := goMigrator(t, pool, fsys, migrations.Config{Observer: seen}, migrations.GoMigration{Version: 2, Name: "b", Up: func(ctx context.Context, db pgdbm.DB) error {
		calls++
		_, err := db.Exec(ctx, "set local lock_timeout = '300ms'; insert into {{tables.t}} values (2); alter table {{tables.t}} add m int")
		return err
	}})
	report, err := m.Up(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, []int{calls, report.Applied[0].Attempts}, []int{2, 2})
	testkit.Equal(t, value[int](t, pool, "select count(*) from app.t"), 1)
}

func TestCancelledGoMigrationLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	m := goMigrator(t, pool, nil, migrations.Config{}, migrations.GoMigration{Version: 1, Name: "a", Up: func(ctx context.Context, db pgdbm.DB) error {
		if _, err := db.Exec(ctx, "create table {{tables.t}} ()"); err != nil {
			return err
		}
		cancel()
		<-ctx.Done()
		return nil // as if nothing had happened
	}})
	_, err := m.Up(ctx)
	testkit.ErrorIs(t, err, context.Canceled)
	testkit.Equal(t, history(t, m), "")
	nothingLeft(t, pool)
}

func TestGoMigrationRunsThroughAPooler(t *testing.T) {
	t.Parallel()
	pooled, direct := pgbouncer(t)
	pool := open(t, pgdbm.Config{ConnString: pooled, MaxConns: 1})
	m := goMigrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int)"), migrations.Config{}, migrations.GoMigration{Version: 2, Name: "go", Up: func(ctx context.Context, db pgdbm.DB) error {
		if _, err := pgdbm.ExecMany(ctx, db, "insert into {{tables.t}} values ($1)", [][]any{{1}, {2}}); err != nil {
			return err
		}
		for _, column := range []string{"a", "b"} {
			if _, err := pgdbm.FetchAll[map[string]any](ctx, db, "select * from {{tables.t}} where n > $1", 0); err != nil {
				return err
			}
			if _, err := db.Exec(ctx, "alter table {{tables.t}} add "+column+" int"); err != nil {
				return err
			}
		}
		_, err := db.Exec(ctx, "set lock_timeout = '7s'")
		return err
	}})
	testkit.Equal(t, up(t, m), "1_a.sql 2_go")
	testkit.Equal(t, value[int](t, open(t, pgdbm.Config{ConnString: direct}), "select sum(n) from app.t"), 3)
	for range 5 {
		if got := value[string](t, pool, "select current_setting('lock_timeout')"); got == "7s" {
			t.Fatal("the pooler's session kept a setting")
		}
	}
	_, err := goMigrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int)"), migrations.Config{}, migrations.GoMigration{Version: 2, Name: "go", Up: sqlFunc()},
		migrations.GoMigration{Version: 3, Name: "bad", Up: sqlFunc("commit")}).Up(t.Context())
	testkit.ErrorIs(t, err, migrations.ErrTxControl)
}
