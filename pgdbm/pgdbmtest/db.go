package pgdbmtest

import (
	"slices"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// DB is a test's own database, bound to a schema. It is a pgdbm.DB, so it can be
// given to every constructor that takes one, with helpers that end the test
// when they fail. It is safe for concurrent use; the helpers, which may end the
// test, belong to the test's goroutine.
//
// Helpers name a table as SQL does in {{tables.…}}: "users", or
// "billing.invoices" in another module's schema.
type DB struct {
	*pgdbm.Manager
	checks
}

var _ pgdbm.DB = (*DB)(nil)

// New returns a database for this test alone, as the options describe it. It is
// there until the test's Cleanup functions have run that were registered after
// it was made; from then on every statement fails with pgdbm.ErrUnavailable, so a
// goroutine that outlives its test cannot reach into another one's.
//
// The test ends at once when a migration or a setup fails; the message has
// file and position.
func New(t TB, opts ...Option) *DB {
	t.Helper()
	h := open(t, opts)
	if h == nil {
		return nil
	}
	return h.db(t, h.recipe.schema())
}

// newDB returns a manager with the helpers of a DB.
func newDB(t TB, h *home, m *pgdbm.Manager) *DB {
	return &DB{Manager: m, checks: checks{t: t, home: h, db: m}}
}

// For returns the same database with helpers that end another test: a sub-test
// that uses the database of its parent, or one input of a fuzz test that uses the
// database of all.
//
//	db := pgdbmtest.New(t, pgdbmtest.WithModules(users.Module))
//	t.Run("empty", func(t *testing.T) {
//		if db.For(t).Count("users") > 0 { … }
//	})
func (db *DB) For(t TB) *DB { return newDB(t, db.home, db.Manager) }

// InSchema returns the same database bound to another schema, which is created
// if it is missing. The schema of a module is bound as [WithModules] says.
func (db *DB) InSchema(name string) *DB {
	db.t.Helper()
	other := db.home.db(db.t, name)
	if other == nil {
		return nil
	}
	ctx, cancel := background()
	defer cancel()
	if err := other.EnsureSchema(ctx); err != nil {
		db.fail("InSchema", err)
		return nil
	}
	return other
}

// TableExists reports whether there is a table (or view, or partitioned or
// foreign table) of that name.
func (db *DB) TableExists(table string) bool { // not the manager's
	db.t.Helper()
	return db.checks.TableExists(table)
}

// Name returns the name of the database.
func (db *DB) Name() string { return db.home.database.Name() }

// URL returns the address of the database, for code that connects by itself and
// closes what it opens. A connection that is still open at the end of the test
// is reported. Who uses it is the user that migrates, whatever [WithRole] says;
// [DB.Config] has the role.
func (db *DB) URL() string { return db.home.database.ConnString() }

// Config returns a configuration that opens the same database, with the same
// schema bound: for pgdbm.Open and module.Open.
func (db *DB) Config() pgdbm.Config {
	cfg := db.home.config()
	cfg.Schema = db.Schema()
	return cfg
}

// Pool returns the pool that the test's statements run on. It is closed at the
// end of the test.
func (db *DB) Pool() *pgdbm.Pool {
	db.home.expose() // Pool().Pgx() would outlive that
	return db.home.pool
}

// Keep keeps the database for you when the test ends, however it ends, and logs
// the psql command that opens it.
func (db *DB) Keep() { db.home.database.Keep() }

// URL returns the address of a database as [New] makes it, for code that
// connects by itself and closes what it opens. A connection that is still open at
// the end of the test is reported. An address has no pool size, and no role: with
// [WithRole] the test ends, for it would test nothing.
func URL(t TB, opts ...Option) string {
	t.Helper()
	h := create(t, append(slices.Clip(opts), roleless))
	if h == nil {
		return ""
	}
	h.endWith(t)
	return h.database.ConnString()
}

func roleless(r *recipe) {
	if r.role != "" {
		r.wrong("URL: an address does not say WithRole(%q): use New, and Config for code that opens pools", r.role)
	}
}
