package testkit_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// ownServer opens a kit on an embedded server of the test's own.
func ownServer(t *testing.T) *testkit.Kit {
	t.Helper()
	_, env := embeddedServer(t, "1s")
	full := map[string]string{}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		full[name] = value
	}
	return openKit(t, full)
}

// The server is killed while one test uses a database and others have just given
// theirs back: that test fails, the next starts the server again.
func TestServerKilledBetweenTests(t *testing.T) {
	t.Parallel()
	k := ownServer(t)
	tpl := sqlTemplate(t.Name(), "CREATE TABLE t (id int)")
	released := newProbe(t)
	k.New(released, tpl)
	during := newProbe(t)
	d := k.New(during, tpl)
	released.end()

	pid := query[string](t, d.ConnString(), "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")
	number, err := strconv.Atoi(pid)
	testkit.NoError(t, err)
	testkit.NoError(t, kill(number))
	testkit.Eventually(t, "the sessions end", func() bool { return d.Pool().Ping(t.Context()) != nil && k.Free(tpl) == 0 })
	during.end()

	for range 3 {
		p := newProbe(t)
		again := k.New(p, tpl)
		if p.Failed() {
			t.Fatalf("no database after the server was killed: %s", p.said())
		}
		testkit.Equal(t, query[int](t, again.ConnString(), "SELECT count(*) FROM t"), 0)
		p.end()
	}
}

// A killed backend makes the server restart itself, which ends all sessions. A
// process that starts right then must not take the others' databases for
// abandoned, and rows of before must not reach a later test.
func TestServerRestartsItself(t *testing.T) {
	t.Parallel()
	k := ownServer(t)
	tpl := sqlTemplate(t.Name(), "CREATE TABLE t (id int)")
	free := newProbe(t)
	name := k.New(free, tpl).Name()
	during := newProbe(t)
	d := k.New(during, tpl)
	free.end()

	lent, err := d.Lend().Acquire(t.Context())
	testkit.NoError(t, err)
	var before time.Time
	testkit.NoError(t, lent.QueryRow(t.Context(), "WITH i AS (INSERT INTO t VALUES (1)) SELECT clock_timestamp()").Scan(&before))
	testkit.NoError(t, kill(int(lent.Conn().PgConn().PID())))
	_, err = lent.Exec(t.Context(), "SELECT 1")
	if err == nil {
		t.Error("the killed session answers")
	}
	lent.Release()

	lease := testkit.Leased.FindStringSubmatch(name)[1]
	testkit.Eventually(t, "the lease is taken again", func() bool {
		conn, err := pgx.Connect(t.Context(), k.URL(k.Admin()))
		if err != nil {
			return false // it is restarting
		}
		defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
		var held bool
		const query = `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 7214 AND l.objid::text = $1 AND a.backend_start > $2)`
		return conn.QueryRow(t.Context(), query, lease, before).Scan(&held) == nil && held
	})
	other := testkitOn(t, k)
	other.Sweep(t.Context())
	testkit.Equal(t, exists(t, other, name) && exists(t, other, d.Name()), true)
	during.end()

	for range 3 {
		p := newProbe(t)
		again := k.New(p, tpl)
		if p.Failed() {
			t.Fatalf("no database after the server restarted itself: %s", p.said())
		}
		testkit.Equal(t, query[int](t, again.ConnString(), "SELECT count(*) FROM t"), 0)
		p.end()
	}
}

// A crash of the server empties the unlogged tables of all its databases, those
// of templates and of databases that wait for a test too.
func TestServerCrashEmptiesUnloggedTables(t *testing.T) {
	t.Parallel()
	k := ownServer(t)
	if !k.Recycles() {
		t.Skip("only PostgreSQL 15 tells of a crash")
	}
	tpl := sqlTemplate(t.Name(), "CREATE UNLOGGED TABLE u (id int); INSERT INTO u VALUES (1)")
	use := func(k *testkit.Kit) (name string) {
		p := newProbe(t)
		defer p.end()
		d := k.New(p, tpl)
		if d == nil {
			t.Fatal(p.said())
		}
		testkit.Equal(t, query[int](t, d.ConnString(), "SELECT count(*) FROM u"), 1)
		return d.Name()
	}
	first := use(k)
	const template = "SELECT oid::text FROM pg_database WHERE datname = $1"
	oid := func() string { return query[string](t, k.URL(k.Admin()), template, k.TemplateName(tpl)) }
	before := oid()
	use(testkitOn(t, k))
	testkit.Equal(t, oid(), before) // nothing happened

	pid := query[string](t, k.URL(k.Admin()), "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")
	number, err := strconv.Atoi(pid)
	testkit.NoError(t, err)
	waiting := k.Free(tpl)
	testkit.NoError(t, kill(number))
	testkit.Eventually(t, "what waited is given up", func() bool { return waiting > 0 && k.Free(tpl) == 0 })
	if again := use(k); again == first {
		t.Error("a database of before the crash is used")
	}
	if oid() == before {
		t.Error("the template was not built again")
	}
}

// testkitOn opens another process's kit on the server of k.
func testkitOn(t *testing.T, k *testkit.Kit) *testkit.Kit {
	t.Helper()
	return openKit(t, map[string]string{"TEST_DATABASE_URL": k.URL(k.Admin())})
}
