package migrations_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	osexec "os/exec"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// The environment that makes TestRunner a process of its own.
const (
	runnerConn  = "MIGRATIONS_TEST_CONN"
	runnerFiles = "MIGRATIONS_TEST_FILES"
)

// TestRunner is the program that runProcess starts: it migrates and prints what
// it has applied. In an ordinary test run there is nothing for it to do.
func TestRunner(t *testing.T) {
	t.Parallel()
	conn := os.Getenv(runnerConn)
	if conn == "" {
		return
	}
	var texts map[string]string
	if err := json.Unmarshal([]byte(os.Getenv(runnerFiles)), &texts); err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{}
	for name, text := range texts {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	pool := open(t, pgdbm.Config{ConnString: conn, MaxConns: 2})
	report, err := migrator(t, pool, fsys, migrations.Config{}).Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("applied [%s]", applied(report))
}

// process is this test binary, started again to migrate.
func process(t *testing.T, conn string, fsys fstest.MapFS) *osexec.Cmd {
	t.Helper()
	texts := map[string]string{}
	for name, f := range fsys {
		texts[name] = string(f.Data)
	}
	encoded, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := osexec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRunner$", "-test.v")
	cmd.Env = append(os.Environ(), runnerConn+"="+conn, runnerFiles+"="+string(encoded))
	return cmd
}

func TestManyProcessesRunEveryFileOnce(t *testing.T) {
	t.Parallel()
	conn := testkit.ConnString(t)
	pool := open(t, pgdbm.Config{ConnString: conn})
	fsys := files(
		"1_a.sql", "create table {{tables.t}} (n int); create or replace function {{schema}}.f() returns int language sql as 'select 1'",
		"2_b.sql", "insert into {{tables.t}} values (2)", "3_c.sql", "insert into {{tables.t}} values (3)",
		"4_d.sql", "-- pgdbm:no-transaction\ncreate index concurrently i on {{tables.t}} (n)", "R_r.sql", "insert into {{tables.t}} values (4)")
	const processes = 24
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		runs []string
	)
	for range processes {
		cmd := process(t, conn, fsys)
		wg.Go(func() {
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			lines := bufio.NewScanner(bytes.NewReader(out))
			for lines.Scan() {
				if _, list, ok := strings.Cut(lines.Text(), "applied ["); ok {
					mu.Lock()
					runs = append(runs, strings.Fields(strings.TrimSuffix(list, "]"))...)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if len(runs) != 5 {
		t.Errorf("%d files were applied: %s", len(runs), runs)
	}
	if n := value[int](t, pool, "select sum(n) from app.t"); n != 9 {
		t.Errorf("sum %d", n)
	}
	nothingLeft(t, pool)
}

func TestKilledProcessReleasesTheLock(t *testing.T) {
	t.Parallel()
	conn := testkit.ConnString(t)
	pool := open(t, pgdbm.Config{ConnString: conn})
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "select pg_sleep(60)")
	cmd := process(t, conn, fsys)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file sleeps", func() bool {
		return value[int](t, pool, "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'") == 1
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	killed := time.Now()
	fsys["2_b.sql"] = files("x", "insert into {{tables.t}} values (1)")["x"]
	if got := up(t, migrator(t, pool, fsys, migrations.Config{LockTimeout: 30 * time.Second})); got != "2_b.sql" {
		t.Errorf("applied %s", got)
	}
	t.Logf("the lock was free after %s", time.Since(killed).Round(time.Millisecond))
	nothingLeft(t, pool)
}

func TestRunnerWaitsForAnIndexBuiltConcurrently(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "-- pgdbm:no-transaction\ncreate index concurrently i on {{tables.t}} (n)")
	up(t, migrator(t, pool, fsys, migrations.Config{}), migrations.To(1))

	// An old transaction with a snapshot holds the index back.
	old, err := pgx.Connect(t.Context(), pool.Pgx().Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close(context.Background()) }()
	if _, err := old.Exec(t.Context(), "begin isolation level repeatable read; select count(*) from app.t; insert into app.t values (1)"); err != nil {
		t.Fatal(err)
	}
	a := migrator(t, pool, fsys, migrations.Config{})
	waiting := make(chan struct{})
	var once sync.Once
	seen := &events{on: func(e migrations.Event) {
		if e.Kind == migrations.EventLockWait {
			once.Do(func() { close(waiting) })
		}
	}}
	b := migrator(t, pool, fsys, migrations.Config{Observer: seen})
	reports := make([]*migrations.Report, 2)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	wg.Go(func() { reports[0], errs[0] = a.Up(t.Context()) })
	eventually(t, "the index is being built", func() bool {
		return value[int](t, pool, "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like 'create index concurrently%'") == 1
	})
	wg.Go(func() { reports[1], errs[1] = b.Up(t.Context()) })
	select {
	case <-waiting:
	case <-t.Context().Done():
	}
	if _, err := old.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if applied(reports[0]) != "2_b.sql" || applied(reports[1]) != "" {
		t.Errorf("applied %q and %q", applied(reports[0]), applied(reports[1]))
	}
	if !value[bool](t, pool, "select indisvalid from pg_index where indexrelid = 'app.i'::regclass") {
		t.Error("the index is invalid")
	}
}

func TestLockTimeoutOfAStatementIsRetriedAndNamesTheReader(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1})
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "-- pgdbm:lock-timeout 300ms\ninsert into {{tables.t}} values (1);\nalter table {{tables.t}} add m int")
	up(t, migrator(t, pool, fsys, migrations.Config{}), migrations.To(1))

	cc := pool.Pgx().Config().ConnConfig
	cc.RuntimeParams["application_name"] = "the reader"
	reader, err := pgx.ConnectConfig(t.Context(), cc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close(context.Background()) }()
	if _, err := reader.Exec(t.Context(), "begin; select * from app.t"); err != nil {
		t.Fatal(err)
	}
	named := false
	seen := &events{on: func(e migrations.Event) {
		if e.Kind != migrations.EventRetry || named {
			return
		}
		for _, s := range e.Sessions {
			named = named || s.Application == "the reader" && s.State == "idle in transaction"
		}
		if named || e.Attempt == 5 {
			if _, err := reader.Exec(context.Background(), "commit"); err != nil {
				t.Error(err)
			}
			if !strings.Contains(e.Err.Error(), "2_b.sql:3:1: locked: canceling statement due to lock timeout (SQLSTATE 55P03); waited for pid ") {
				t.Errorf("%v", e.Err)
			}
		}
	}}
	report, err := migrator(t, pool, fsys, migrations.Config{Observer: seen}).Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !named || report.Applied[0].Attempts < 2 {
		t.Errorf("the reader was not named: %+v", seen.of(migrations.EventRetry))
	}
	if n := value[int](t, pool, "select count(*) from app.t"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", "do $$ begin raise exception using errcode = '40001', message = 'again'; end $$"), migrations.Config{Retries: 2})
	_, e := failure(t, m)
	if !errors.Is(e, pgdbm.ErrRetryable) {
		t.Errorf("%v", e)
	}
}
