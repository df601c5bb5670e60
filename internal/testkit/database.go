package testkit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Database is a test's own database. It lasts until the end of the test.
type Database struct {
	slot    *slot
	name    string // at the time of the test
	server  string
	pool    *pgxpool.Pool
	exposed atomic.Bool // the address or the pool is in the test's hands
	keep    atomic.Bool // for a person, when the test ends
	ended   atomic.Bool
}

// ConnString returns the address of a new empty database, which is dropped when
// the test ends.
//
// The server is named by TEST_DATABASE_URL; by TEST_DB_HOST, TEST_DB_PORT,
// TEST_DB_USER, TEST_DB_PASSWORD, TEST_DB_NAME and TEST_DB_SSLMODE if any is
// set; by DATABASE_URL; by PGHOST or PGSERVICE; else it is the embedded one. On
// a server that was named only databases called pgdbm_* are created and dropped.
func ConnString(tb TB) string {
	tb.Helper()
	return New(tb, Template{}).ConnString()
}

// Pool returns a pool on a new empty database. The pool is closed and the
// database dropped when the test ends.
func Pool(tb TB) *pgxpool.Pool {
	tb.Helper()
	return New(tb, Template{}).Pool()
}

// New returns a database with the contents of the template, for this test alone.
// Building the template's first caller waits for; what it fails with all get.
func New(tb TB, t Template) *Database {
	tb.Helper()
	k := forTest(tb)
	if k == nil {
		return nil
	}
	return k.database(tb, t)
}

// Version returns the server's version, as 150018 for 15.18. It is 0 when the
// test has been told to end.
func Version(tb TB) int {
	tb.Helper()
	k := forTest(tb)
	if k == nil {
		return 0
	}
	return k.version
}

// forTest returns this process's kit, or ends the test and returns nil.
func forTest(tb TB) *kit {
	tb.Helper()
	k, err := process()
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	if k.env.skip {
		tb.Skipf("PGDBM_TEST_SKIP is set")
		return nil
	}
	return k
}

// database is [New] on a certain server.
func (k *kit) database(tb TB, t Template) *Database {
	tb.Helper()
	if t.Key == "" && t.Build != nil {
		tb.Fatalf("pgdbmtest: a Template with Build needs a Key that says what it builds")
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s, err := k.slot(ctx, t)
	for deadline := time.Now().Add(k.env.patience); full(err) && time.Now().Before(deadline); s, err = k.slot(ctx, t) {
		k.shed()
		wait(ctx, 50*time.Millisecond)
	}
	if err != nil && k.revive(ctx, err) {
		s, err = k.slot(ctx, t)
	}
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	s.uses++
	s.tracer.watch(tb)
	d := &Database{slot: s, name: s.name, server: k.server.about, pool: s.pool}
	if k.env.verbose {
		tb.Logf("pgdbmtest: database %s (use %d) on %s", s.name, s.uses, k.server.about)
	}
	tb.Cleanup(func() {
		tb.Helper() // a report points at the line that asked for the database
		k.end(tb, d)
	})
	return d
}

// slot returns a database of the template that is as new. A template that
// somebody has dropped since it was last used is built again.
func (k *kit) slot(ctx context.Context, t Template) (*slot, error) {
	tpl := k.template(t)
	get := tpl.take
	if t.Fresh {
		get = tpl.clone
	}
	for again := false; ; again = true {
		if err := tpl.ready(ctx); err != nil {
			return nil, err
		}
		s, err := get(ctx)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "3D000" || again {
			return s, err
		}
		tpl.forget()
	}
}

// Name returns the database's name.
func (d *Database) Name() string { return d.name }

// Server describes the server to a person, without a password.
func (d *Database) Server() string { return d.server }

// ConnString returns the database's address. The test closes the connections
// that it opens; one that is still open at the end is reported as leaked.
func (d *Database) ConnString() string {
	d.exposed.Store(true)
	return d.slot.tpl.kit.server.connString(d.name)
}

// Pool returns a pool of 10 connections at most, for the test to use as it
// likes. It is closed when the test ends.
func (d *Database) Pool() *pgxpool.Pool {
	d.exposed.Store(true)
	return d.pool
}

// Lend returns the same pool to a fixture that itself refuses to use it once
// the database has ended (see [Database.Ended]): its connections then go to
// the next test, which saves opening them.
func (d *Database) Lend() *pgxpool.Pool { return d.pool }

// Keep keeps the database for a person when the test ends, however it ends, and
// logs the psql command that opens it.
func (d *Database) Keep() { d.keep.Store(true) }

// Ended reports whether the test is over. A goroutine that outlives its test
// must not reach into the database of the next.
func (d *Database) Ended() bool { return d.ended.Load() }
