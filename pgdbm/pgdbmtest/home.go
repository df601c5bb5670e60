package pgdbmtest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// home is a test's database with a pool on it, which all that a fixture returns
// have in common.
type home struct {
	recipe   *recipe
	database *testkit.Database
	pool     *pgdbm.Pool
	set      *module.Set // for managers only: its modules have no migrations
	over     atomic.Bool // the test is
}

// open makes a test's database. It returns nil when the test has been told to
// end and goes on nevertheless.
func open(t TB, opts []Option) *home {
	t.Helper()
	h := create(t, opts)
	if h == nil {
		return nil
	}
	ctx, cancel := background()
	defer cancel()
	h.endWith(t)
	if err := h.connect(ctx); err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	return h
}

// bubbleYear is when the clock of a testing/synctest bubble begins. What is made
// in there for later tests would never let it end.
const bubbleYear = 2000

// create makes the database alone.
func create(t TB, opts []Option) *home {
	t.Helper()
	if time.Now().Year() <= bubbleYear {
		t.Fatalf("pgdbmtest: a database cannot be made inside a testing/synctest bubble: make it before synctest.Test, and use it in there")
		return nil
	}
	r := newRecipe(opts)
	template, err := r.template()
	if err := errors.Join(append(r.errs, err)...); err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	if r.minVersion > 0 && !r.newEnough(t) {
		return nil
	}
	database := testkit.New(t, template)
	if database == nil {
		return nil
	}
	return &home{recipe: r, database: database}
}

// newEnough skips the test on an old server. It asks before a template is built,
// which may not work there.
func (r *recipe) newEnough(t TB) bool {
	t.Helper()
	version := testkit.Version(t) / 10000
	if 0 < version && version < r.minVersion {
		t.Skipf("pgdbmtest: needs PostgreSQL %d, the server is %d", r.minVersion, version)
	}
	return version >= r.minVersion
}

func (h *home) connect(ctx context.Context) (err error) {
	cfg := pgdbm.Config{Schema: h.recipe.schema()}
	if h.recipe.poolSize == 0 && h.recipe.role == "" {
		h.pool, err = pgdbm.Borrow(h.database.Lend(), cfg)
	} else {
		h.pool, err = pgdbm.Open(ctx, h.config())
	}
	if err != nil {
		return err
	}
	h.set, err = module.NewSet(h.pool, bare(h.recipe.mounted())...)
	return err
}

// config returns a configuration that opens the same database.
func (h *home) config() pgdbm.Config {
	cfg := pgdbm.Config{ConnString: h.database.ConnString(), Schema: h.recipe.schema(), MaxConns: h.recipe.poolSize}
	if h.recipe.role != "" {
		cfg.OnConnect = []string{"set role " + pgx.Identifier{h.recipe.role}.Sanitize()}
	}
	return cfg
}

// expose notes that the test has the means to work past the pool that is closed
// at its end.
func (h *home) expose() { h.database.Pool() }

// endWith ends the database with its test, before testkit does.
func (h *home) endWith(t TB) {
	t.Cleanup(func() {
		t.Helper() // a report points at the fixture's call
		h.end(t)
	})
}

// end closes the pool: what outlives the test gets errors, not the next test's
// database. Connections that were not given back the database reports.
func (h *home) end(t TB) {
	t.Helper()
	h.over.Store(true)
	if h.pool != nil {
		ctx, cancel := background()
		defer cancel()
		ctx, cancel = context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		_ = h.pool.Close(ctx)
	}
	if h.recipe.keepFailed && t.Failed() {
		h.database.Keep()
	}
}

// db returns the DB of a schema.
func (h *home) db(t TB, schema string) *DB {
	t.Helper()
	m, err := bind(h.pool, h.set, schema)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	return newDB(t, h, m)
}
