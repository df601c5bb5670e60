package customers_test

import (
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/customers"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

var acme = customers.Customer{ID: "ACME", Company: "Acme", Contact: "Wile E.", City: "Tucson", Country: "USA", Phone: "1"}

// setup returns a store on a database of the test's own.
func setup(t *testing.T) *customers.Store {
	t.Helper()
	store, err := customers.NewStore(pgdbmtest.New(t, pgdbmtest.WithModules(customers.Module)))
	check.NoError(t, err)
	return store
}

func TestMigrationsHaveNoFindings(t *testing.T) {
	t.Parallel()
	source, err := migrations.Load(customers.Module.Migrations, migrations.LoadOptions{})
	check.NoError(t, err)
	check.Equal(t, len(source.Lint()), 0)
}

func TestCreateAndGet(t *testing.T) {
	t.Parallel()
	store := setup(t)
	created, err := store.Create(t.Context(), acme)
	check.NoError(t, err)
	check.Equal(t, created, acme)
	got, err := store.Get(t.Context(), "ACME")
	check.NoError(t, err)
	check.Equal(t, got, acme)

	_, err = store.Create(t.Context(), acme)
	check.ErrorIs(t, err, pgdbm.ErrConflict)
	check.ErrorContains(t, err, `there is a customer "ACME" already`)
	_, err = store.Get(t.Context(), "NOBODY")
	check.ErrorIs(t, err, pgdbm.ErrNotFound)
	check.ErrorContains(t, err, `customer "NOBODY"`)
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	store := setup(t)
	for want, change := range map[string]func(*customers.Customer){
		`id "acme"`:        func(c *customers.Customer) { c.ID = "acme" },
		`id ""`:            func(c *customers.Customer) { c.ID = "" },
		"company is empty": func(c *customers.Customer) { c.Company = "" },
		"country is empty": func(c *customers.Customer) { c.Country = "" },
	} {
		c := acme
		change(&c)
		_, err := store.Create(t.Context(), c)
		check.ErrorIs(t, err, pgdbm.ErrInvalid)
		check.ErrorContains(t, err, want)
	}
}

func TestImportLeavesWhatIsThere(t *testing.T) {
	t.Parallel()
	tx := pgdbmtest.NewTx(t, pgdbmtest.WithModules(customers.Module)) // where imports run
	store, err := customers.NewStore(tx)
	check.NoError(t, err)
	for _, isNew := range []bool{true, false} {
		created, err := store.Import(t.Context(), acme)
		check.NoError(t, err)
		check.Equal(t, created, isNew)
	}
	before := tx.Snapshot("customers", "id")
	moved := acme
	moved.City = "Phoenix"
	_, err = store.Import(t.Context(), moved)
	check.ErrorIs(t, err, pgdbm.ErrConflict)
	check.ErrorContains(t, err, `customer "ACME" is here already, with other data`)
	before.RequireUnchanged()
}
