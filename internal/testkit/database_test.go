package testkit_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

func TestDatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	tpl := sqlTemplate("separate", "CREATE TABLE t (name text)")
	for i := range 50 {
		name := fmt.Sprintf("a long name/with slashes and ünicode %d %s", i, strings.Repeat("x", 80))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := testkit.New(t, tpl)
			pool := d.Lend()
			if i%2 == 0 {
				pool = d.Pool()
			}
			_, err := pool.Exec(t.Context(), "INSERT INTO t VALUES ($1)", t.Name())
			testkit.NoError(t, err)
			rows, err := pool.Query(t.Context(), "SELECT name FROM t")
			testkit.NoError(t, err)
			names, err := pgx.CollectRows(rows, pgx.RowTo[string])
			testkit.NoError(t, err)
			testkit.Equal(t, names, []string{t.Name()})
		})
	}
}

// Eight tests hold two databases each, at once: none waits for another.
func TestTestsHoldSeveralDatabases(t *testing.T) {
	t.Parallel()
	var holding, all sync.WaitGroup
	holding.Add(8)
	names := make(chan string, 16)
	for range 8 {
		all.Go(func() {
			p := newProbe(t)
			defer p.end()
			one, two := testkit.New(p, testkit.Template{}), testkit.New(p, testkit.Template{})
			holding.Done()
			if p.Failed() {
				t.Error(p.said())
				return
			}
			holding.Wait()
			for _, d := range []*testkit.Database{one, two} {
				names <- d.Name()
				execute(t, d.ConnString(), "CREATE TABLE mine ()") // nobody else's is there
			}
		})
	}
	all.Wait()
	close(names)
	seen := map[string]bool{}
	for name := range names {
		seen[name] = true
	}
	testkit.Equal(t, len(seen), 16)
}

func TestConnStringAndPoolAreEmptyDatabases(t *testing.T) {
	t.Parallel()
	const tables = "SELECT count(*) FROM pg_class WHERE oid >= 16384"
	testkit.Equal(t, query[int](t, testkit.ConnString(t), tables), 0)
	var n int
	testkit.NoError(t, testkit.Pool(t).QueryRow(t.Context(), tables).Scan(&n))
	testkit.Equal(t, n, 0)
}

func TestFreshIsNeverUsed(t *testing.T) {
	t.Parallel()
	tpl := sqlTemplate("fresh", "CREATE TABLE t ()")
	seen := map[string]bool{}
	for range 3 {
		p := newProbe(t)
		tpl.Fresh = true
		d := testkit.New(p, tpl)
		if seen[d.Name()] {
			t.Errorf("%s was used before", d.Name())
		}
		seen[d.Name()] = true
		p.end()
	}
}

// Fresh databases serve other tests later, but not all of them are kept for
// that: each holds a connection.
func TestFreshDatabasesDoNotPileUp(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	var names []string
	var probes []*probe
	for range testkit.MaxFree + 3 {
		p := newProbe(t)
		names = append(names, k.New(p, testkit.Template{Fresh: true}).Name())
		probes = append(probes, p)
	}
	for _, p := range probes {
		p.end()
	}
	testkit.Eventually(t, "more databases are kept than may be", func() bool {
		left := 0
		for _, name := range names {
			if exists(t, k, name) {
				left++
			}
		}
		return left <= testkit.MaxFree
	})
}

// Whoever keeps the pool or the address of a database beyond its test must not
// reach the one that the next test has.
func TestEndedDatabaseCannotBeReached(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	tpl := sqlTemplate(t.Name(), "CREATE TABLE t (id int)")
	p := newProbe(t)
	d := k.New(p, tpl)
	pool, address := d.Pool(), d.ConnString()
	testkit.Equal(t, d.Ended(), false)
	p.end()
	testkit.Equal(t, d.Ended(), true)

	next := newProbe(t)
	defer next.end()
	d2 := k.New(next, tpl)
	_, err := pool.Exec(t.Context(), "INSERT INTO t VALUES (1)")
	testkit.ErrorContains(t, err, "closed pool")
	testkit.Eventually(t, "the old address leads nowhere", func() bool {
		conn, err := pgx.Connect(t.Context(), address)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err != nil && strings.Contains(err.Error(), "does not exist")
	})
	testkit.Equal(t, query[int](t, d2.ConnString(), "SELECT count(*) FROM t"), 0)
}

func TestDatabaseWearsOut(t *testing.T) {
	t.Parallel()
	k := openKit(t, map[string]string{"TEST_DB_VERBOSE": "1"})
	tpl := sqlTemplate(t.Name(), "CREATE TABLE t (id int)")
	names := map[string]int{}
	for range testkit.MaxUses + 1 {
		p := newProbe(t)
		d := k.New(p, tpl)
		names[d.Name()]++
		_, err := d.Lend().Exec(t.Context(), "INSERT INTO t VALUES (1)")
		testkit.NoError(t, err)
		p.end()
	}
	for name, uses := range names {
		if uses > testkit.MaxUses {
			t.Errorf("%s was used %d times", name, uses)
		}
	}
}

func TestRecyclingOff(t *testing.T) {
	t.Parallel()
	k := openKit(t, map[string]string{"PGDBM_TEST_RECYCLE": "off", "TEST_DB_VERBOSE": "1"})
	seen := map[string]bool{}
	for range 3 {
		p := newProbe(t)
		d := k.New(p, testkit.Template{})
		if seen[d.Name()] {
			t.Errorf("%s was used before", d.Name())
		}
		seen[d.Name()] = true
		p.end()
		testkit.ErrorContains(t, errorOf(p.said()), "every test gets a new database on this server")
	}
	for name := range seen {
		testkit.Eventually(t, name+" is dropped", func() bool { return !exists(t, k, name) })
	}
}

// A role that may only create databases gets clones instead of recycled ones.
func TestOrdinaryRole(t *testing.T) {
	t.Parallel()
	admin := openKit(t, nil)
	role := strings.Replace(testkit.New(t, testkit.Template{}).Name(), "pgdbm_t", "pgdbm_role", 1) // nobody else's
	execute(t, admin.URL(admin.Admin()), "CREATE ROLE "+role+" LOGIN CREATEDB PASSWORD 'x'")
	u := testkit.ConnString(t)
	cfg, err := pgx.ParseConfig(u)
	testkit.NoError(t, err)
	env := map[string]string{
		"TEST_DB_HOST": cfg.Host, "TEST_DB_PORT": fmt.Sprint(cfg.Port), "TEST_DB_USER": role, "TEST_DB_PASSWORD": "x", "TEST_DB_NAME": admin.Admin(),
	}
	k, err := testkit.Open(t.Context(), env)
	testkit.NoError(t, err)
	tpl := sqlTemplate(role, "CREATE TABLE t (id int)")
	var names []string
	for range 2 {
		p := newProbe(t)
		d := k.New(p, tpl)
		names = append(names, d.Name())
		execute(t, d.ConnString(), "INSERT INTO t VALUES (1)")
		testkit.Equal(t, query[int](t, d.ConnString(), "SELECT count(*) FROM t"), 1)
		p.end()
		testkit.Equal(t, p.said(), "")
	}
	for _, name := range names {
		testkit.Eventually(t, name+" is dropped", func() bool { return !exists(t, k, name) })
	}
	k.Close()
	dropRole(t, admin, role)
}

// dropRole drops a role, if there is one, and its databases, of which one may
// just be made ahead of need.
func dropRole(t *testing.T, k *testkit.Kit, role string) {
	t.Helper()
	testkit.Eventually(t, "the role still owns databases", func() bool {
		conn, err := pgx.Connect(t.Context(), k.URL(k.Admin()))
		testkit.NoError(t, err)
		defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is lost with it
		rows, err := conn.Query(t.Context(), "SELECT datname FROM pg_database WHERE datdba = to_regrole($1)", role)
		testkit.NoError(t, err)
		owned, err := pgx.CollectRows(rows, pgx.RowTo[string])
		testkit.NoError(t, err)
		for _, name := range owned {
			if _, err := conn.Exec(t.Context(), "ALTER DATABASE "+name+" IS_TEMPLATE false"); err != nil {
				return false
			}
			if _, err := conn.Exec(t.Context(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
				return false
			}
		}
		_, err = conn.Exec(t.Context(), "DROP ROLE IF EXISTS "+role)
		return err == nil
	})
}

func TestFailingBuildIsRemembered(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	builds := 0
	tpl := ownTemplate(t, "")
	tpl.Build = func(context.Context, string) error {
		builds++
		return errors.New("0002_orders.sql:7: no such table")
	}
	for range 3 {
		p := newProbe(t)
		k.New(p, tpl)
		testkit.Equal(t, p.said(), "0002_orders.sql:7: no such table")
		p.end()
	}
	testkit.Equal(t, builds, 1)
	testkit.Equal(t, exists(t, k, k.TemplateName(tpl)), false)

	fixed := openKit(t, nil) // the next process
	tpl.Build = nil
	p := newProbe(t)
	fixed.New(p, tpl)
	p.end()
	testkit.Equal(t, p.said(), "")
}

func TestBuildThatLeaksIsRefused(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	var leaked *pgx.Conn
	p := newProbe(t)
	k.New(p, testkit.Template{Key: t.Name() + rand.Text(), Build: func(ctx context.Context, connString string) (err error) {
		leaked, err = pgx.Connect(ctx, connString)
		return err
	}})
	testkit.ErrorContains(t, errorOf(p.said()), "Build has left connections open")
	_ = leaked.Close(t.Context())
	p.end()

	p = newProbe(t)
	k.New(p, testkit.Template{Build: func(context.Context, string) error { return nil }})
	testkit.ErrorContains(t, errorOf(p.said()), "needs a Key")
	p.end()
}

func TestTemplateIsBuiltOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	builds := 0
	tpl := ownTemplate(t, "CREATE TABLE t (id int)")
	build := tpl.Build
	tpl.Build = func(ctx context.Context, connString string) error {
		mu.Lock()
		builds++
		mu.Unlock()
		return build(ctx, connString)
	}
	var group sync.WaitGroup
	for range 4 { // processes
		k := openKit(t, nil)
		for range 2 { // tests
			group.Go(func() {
				p := newProbe(t)
				k.New(p, tpl)
				p.end()
				testkit.Equal(t, p.said(), "")
			})
		}
	}
	group.Wait()
	testkit.Equal(t, builds, 1)
}

func TestHalfMadeTemplateIsBuiltAgain(t *testing.T) {
	t.Parallel()
	tpl := ownTemplate(t, "CREATE TABLE t (id int)")
	k := openKit(t, nil)
	execute(t, k.URL(k.Admin()), "CREATE DATABASE "+k.TemplateName(tpl)) // a process was killed here
	p := newProbe(t)
	d := k.New(p, tpl)
	testkit.Equal(t, query[int](t, d.ConnString(), "SELECT count(*) FROM t"), 0)
	p.end()
}

func asPgError(err error, target **pgconn.PgError) bool { return errors.As(err, target) }

func errorOf(text string) error { return errors.New(text) }

func contains(s, part string) bool { return strings.Contains(s, part) }
