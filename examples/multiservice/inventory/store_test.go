package inventory_test

import (
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

var anvil = inventory.Product{Name: "Anvil", Category: "Tools", Unit: "1 piece", Price: "99.50", InStock: 2, ReorderLevel: 1}

// setup returns a store on a database of the test's own.
func setup(t *testing.T) *inventory.Store {
	t.Helper()
	store, err := inventory.NewStore(pgdbmtest.New(t, pgdbmtest.WithModules(inventory.Module)))
	check.NoError(t, err)
	return store
}

func create(t *testing.T, store *inventory.Store, p inventory.Product) inventory.Product {
	t.Helper()
	p, err := store.Create(t.Context(), p)
	check.NoError(t, err)
	return p
}

func TestMigrationsHaveNoFindings(t *testing.T) {
	t.Parallel()
	source, err := migrations.Load(inventory.Module.Migrations, migrations.LoadOptions{})
	check.NoError(t, err)
	check.Equal(t, len(source.Lint()), 0)
}

func TestCreateAndGet(t *testing.T) {
	t.Parallel()
	store := setup(t)
	p := create(t, store, anvil)
	want := anvil
	want.ID = 1
	check.Equal(t, p, want)
	got, err := store.Get(t.Context(), 1)
	check.NoError(t, err)
	check.Equal(t, got, want)
	_, err = store.Get(t.Context(), 2)
	check.ErrorIs(t, err, pgdbm.ErrNotFound)
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	store := setup(t)
	for want, change := range map[string]func(*inventory.Product){
		"not for the client to choose": func(p *inventory.Product) { p.ID = 7 },
		"name is empty":                func(p *inventory.Product) { p.Name = "" },
		"price is missing":             func(p *inventory.Product) { p.Price = "" },
		"in_stock -1":                  func(p *inventory.Product) { p.InStock = -1 },
		"reorder_level 4294967296":     func(p *inventory.Product) { p.ReorderLevel = 1 << 32 },
	} {
		p := anvil
		change(&p)
		_, err := store.Create(t.Context(), p)
		check.ErrorIs(t, err, pgdbm.ErrInvalid)
		check.ErrorContains(t, err, want)
	}
}

func TestImportKeepsTheStockThatIsThere(t *testing.T) {
	t.Parallel()
	store := setup(t)
	p := anvil
	p.ID = 40
	created, err := store.Import(t.Context(), p)
	check.NoError(t, err)
	check.Equal(t, created, true)
	_, err = store.Adjust(t.Context(), 40, -1)
	check.NoError(t, err)

	created, err = store.Import(t.Context(), p)
	check.NoError(t, err)
	check.Equal(t, created, false)
	got, err := store.Get(t.Context(), 40)
	check.NoError(t, err)
	check.Equal(t, got.InStock, 1)

	p.Price = "1.00"
	_, err = store.Import(t.Context(), p)
	check.ErrorIs(t, err, pgdbm.ErrConflict)
}

func TestAdvanceIDs(t *testing.T) {
	t.Parallel()
	store := setup(t)
	check.NoError(t, store.AdvanceIDs(t.Context())) // of no product
	p := anvil
	for _, id := range []int64{1, 40, 7} {
		p.ID = id
		_, err := store.Import(t.Context(), p)
		check.NoError(t, err)
		check.NoError(t, store.AdvanceIDs(t.Context()))
	}
	check.Equal(t, create(t, store, anvil).ID, int64(41))
	check.NoError(t, store.AdvanceIDs(t.Context())) // never back
	check.Equal(t, create(t, store, anvil).ID, int64(42))
}
