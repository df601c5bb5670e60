package pgdbmtest

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

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
	lent     *pgxpool.Pool // nil: the pool is the test's own
	set      *module.Set   // for managers only: its modules have no migrations
	keep     bool          // whatever becomes of the test
}

// open makes a test's database. It returns nil when the test has been told to
// end and goes on nevertheless.
func open(t TB, opts []Option) *home {
	t.Helper()
	h := create(t, opts)
	if h == nil {
		return nil
	}
	ctx, cancel := background(t)
	defer cancel()
	t.Cleanup(func() { h.end(t) }) // before the database's own
	if err := h.connect(ctx); err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	return h
}

// create makes the database alone.
func create(t TB, opts []Option) *home {
	t.Helper()
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
	empty := testkit.New(t, testkit.Template{})
	if empty == nil {
		return false
	}
	ctx, cancel := background(t)
	defer cancel()
	var version int
	err := empty.Lend().QueryRow(ctx, "select current_setting('server_version_num')::int", pgx.QueryExecModeExec).Scan(&version)
	if err != nil {
		t.Fatalf("pgdbmtest: MinVersion: %v", err)
		return false
	}
	if version/10000 < r.minVersion {
		t.Skipf("pgdbmtest: needs PostgreSQL %d, the server is %d", r.minVersion, version/10000)
		return false
	}
	return true
}

func (h *home) connect(ctx context.Context) (err error) {
	cfg := pgdbm.Config{Schema: h.recipe.schema()}
	if h.recipe.poolSize == 0 && h.recipe.role == "" {
		h.lent = h.database.Lend()
		h.pool, err = pgdbm.Borrow(h.lent, cfg)
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

// end closes the pool: what outlives the test gets errors, not the next test's
// database. Connections that were not given back the database reports.
func (h *home) end(t TB) {
	t.Helper()
	ctx, cancel := background(t)
	defer cancel()
	if h.pool != nil {
		bounded, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		_ = h.pool.Close(bounded)
		h.settle(bounded)
	}
	if h.keep || h.recipe.keepFailed && t.Failed() {
		h.save(ctx, t)
	}
}

// settle waits for connections of a lent pool that somebody is just opening. They
// count as nobody's until they are open, and then would be the next test's.
func (h *home) settle(ctx context.Context) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for h.lent != nil && h.lent.Stat().ConstructingConns() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
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
	return &DB{Manager: m, t: t, home: h}
}
