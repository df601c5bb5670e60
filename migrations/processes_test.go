package migrations_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	osexec "os/exec"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// The environment that makes TestRunner a process of its own.
const (
	runnerConn  = "MIGRATIONS_TEST_CONN"
	runnerFiles = "MIGRATIONS_TEST_FILES"
)

// The lines that a runner prints.
const (
	runnerEvent   = "event "
	runnerApplied = "applied "
)

// TestRunner is the program that process starts: it migrates, and prints each event
// and each file that it has applied. In an ordinary test run there is nothing for it
// to do.
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
	say := func(words ...any) { _, _ = io.WriteString(os.Stdout, fmt.Sprintln(words...)) }
	seen := &events{on: func(e migrations.Event) { say("event", e.Kind, e.File, e.Statement) }}
	pool := open(t, pgdbm.Config{ConnString: conn, MaxConns: 2})
	report, err := migrator(t, pool, fsys, migrations.Config{Observer: seen}).Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range report.Applied {
		say("applied", a.File)
	}
}

// process is this test binary, to be started again to migrate.
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

// 24 processes begin at once on an empty database: each file takes effect once, and
// every process succeeds.
func TestManyProcessesRunEveryFileOnce(t *testing.T) {
	t.Parallel()
	inTx := files(
		"1_a.sql", "create table {{tables.t}} (n int); create or replace function {{schema}}.f() returns int language sql as 'select 1'",
		"2_b.sql", "insert into {{tables.t}} values (2)", "3_c.sql", "insert into {{tables.t}} values (3)",
		"4_d.sql", "alter table {{tables.t}} add m int; insert into {{tables.t}} values (4)",
		"R_r.sql", "create or replace view {{schema}}.v as select n from {{tables.t}}; insert into {{tables.t}} values (9)")
	alone := files("5_e.sql", auto+"create index concurrently i on {{tables.t}} (n);\ninsert into {{tables.t}} values (5)")
	maps.Copy(alone, inTx)
	for name, fsys := range map[string]fstest.MapFS{"direct": alone, "pgbouncer": inTx} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := testkit.ConnString(t)
			pool := open(t, pgdbm.Config{ConnString: conn})
			effects := "{2,3,4,5,9}"
			if name == "pgbouncer" { // which has no sessions for no-transaction files
				conn = testkit.StartPgBouncer(t, conn, nil).ConnString()
				effects = "{2,3,4,9}"
			}
			testkit.Equal(t, runAtOnce(t, 24, conn, fsys), len(fsys))
			testkit.Equal(t, value[string](t, pool, "select array_agg(n order by n)::text from app.t"), effects)
			testkit.Equal(t, value[int](t, pool, "select count(*) from app.pgdbm_migrations where status = 'applied'"), len(fsys))
			testkit.Equal(t, value[int](t, pool, "select count(*) from app.pgdbm_migrations"), len(fsys))
			testkit.Equal(t, value[int](t, pool, "select count(*) from pg_index where not indisvalid"), 0)
			testkit.NoError(t, migrator(t, pool, fsys, migrations.Config{}).Verify(t.Context()))
			nothingLeft(t, pool)
		})
	}
}

// runAtOnce runs n processes that begin at the same time, and returns how many files
// they have applied together.
func runAtOnce(t *testing.T, n int, conn string, fsys fstest.MapFS) (applied int) {
	t.Helper()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for range n {
		cmd := process(t, conn, fsys)
		wg.Go(func() {
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			mu.Lock()
			defer mu.Unlock()
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, runnerApplied) {
					applied++
				}
			}
		})
	}
	wg.Wait()
	return applied
}

// SIGKILL during a long statement: the server notices, and the lock is free within 6 s.
func TestKilledProcessReleasesTheLock(t *testing.T) {
	t.Parallel()
	conn := testkit.ConnString(t)
	pool := open(t, pgdbm.Config{ConnString: conn})
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "select pg_sleep(60)")
	cmd := process(t, conn, fsys)
	testkit.NoError(t, cmd.Start())
	eventually(t, "the file sleeps", func() bool {
		return value[int](t, pool, "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'") == 1
	})
	testkit.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	killed := time.Now()
	fsys["2_b.sql"] = files("x", "insert into {{tables.t}} values (1)")["x"]
	testkit.Equal(t, up(t, migrator(t, pool, fsys, migrations.Config{LockTimeout: 6 * time.Second})), "2_b.sql")
	t.Logf("the lock was free after %s", time.Since(killed).Round(time.Millisecond))
	nothingLeft(t, pool)
}
