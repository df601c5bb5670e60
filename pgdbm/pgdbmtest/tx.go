package pgdbmtest

import (
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Tx is a transaction that is rolled back when its test ends, with the helpers of
// a [DB]. It cannot be committed: Commit and Rollback return an error. InTx and
// Begin on it are savepoints. It belongs to the test's goroutine.
//
// Where code takes a *pgdbm.Tx, as the In methods of stores do, give it the field
// Tx.
type Tx struct {
	*pgdbm.Tx
	checks
}

var _ pgdbm.DB = (*Tx)(nil)

// NewTx begins a transaction on a database as [New] makes it. What the test does
// in it leaves nothing behind, not even for other connections of the same test.
//
// A statement that fails aborts the transaction, as everywhere: expect errors in
// an InTx. To test what happens on commit, deferred constraints or several
// connections, use New, which is as fast.
func NewTx(t TB, opts ...Option) *Tx {
	t.Helper()
	h := open(t, opts)
	if h == nil {
		return nil
	}
	m, err := bind(h.pool, h.set, h.recipe.schema())
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	ctx, cancel := background()
	defer cancel()
	tx, err := h.pool.Pgx().Begin(ctx)
	if err != nil {
		t.Fatalf("pgdbmtest: begin: %v", pgdbm.Classify(err))
		return nil
	}
	t.Cleanup(func() {
		h.over.Store(true)
		ctx, cancel := background()
		defer cancel()
		_ = tx.Rollback(ctx) // a connection that cannot roll back is closed
	})
	return newTx(t, h, m.Adopt(tx))
}

func newTx(t TB, h *home, tx *pgdbm.Tx) *Tx {
	return &Tx{Tx: tx, checks: checks{t: t, home: h, db: tx}}
}

// For returns the same transaction with helpers that end another test, such as a
// sub-test.
func (tx *Tx) For(t TB) *Tx { return newTx(t, tx.home, tx.Tx) }

// InSchema returns another schema, which must exist, in the same transaction.
// The schema of a module is bound as [WithModules] says.
func (tx *Tx) InSchema(name string) *Tx {
	tx.t.Helper()
	m, err := bind(tx.home.pool, tx.home.set, name)
	if err != nil {
		tx.t.Fatalf("%v", err)
		return nil
	}
	other, _ := m.In(tx.Tx).(*pgdbm.Tx) // what a manager's In returns
	return newTx(tx.t, tx.home, other)
}
