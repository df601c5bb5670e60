package testkit_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// Triggers and rules that fire even when rows are removed behind their back would
// write into a database that is thought to be as new.
func TestTriggersThatAlwaysFire(t *testing.T) {
	t.Parallel()
	k := openKit(t, map[string]string{"TEST_DB_VERBOSE": "1"})
	if !k.Recycles() {
		t.Skip("recycling needs PostgreSQL 15 and a superuser")
	}
	for _, sql := range []string{
		"ALTER TABLE t ENABLE ALWAYS TRIGGER g", "ALTER TABLE t ENABLE REPLICA TRIGGER g",
		"ALTER TABLE t ENABLE ALWAYS RULE r", "ALTER TABLE t ENABLE REPLICA RULE r",
	} {
		tpl := sqlTemplate(t.Name(), `CREATE TABLE t (id int); CREATE TABLE log (id int); CREATE RULE r AS ON DELETE TO t DO ALSO INSERT INTO log VALUES (OLD.id);
			CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (OLD.id); RETURN OLD; END $$;
			CREATE TRIGGER g BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION f();`+sql)
		for range 2 {
			p := newProbe(t)
			d := k.New(p, tpl)
			var n int
			testkit.NoError(t, d.Lend().QueryRow(t.Context(), "WITH i AS (INSERT INTO t VALUES (1)) SELECT count(*) FROM log").Scan(&n))
			testkit.Equal(t, n, 0)
			p.end()
			testkit.ErrorContains(t, errorOf(p.said()), d.Name()+" is not used again: a trigger or rule is ENABLE ALWAYS or REPLICA")
		}
	}
}

// A session cannot forget a setting that it once had. Where something in the
// database reads it, the next test gets a new session.
func TestSettingsThatTheDatabaseReads(t *testing.T) {
	t.Parallel()
	const readers = `
CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN Current_Setting ( 'app.in_function', true); END $$;
CREATE FUNCTION g() RETURNS text LANGUAGE sql RETURN pg_catalog.current_setting('app.in_sql', true);
CREATE VIEW v AS SELECT current_setting('app.in_view', true) AS v;
CREATE TABLE t (a text DEFAULT current_setting('app.in_default', true), b text CHECK (b <> current_setting('app.in_check')));
CREATE POLICY p ON t USING (a = current_setting('app.in_policy')) WITH CHECK (a = current_setting('app.in_policy_check'));
CREATE FUNCTION h() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER w BEFORE INSERT ON t FOR EACH ROW WHEN (current_setting('app.in_trigger', true) = 'x') EXECUTE FUNCTION h();
CREATE DOMAIN d AS text CHECK (VALUE <> current_setting('app.in_domain'));
CREATE RULE u AS ON UPDATE TO t WHERE current_setting('app.in_rule') = 'x' DO NOTHING;`
	const computed = `
CREATE FUNCTION f(name text) RETURNS text LANGUAGE sql AS $$ SELECT current_setting('app.' || name, true) $$;
CREATE FUNCTION g(name text) RETURNS text LANGUAGE sql AS $$ SELECT current_setting(name, true) $$;`
	k := openKit(t, map[string]string{"TEST_DB_VERBOSE": "1"})
	if !k.Recycles() {
		t.Skip("recycling needs PostgreSQL 15 and a superuser")
	}
	for sql, settings := range map[string]string{
		readers:  "in_function in_sql in_view in_default in_check in_policy in_policy_check in_trigger in_domain in_rule",
		computed: "any",
	} {
		tpl := sqlTemplate(t.Name(), sql)
		for setting := range strings.FieldsSeq(settings) {
			p := newProbe(t)
			d := k.New(p, tpl)
			testkit.Equal(t, tell(t, d, "current_setting('app."+setting+"', true) IS NULL"), true)
			testkit.Equal(t, tell(t, d, "set_config('app."+setting+"', 'x', false) = 'x'"), true)
			p.end()
			if contains(p.said(), "not used again") {
				t.Errorf("%s: only the session had to go: %s", setting, p.said())
			}
			next := newProbe(t)
			if !tell(t, k.New(next, tpl), "current_setting('app."+setting+"', true) IS NULL") {
				t.Errorf("the next test finds app.%s", setting)
			}
			next.end()
		}
	}
}

// tell returns the value of a condition, on a lent connection.
func tell(t *testing.T, d *testkit.Database, condition string) (yes bool) {
	t.Helper()
	testkit.NoError(t, d.Lend().QueryRow(t.Context(), "SELECT "+condition, pgx.QueryExecModeExec).Scan(&yes))
	return yes
}

// Sessions that have nothing to forget are handed on: opening new ones would take
// longer than the rest.
func TestSessionsServeTheNextTest(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	tpl := sqlTemplate(t.Name(), "CREATE TABLE t (v text DEFAULT current_setting('app.tenant', true))")
	if !k.Recycles() {
		t.Skip("recycling needs PostgreSQL 15 and a superuser")
	}
	pids := map[uint32]bool{}
	for range 5 {
		p := newProbe(t)
		conn, err := k.New(p, tpl).Lend().Acquire(t.Context())
		testkit.NoError(t, err)
		_, err = conn.Exec(t.Context(), "INSERT INTO t DEFAULT VALUES")
		testkit.NoError(t, err)
		pids[conn.Conn().PgConn().PID()] = true
		conn.Release()
		p.end()
	}
	testkit.Equal(t, len(pids), 1)
}

// A connection that was taken out of the pool is as leaked as one that was never
// given back, and so is one that a test opened behind the fixture's back.
func TestConnectionsOutsideThePoolAreReported(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	if !k.Recycles() {
		t.Skip("recycling needs PostgreSQL 15 and a superuser")
	}
	p := newProbe(t)
	d := k.New(p, testkit.Template{})
	lent, err := d.Lend().Acquire(t.Context())
	testkit.NoError(t, err)
	conn := lent.Hijack()
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is lost with it
	_, err = conn.Exec(t.Context(), "SELECT 'taken away'")
	testkit.NoError(t, err)
	p.end()
	testkit.ErrorContains(t, errorOf(p.said()), "1 connections to "+d.Name()+" are still open", "last statement: SELECT 'taken away'")
	testkit.Eventually(t, "the database is dropped", func() bool { return !exists(t, k, d.Name()) })
}
