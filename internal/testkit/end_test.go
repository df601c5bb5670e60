package testkit_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

func TestLeakedConnectionIsReported(t *testing.T) {
	t.Parallel()
	for strict, fails := range map[string]bool{"": false, "1": true} {
		k := openKit(t, map[string]string{"PGDBM_TEST_STRICT": strict})
		p := newProbe(t)
		d := k.New(p, testkit.Template{})
		conn, err := d.Lend().Acquire(t.Context())
		testkit.NoError(t, err)
		_, err = conn.Exec(t.Context(), "SELECT  1,\n 'leaked'")
		testkit.NoError(t, err)
		p.end()
		testkit.Equal(t, p.Failed(), fails)
		testkit.ErrorContains(t, errorOf(p.said()), "1 connections to "+d.Name()+" are still open at the end of the test",
			"last statement: SELECT 1, 'leaked'")
		testkit.Eventually(t, "the database is dropped all the same", func() bool { return !exists(t, k, d.Name()) })
		conn.Release()
	}
}

func TestPreparedTransactionsDoNotKeepADatabase(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	p := newProbe(t)
	d := k.New(p, testkit.Template{})
	conn, err := pgx.Connect(t.Context(), d.ConnString())
	testkit.NoError(t, err)
	for _, sql := range []string{"BEGIN", "CREATE TABLE t ()", "PREPARE TRANSACTION 'pgdbm''s " + d.Name() + "'"} {
		_, err = conn.Exec(t.Context(), sql)
		testkit.NoError(t, err)
	}
	testkit.NoError(t, conn.Close(t.Context()))
	p.end()
	testkit.Eventually(t, "the database is dropped", func() bool { return !exists(t, k, d.Name()) })
}

func TestKeep(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		keep string
		fail bool
		kept bool
	}{{"", true, false}, {"failed", false, false}, {"failed", true, true}, {"all", false, true}} {
		k := openKit(t, map[string]string{"PGDBM_TEST_KEEP": row.keep})
		p := newProbe(t)
		d := k.New(p, testkit.Template{})
		execute(t, d.ConnString(), "CREATE TABLE evidence ()")
		if row.fail {
			p.Errorf("failed")
		}
		p.end()
		m := regexp.MustCompile(`psql '(.*)'\n  DROP DATABASE (\w+);`).FindStringSubmatch(p.said())
		testkit.Equal(t, m != nil, row.kept)
		if m != nil {
			k.Sweep(t.Context())
			testkit.Equal(t, query[int](t, m[1], "SELECT count(*) FROM evidence"), 0)
			execute(t, k.URL(k.Admin()), "DROP DATABASE "+m[2])
		}
	}
}

func TestLogSQL(t *testing.T) {
	t.Parallel()
	k := openKit(t, map[string]string{"TEST_DB_LOG_SQL": "1"})
	p := newProbe(t)
	d := k.New(p, testkit.Template{})
	_, err := d.Lend().Exec(t.Context(), "SELECT $1::text", "argument")
	testkit.NoError(t, err)
	p.end()
	testkit.Equal(t, p.said(), "sql: SELECT $1::text")
}

func TestPrune(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	used := sqlTemplate(t.Name()+" used", "")
	p := newProbe(t)
	k.New(p, used)
	admin := k.URL(k.Admin())
	var old []string
	for i := range testkit.KeepTemplates {
		name := k.TemplateName(sqlTemplate(t.Name(), strings.Repeat(" ", i)))
		old = append(old, name)
		execute(t, admin, "DROP DATABASE IF EXISTS "+name)
		execute(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 IS_TEMPLATE true"+k.Strategy())
		execute(t, admin, "COMMENT ON DATABASE "+name+" IS 'last used 2001-01-01T00:00:00Z'")
	}
	execute(t, admin, "COMMENT ON DATABASE "+k.TemplateName(used)+" IS 'last used 2000-01-01T00:00:00Z'") // but it is in use
	k.Prune(t.Context())
	const count = `SELECT count(*) FROM pg_database WHERE datname LIKE 'pgdbm\_tpl\_%' AND shobj_description(oid, 'pg_database') LIKE '%2001-01-01%'`
	if n := query[int](t, admin, count); n >= testkit.KeepTemplates {
		t.Errorf("all %d are still there", n)
	}
	testkit.Equal(t, exists(t, k, k.TemplateName(used)), true)
	p.end()
	for _, name := range old {
		if exists(t, k, name) {
			execute(t, admin, "ALTER DATABASE "+name+" IS_TEMPLATE false")
			execute(t, admin, "DROP DATABASE "+name)
		}
	}
}

// However a test process ends, its databases do not stay.
func TestSweepAfterEndedProcess(t *testing.T) {
	t.Parallel()
	const variable = "PGDBM_TESTKIT_HELPER"
	ends := map[string]func(){
		"killed":    func() { testkit.NoError(t, kill(os.Getpid())) },
		"panics":    func() { panic("on purpose") },
		"exits":     func() { os.Exit(3) },
		"times out": func() { <-t.Context().Done() }, // -test.timeout
	}
	if how := os.Getenv(variable); how != "" {
		d := testkit.New(t, testkit.Template{})
		execute(t, d.ConnString(), "CREATE TABLE left_behind ()")
		if _, err := os.Stdout.WriteString("\nname=" + d.Name() + "\n"); err != nil {
			t.Fatal(err)
		}
		ends[how]()
	}
	mine := testkit.New(t, testkit.Template{})
	var left []string
	for how := range ends {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSweepAfterEndedProcess$", "-test.timeout=10s")
		cmd.Env = append(os.Environ(), variable+"="+how)
		out, err := cmd.CombinedOutput()
		m := regexp.MustCompile(`name=(\w+)`).FindSubmatch(out)
		if err == nil || m == nil {
			t.Fatalf("%s: %v, %s", how, err, out)
		}
		left = append(left, string(m[1]))
	}
	k := openKit(t, nil) // sweeps, as every process does
	for _, name := range left {
		testkit.Eventually(t, "the process's database is dropped", func() bool { return !exists(t, k, name) })
	}
	testkit.Equal(t, exists(t, k, mine.Name()), true)
}

// A test that blocks on itself gets an error with the statement in it, also on a
// database that others have used, and whatever they set.
func TestLockWaitsEnd(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	for range 2 {
		p := newProbe(t)
		d := k.New(p, testkit.Template{})
		var timeout string
		testkit.NoError(t, d.Lend().QueryRow(t.Context(), "SELECT current_setting('lock_timeout')").Scan(&timeout))
		testkit.Equal(t, timeout, "30s")
		_, err := d.Lend().Exec(t.Context(), "SET lock_timeout = 0")
		testkit.NoError(t, err)
		p.end()
	}
}
