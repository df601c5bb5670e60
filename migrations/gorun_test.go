package migrations_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestManyRunnersCallAGoMigrationOnce(t *testing.T) {
	t.Parallel()
	pooled, direct := pgbouncer(t)
	pool := open(t, cfgOf(direct))
	var calls atomic.Int32
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "3_c.sql", "insert into {{tables.t}} values (3)")
	step := migrations.GoMigration{Version: 2, Name: "b", Up: func(ctx context.Context, db pgdbm.DB) error {
		calls.Add(1)
		_, err := db.Exec(ctx, "insert into {{tables.t}} values (2)")
		return err
	}}
	var wg sync.WaitGroup
	for i := range 12 {
		m := goMigrator(t, pool, fsys, migrations.Config{}, step)
		switch i % 3 {
		case 1:
			m = migrations.WithoutLocks(m)
		case 2:
			m = goMigrator(t, open(t, pgdbm.Config{ConnString: pooled, MaxConns: 2}), fsys, migrations.Config{}, step)
		}
		wg.Go(func() {
			_, err := m.Up(t.Context())
			testkit.NoError(t, err)
		})
	}
	wg.Wait()
	testkit.Equal(t, calls.Load(), 1)
	testkit.Equal(t, value[int](t, pool, "select sum(n) from app.t"), 5)
	nothingLeft(t, pool)
}

func TestGoMigrationThatEndsItsGoroutineLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1})
	exits := true
	m := goMigrator(t, pool, nil, migrations.Config{}, migrations.GoMigration{Version: 1, Name: "a", Up: func(ctx context.Context, db pgdbm.DB) error {
		_, err := db.Exec(ctx, "create table {{tables.t}} ()")
		if exits {
			runtime.Goexit() // as t.FailNow does
		}
		return err
	}})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = m.Up(t.Context()) })
	wg.Wait()
	nothingLeft(t, pool)
	testkit.Equal(t, history(t, m), "")
	exits = false
	testkit.Equal(t, up(t, m), "1_a")
}

func TestGoMigrationThatLosesItsConnection(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := goMigrator(t, pool, nil, migrations.Config{}, migrations.GoMigration{Version: 1, Name: "a", Up: func(ctx context.Context, db pgdbm.DB) error {
		_, _ = db.Exec(ctx, "select pg_terminate_backend(pg_backend_pid())")
		return nil // as if nothing had happened
	}})
	_, e := failure(t, m)
	testkit.ErrorIs(t, e, pgdbm.ErrUnavailable)
	testkit.Equal(t, history(t, m), "")
	nothingLeft(t, pool)
}

// What a function sets does not reach the next migration or the pool.
func TestSettingsOfAGoMigrationEndWithIt(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1})
	const check = "do $$ begin assert current_setting('search_path') = '\"app\", public' and current_setting('lock_timeout') = '2s' and current_user = session_user, 'settings leaked'; end $$"
	m := goMigrator(t, pool, files("2_b.sql", check), migrations.Config{},
		migrations.GoMigration{Version: 1, Name: "a", Up: sqlFunc(check, "set search_path = pg_catalog", "set lock_timeout = '7s'", "set role pg_monitor")},
		migrations.GoMigration{Version: 3, Name: "c", Up: sqlFunc(check)})
	testkit.Equal(t, up(t, m), "1_a 2_b.sql 3_c")
	testkit.Equal(t, value[string](t, pool, "select current_setting('search_path')"), `"$user", public`)
}
