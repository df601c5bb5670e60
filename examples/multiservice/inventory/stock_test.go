package inventory_test

import (
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func item(product int64, quantity int) inventory.Item {
	return inventory.Item{Product: product, Quantity: quantity}
}

func TestAdjust(t *testing.T) {
	t.Parallel()
	store := setup(t)
	p := create(t, store, anvil)
	for _, step := range []struct{ delta, left int }{{+3, 5}, {-5, 0}, {+1, 1}} {
		got, err := store.Adjust(t.Context(), p.ID, step.delta)
		check.NoError(t, err)
		check.Equal(t, got.InStock, step.left)
	}
	_, err := store.Adjust(t.Context(), p.ID, -2)
	check.ErrorIs(t, err, inventory.ErrSoldOut)
	check.ErrorIs(t, err, pgdbm.ErrConflict)
	check.ErrorContains(t, err, "product 1 (Anvil): 2 wanted, 1 left")
	_, err = store.Adjust(t.Context(), p.ID, 1<<31-1)
	check.ErrorIs(t, err, pgdbm.ErrInvalid) // beyond what the column holds
	_, err = store.Adjust(t.Context(), 99, 1)
	check.ErrorIs(t, err, pgdbm.ErrNotFound)
}

func TestTakeIsAllOrNothing(t *testing.T) {
	t.Parallel()
	tx := pgdbmtest.NewTx(t, pgdbmtest.WithModules(inventory.Module)) // of the order
	store, err := inventory.NewStore(tx)
	check.NoError(t, err)
	gone := anvil
	gone.Discontinued = true
	a, b, c := create(t, store, anvil), create(t, store, anvil), create(t, store, gone)
	take := func(items ...inventory.Item) error {
		_, err := store.Take(t.Context(), items)
		return err
	}
	before := tx.Snapshot("products", "id")
	check.ErrorIs(t, take(item(a.ID, 1), item(b.ID, 3)), inventory.ErrSoldOut)
	check.ErrorIs(t, take(item(a.ID, 1), item(99, 1)), pgdbm.ErrReference)
	check.ErrorContains(t, take(item(a.ID, 1), item(c.ID, 1)), "discontinued")
	before.RequireUnchanged()

	check.NoError(t, take(item(b.ID, 1), item(a.ID, 2)))
	for id, left := range map[int64]int{a.ID: 0, b.ID: 1, c.ID: 2} {
		check.Equal(t, tx.Count("products", "id = $1 and in_stock = $2", id, left), 1)
	}
}

func TestTakeWantsATransaction(t *testing.T) {
	t.Parallel()
	store := setup(t)
	_, err := store.Take(t.Context(), []inventory.Item{item(1, 1)})
	check.ErrorContains(t, err, "ForUpdate outside of a transaction")
}
