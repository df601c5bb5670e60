package testkit_test

import (
	"fmt"
	"slices"
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
	needsPrepared(t, k)
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
	k := ownServer(t) // where nobody else prunes
	admin := k.URL(k.Admin())
	half, foreign := k.TemplateName(sqlTemplate("half made", "")), "pgdbm_tpl_foreign"
	for _, name := range []string{half, foreign} { // a killed process's, and who knows whose
		execute(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0"+k.Strategy())
	}
	for i := range testkit.KeepTemplates {
		name := k.TemplateName(sqlTemplate(fmt.Sprint(i), ""))
		execute(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 IS_TEMPLATE true"+k.Strategy())
		execute(t, admin, fmt.Sprintf("COMMENT ON DATABASE %s IS 'last used 2001-01-%02dT00:00:00Z'", name, i+1))
	}
	used := sqlTemplate("used", "")
	p := newProbe(t)
	k.New(p, used)
	execute(t, admin, "COMMENT ON DATABASE "+k.TemplateName(used)+" IS 'last used 2000-01-01T00:00:00Z'") // but it is in use
	k.Prune(t.Context())
	const templates = `SELECT string_agg(datname, ' ' ORDER BY shobj_description(oid, 'pg_database')) FROM pg_database WHERE datname LIKE 'pgdbm\_tpl\_%' AND datistemplate`
	want := []string{k.TemplateName(used)}
	for i := range testkit.KeepTemplates {
		want = append(want, k.TemplateName(sqlTemplate(fmt.Sprint(i), "")))
	}
	want = slices.Delete(want, 1, 2) // the oldest
	testkit.Eventually(t, "the wrong ones are left", func() bool {
		return query[string](t, admin, templates) == strings.Join(want, " ") && !exists(t, k, half)
	})
	testkit.Equal(t, exists(t, k, foreign), true)
	p.end()
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
