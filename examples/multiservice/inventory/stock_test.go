package inventory_test

import (
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func item(product int64, quantity int) inventory.Item {
	return inventory.Item{Product: product, Quantity: quantity}
}

func TestAdjust(t *testing.T) {
	t.Parallel()
	_, store := setup(t)
	p := create(t, store, anvil)
	for _, step := range []struct{ delta, left int }{{+3, 5}, {-5, 0}, {+1, 1}} {
		got, err := store.Adjust(t.Context(), p.ID, step.delta)
		testkit.NoError(t, err)
		testkit.Equal(t, got.InStock, step.left)
	}
	_, err := store.Adjust(t.Context(), p.ID, -2)
	testkit.ErrorIs(t, err, inventory.ErrSoldOut)
	testkit.ErrorIs(t, err, pgdbm.ErrConflict)
	testkit.ErrorContains(t, err, "product 1 (Anvil): 2 wanted, 1 left")
	_, err = store.Adjust(t.Context(), p.ID, 1<<31-1)
	testkit.ErrorIs(t, err, pgdbm.ErrInvalid) // beyond what the column holds
	_, err = store.Adjust(t.Context(), 99, 1)
	testkit.ErrorIs(t, err, pgdbm.ErrNotFound)
}

func TestTakeIsAllOrNothing(t *testing.T) {
	t.Parallel()
	db, store := setup(t)
	gone := anvil
	gone.Discontinued = true
	a, b, c := create(t, store, anvil), create(t, store, anvil), create(t, store, gone)
	take := func(items ...inventory.Item) error {
		return db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			_, err := store.In(tx).Take(t.Context(), items)
			return err
		})
	}
	testkit.ErrorIs(t, take(item(a.ID, 1), item(b.ID, 3)), inventory.ErrSoldOut)
	testkit.ErrorIs(t, take(item(a.ID, 1), item(99, 1)), pgdbm.ErrReference)
	testkit.ErrorContains(t, take(item(a.ID, 1), item(c.ID, 1)), "discontinued")
	testkit.NoError(t, take(item(b.ID, 1), item(a.ID, 2)))
	for id, left := range map[int64]int{a.ID: 0, b.ID: 1, c.ID: 2} {
		p, err := store.Get(t.Context(), id)
		testkit.NoError(t, err)
		testkit.Equal(t, p.InStock, left)
	}
}

func TestTakeWantsATransaction(t *testing.T) {
	t.Parallel()
	_, store := setup(t)
	_, err := store.Take(t.Context(), []inventory.Item{item(1, 1)})
	testkit.ErrorContains(t, err, "ForUpdate outside of a transaction")
}
