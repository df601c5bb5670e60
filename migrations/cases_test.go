package migrations_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// other opens a connection beside the pool.
func other(t *testing.T, pool *pgdbm.Pool) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pool.Pgx().Config().ConnConfig.Copy())
	testkit.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// migrating counts the sessions of runs that wait for something of a kind.
func migrating(t *testing.T, pool *pgdbm.Pool, waitType string) int {
	t.Helper()
	return value[int](t, pool, `select count(*) from pg_stat_activity
  where datname = current_database() and application_name like 'pgdbm-migrate:%' and wait_event_type = $1`, waitType)
}

// Somebody terminates the backend in the middle of the second of three files.
func TestTerminatedFromOutsideInTheSecondOfThreeFiles(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "insert into {{tables.t}} values (2);\nselect pg_sleep(60)", "3_c.sql", "insert into {{tables.t}} values (3)")
	m := migrator(t, pool, fsys, migrations.Config{})
	failed := make(chan error, 1)
	go func() {
		_, err := m.Up(t.Context())
		failed <- err
	}()
	eventually(t, "the second file sleeps", func() bool { return migrating(t, pool, "Timeout") == 1 })
	exec(t, pool, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'pgdbm-migrate:%'")
	err := <-failed
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "migrations: app (schema app): 2_b.sql")
	testkit.Equal(t, history(t, m), "a:applied")
	nothingLeft(t, pool)
	fsys["2_b.sql"] = files("x", "insert into {{tables.t}} values (2)")["x"]
	testkit.Equal(t, up(t, migrator(t, pool, fsys, migrations.Config{})), "2_b.sql 3_c.sql")
	testkit.Equal(t, value[string](t, pool, "select array_agg(n order by n)::text from app.t"), "{2,3}")
}

// An ALTER TABLE that waits for an old reader has every other reader wait behind it.
// It gives up in time, so that they get through while the old reader is still there.
func TestReadersGetThroughWhileAFileWaitsForAnOldReader(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "-- pgdbm:lock-timeout 200ms\nalter table {{tables.t}} add m int")
	up(t, migrator(t, pool, fsys, migrations.Config{}), migrations.To(1))
	old := other(t, pool)
	_, err := old.Exec(t.Context(), "begin; select * from app.t")
	testkit.NoError(t, err)

	var retries atomic.Int32
	seen := &events{on: func(e migrations.Event) {
		if e.Kind == migrations.EventRetry {
			retries.Add(1)
		}
	}}
	m := migrator(t, pool, fsys, migrations.Config{Observer: seen, Retries: 1000})
	done := make(chan error, 1)
	go func() {
		_, err := m.Up(t.Context())
		done <- err
	}()
	young := other(t, pool)
	longest, queued := time.Duration(0), 0
	for queued < 2 { // begun behind a waiting ALTER TABLE, and through before the old reader
		waits := migrating(t, pool, "Lock") == 1
		started := time.Now()
		_, err := young.Exec(t.Context(), "select * from app.t")
		testkit.NoError(t, err)
		if longest = max(longest, time.Since(started)); waits {
			queued++
		}
	}
	eventually(t, "the file is tried again", func() bool { return retries.Load() > 0 })
	testkit.Equal(t, value[int](t, pool, "select count(*) from pg_attribute where attrelid = 'app.t'::regclass and attname = 'm'"), 0)
	_, err = old.Exec(t.Context(), "commit")
	testkit.NoError(t, err)
	testkit.NoError(t, <-done)
	testkit.Equal(t, history(t, m), "a:applied b:applied")
	for _, e := range seen.of(migrations.EventRetry) {
		testkit.ErrorContains(t, e.Err, "2_b.sql:2:1", "55P03")
	}
	t.Logf("a reader waited for %s at most", longest.Round(time.Millisecond))
}

// CREATE … IF NOT EXISTS and CREATE OR REPLACE fail when another session creates the
// same object at the same time, of another schema's migrations for example.
func TestWhatAnotherSessionCreatesAtTheSameTimeIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, sql, state string }{
		{"if not exists", "create schema if not exists shared", "23505"},
		{"or replace", "create or replace function public.f() returns int language sql as 'select 1'", "XX000"},
	} {
		for mode, head := range map[string]string{"file": "", "no-transaction": auto} {
			t.Run(c.name+" "+mode, func(t *testing.T) {
				t.Parallel()
				pool := setup(t)
				exec(t, pool, "create function public.f() returns int language sql as 'select 0'")
				rival := other(t, pool)
				_, err := rival.Exec(t.Context(), "begin; "+c.sql)
				testkit.NoError(t, err)
				seen := &events{}
				m := migrator(t, pool, files("1_a.sql", head+"-- pgdbm:lock-timeout 1m\n"+c.sql+";\nselect 1"), migrations.Config{Observer: seen})
				done := make(chan error, 1)
				go func() {
					_, err := m.Up(t.Context())
					done <- err
				}()
				eventually(t, "the file waits for its rival", func() bool { return migrating(t, pool, "Lock") == 1 })
				_, err = rival.Exec(t.Context(), "commit")
				testkit.NoError(t, err)
				testkit.NoError(t, <-done)
				tried := seen.of(migrations.EventRetry)
				testkit.Equal(t, len(tried), 1)
				testkit.ErrorContains(t, tried[0].Err, "1_a.sql", c.state)
				testkit.Equal(t, history(t, m), "a:applied")
			})
		}
	}
}

// A pool of one connection is enough for everything that a run does.
func TestAPoolOfOneConnectionDoesNotDeadlock(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1})
	m := migrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int)", "1_a.down.sql", "drop table {{tables.t}}",
		"2_b.sql", auto+"create index concurrently i on {{tables.t}} (n)", "2_b.down.sql", "drop index {{schema}}.i", "R_v.sql", "create or replace view {{schema}}.v as select 1 as n"), migrations.Config{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_, err := m.Up(t.Context())
			testkit.NoError(t, err)
		})
	}
	wg.Wait()
	testkit.NoError(t, m.Verify(t.Context()))
	_, err := m.Down(t.Context(), "app", 0)
	testkit.NoError(t, err)
	_, err = m.DryRun(t.Context())
	testkit.NoError(t, err)
	_, err = m.Plan(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, up(t, m), "1_a.sql 2_b.sql")
	nothingLeft(t, pool)
}
