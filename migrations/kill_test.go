package migrations_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// killsEnv is how many processes each TestKilledRuns… kills.
const killsEnv = "PGDBM_KILLS"

func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv(killsEnv)
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	testkit.NoError(t, err)
	return n
}

// killFiles are 20 migrations whose statements leave a line in a log each. Some run
// without a transaction, build indexes concurrently, are slow, or repeatable.
func killFiles() fstest.MapFS {
	logged := func(file, statement int) string {
		return fmt.Sprintf("insert into {{tables.log}} values (%d, %d);\n", file, statement)
	}
	fsys := files("01_log.sql", "create table {{tables.log}} (file int, statement int);\ncreate table {{tables.data}} (a int, b int);\n"+
		"insert into {{tables.data}} select n, -n from generate_series(1, 2000) n;\n"+logged(1, 4),
		"R_views.sql", logged(20, 1)+"create or replace view {{schema}}.v as select a + b as c from {{tables.data}};\n"+logged(20, 3))
	for n := 2; n <= 19; n++ {
		var text string
		switch n % 3 {
		case 0: // each statement alone
			text = auto + logged(n, 1) +
				fmt.Sprintf("create unique index concurrently data_%d on {{tables.data}} (a, (b + %d));\n", n, n) +
				logged(n, 3) + "select pg_sleep(0.03);\n" + logged(n, 5) + "vacuum {{tables.data}};\n" + logged(n, 7)
		case 1: // slow
			text = logged(n, 1) + "select pg_sleep(0.1);\n" + fmt.Sprintf("alter table {{tables.data}} add column c%d int default %d;\n", n, n) + logged(n, 4)
		default:
			text = fmt.Sprintf("create table {{tables.t%d}} (n int primary key);\n", n) + logged(n, 2) +
				fmt.Sprintf("create function {{schema}}.f%d() returns int language sql as 'select %d';\n", n, n) + logged(n, 4)
		}
		fsys[fmt.Sprintf("%02d_x.sql", n)] = files("x", text)["x"]
	}
	return fsys
}

// Processes that migrate 20 files are killed at random moments, again and again, and
// started anew: no statement of any file takes effect twice or is left out, and the
// schema is the one that a run without a kill makes. A statement of a no-transaction
// file commits together with the record that it was executed.
func TestKilledRunsExecuteEveryStatementOnce(t *testing.T) {
	t.Parallel()
	killRuns(t, testkit.ConnString(t), nil, killFiles())
}

// Behind a transaction pooler, which has no sessions for no-transaction files.
func TestKilledRunsThroughAPoolerExecuteEveryStatementOnce(t *testing.T) {
	t.Parallel()
	direct := testkit.ConnString(t)
	fsys := killFiles()
	for name, f := range fsys {
		if strings.HasPrefix(string(f.Data), auto) {
			delete(fsys, name)
		}
	}
	killRuns(t, direct, testkit.StartPgBouncer(t, direct, nil), fsys)
}

func killRuns(t *testing.T, direct string, pooler *testkit.PgBouncer, fsys fstest.MapFS) {
	t.Helper()
	quiet := setup(t)
	started := time.Now()
	up(t, migrator(t, quiet, fsys, migrations.Config{}))
	took := time.Since(started)
	wantCatalog, wantLog := appCatalog(t, quiet), appLog(t, quiet)

	conn := direct
	if pooler != nil {
		conn = pooler.ConnString()
	}
	pool := open(t, pgdbm.Config{ConnString: direct})
	rounds, ends, want := 0, 0, kills(t)
	for killed := 0; killed < want; rounds++ {
		exec(t, pool, "drop schema if exists app cascade")
		for finished := false; !finished && killed < want; {
			finished = runAndKill(t, conn, fsys, took/4)
			if !finished {
				killed++
			}
			if rand.N(2) == 0 { // else the next run meets what is left of this one
				nothingLeft(t, pool)
			}
		}
		m := migrator(t, pool, fsys, migrations.Config{})
		if rest := up(t, m); rest != "" {
			ends++
		}
		if diff := testkit.Difference(wantCatalog, appCatalog(t, pool)); diff != "" {
			t.Errorf("the catalog differs from that of an undisturbed run:\n%s", diff)
		}
		testkit.Equal(t, appLog(t, pool), wantLog)
		testkit.Equal(t, value[int](t, pool, "select count(*) from app.pgdbm_migrations where status = 'applied' and statements_done = statements_total"), len(fsys))
		testkit.NoError(t, m.Verify(t.Context()))
		testkit.Equal(t, up(t, m), "")
		nothingLeft(t, pool)
	}
	t.Logf("%d kills in %d rounds (%d finished after the last kill); an undisturbed run took %s", want, rounds, ends, took.Round(time.Millisecond))
}

// runAndKill starts a process that migrates, and kills it behind a random event of
// its run and a random pause. It reports whether the process was faster.
func runAndKill(t *testing.T, conn string, fsys fstest.MapFS, atMost time.Duration) (finished bool) {
	t.Helper()
	cmd := process(t, conn, fsys)
	out, err := cmd.StdoutPipe()
	testkit.NoError(t, err)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	testkit.NoError(t, cmd.Start())

	begun, text := make(chan struct{}), make(chan string, 1)
	go func() {
		var all strings.Builder
		left := rand.N(25) // of the run's events; a whole one has about 150
		for lines := bufio.NewScanner(io.TeeReader(out, &all)); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), runnerEvent) {
				if left == 0 {
					close(begun)
				}
				left--
			}
		}
		if left >= 0 {
			close(begun)
		}
		text <- all.String()
	}()
	if rand.N(8) > 0 { // else the moment is one of the start
		<-begun
	}
	select {
	case <-time.After(rand.N(atMost) >> rand.N(8)):
	case said := <-text:
		text <- said
	}
	_ = cmd.Process.Kill()
	said := <-text
	err = cmd.Wait()
	if cmd.ProcessState.Success() {
		return true
	}
	if cmd.ProcessState.Exited() {
		t.Fatalf("%v\n%s%s", err, said, stderr.String())
	}
	return false
}

// appCatalog lists what is in the schema app.
func appCatalog(t *testing.T, pool *pgdbm.Pool) []string {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pool.Pgx().Config().ConnConfig)
	testkit.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	return testkit.Catalog(t, conn, "app")
}

// appLog lists how often each statement took effect.
func appLog(t *testing.T, pool *pgdbm.Pool) string {
	t.Helper()
	return value[string](t, pool, `select string_agg(format('%s.%s: %s', file, statement, n), ', ' order by file, statement)
from (select file, statement, count(*) n from app.log group by 1, 2) counted`)
}
