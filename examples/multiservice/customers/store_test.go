package customers_test

import (
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/customers"
	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

var acme = customers.Customer{ID: "ACME", Company: "Acme", Contact: "Wile E.", City: "Tucson", Country: "USA", Phone: "1"}

// setup returns a store on a database of the test's own.
func setup(t *testing.T) (pgdbm.DB, *customers.Store) {
	t.Helper()
	db := pgdbmtest.NewSet(t, customers.Module).Manager(customers.Module)
	store, err := customers.NewStore(db)
	testkit.NoError(t, err)
	return db, store
}

func TestMigrationsHaveNoFindings(t *testing.T) {
	t.Parallel()
	source, err := migrations.Load(customers.Module.Migrations, migrations.LoadOptions{})
	testkit.NoError(t, err)
	testkit.Equal(t, len(source.Lint()), 0)
}

func TestCreateAndGet(t *testing.T) {
	t.Parallel()
	_, store := setup(t)
	created, err := store.Create(t.Context(), acme)
	testkit.NoError(t, err)
	testkit.Equal(t, created, acme)
	got, err := store.Get(t.Context(), "ACME")
	testkit.NoError(t, err)
	testkit.Equal(t, got, acme)

	_, err = store.Create(t.Context(), acme)
	testkit.ErrorIs(t, err, pgdbm.ErrConflict)
	testkit.ErrorContains(t, err, `there is a customer "ACME" already`)
	_, err = store.Get(t.Context(), "NOBODY")
	testkit.ErrorIs(t, err, pgdbm.ErrNotFound)
	testkit.ErrorContains(t, err, `customer "NOBODY"`)
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	_, store := setup(t)
	for want, change := range map[string]func(*customers.Customer){
		`id "acme"`:        func(c *customers.Customer) { c.ID = "acme" },
		`id ""`:            func(c *customers.Customer) { c.ID = "" },
		"company is empty": func(c *customers.Customer) { c.Company = "" },
		"country is empty": func(c *customers.Customer) { c.Country = "" },
	} {
		c := acme
		change(&c)
		_, err := store.Create(t.Context(), c)
		testkit.ErrorIs(t, err, pgdbm.ErrInvalid)
		testkit.ErrorContains(t, err, want)
	}
}

func TestImportLeavesWhatIsThere(t *testing.T) {
	t.Parallel()
	db, store := setup(t)
	err := db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		store := store.In(tx)
		for _, isNew := range []bool{true, false} {
			created, err := store.Import(t.Context(), acme)
			testkit.NoError(t, err)
			testkit.Equal(t, created, isNew)
		}
		moved := acme
		moved.City = "Phoenix"
		_, err := store.Import(t.Context(), moved)
		testkit.ErrorIs(t, err, pgdbm.ErrConflict)
		testkit.ErrorContains(t, err, `customer "ACME" is here already, with other data`)
		return nil
	})
	testkit.NoError(t, err)
	got, err := store.Get(t.Context(), "ACME")
	testkit.NoError(t, err)
	testkit.Equal(t, got, acme)
}

func TestPagesFollowEachOther(t *testing.T) {
	t.Parallel()
	_, store := setup(t)
	for _, id := range []string{"C3", "A1", "B2"} {
		_, err := store.Create(t.Context(), customers.Customer{ID: id, Company: "x", Country: "y"})
		testkit.NoError(t, err)
	}
	first, err := store.Page(t.Context(), 2, "")
	testkit.NoError(t, err)
	second, err := store.Page(t.Context(), 2, first.Next)
	testkit.NoError(t, err)
	var ids []string
	for _, c := range append(first.Rows, second.Rows...) {
		ids = append(ids, c.ID)
	}
	testkit.Equal(t, ids, []string{"A1", "B2", "C3"})
	testkit.Equal(t, second.Next, "")
}
