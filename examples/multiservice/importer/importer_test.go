package importer_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/customers"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/importer"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/notifications"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/orders"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

// shop is a migrated database, bound to orders.
var shop = pgdbmtest.WithModules(orders.Module)

// setup returns an importer, and the orders that it imports, on a database of
// the test's own.
func setup(t *testing.T) (*importer.Importer, *orders.Store) {
	t.Helper()
	return setupOn(t, pgdbmtest.New(t, shop))
}

func setupOn(t *testing.T, db *pgdbmtest.DB) (*importer.Importer, *orders.Store) {
	t.Helper()
	c, err := customers.NewStore(db.InSchema("customers"))
	check.NoError(t, err)
	i, err := inventory.NewStore(db.InSchema("inventory"))
	check.NoError(t, err)
	n, err := notifications.NewStore(db.InSchema("notifications"))
	check.NoError(t, err)
	o, err := orders.NewStore(db, c, i, n)
	check.NoError(t, err)
	return importer.New(db.Manager, c, i, o), o
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("%s is not there", path)
	}
	check.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func TestImport(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]struct {
		lines  int
		report orders.Report
	}{
		"../testdata/shop.ndjson": {8, orders.Report{
			Totals:    orders.Totals{Customers: 3, Products: 2, Orders: 3, Lines: 4, Units: 7, Revenue: "178.5650"},
			Countries: []orders.CountryOrders{{Country: "Germany", Orders: 2}, {Country: "USA", Orders: 1}},
			Customers: []orders.CustomerSales{{ID: "ACME", Revenue: "89.2850"}, {ID: "BLAU1", Revenue: "89.2800"}},
		}},
		"../../../../shared/data/northwind.ndjson": {998, orders.Report{ // lies beside the checkout
			Totals:    orders.Totals{Customers: 91, Products: 77, Orders: 830, Lines: 2155, Units: 51317, Revenue: "1265793.0395"},
			Countries: []orders.CountryOrders{{Country: "Germany", Orders: 122}, {Country: "USA", Orders: 122}, {Country: "Brazil", Orders: 83}},
			Customers: []orders.CustomerSales{{ID: "QUICK", Revenue: "110277.3050"}, {ID: "ERNSH", Revenue: "104874.9785"}, {ID: "SAVEA", Revenue: "104361.9500"}},
		}},
	} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			file := open(t, path)
			im, store := setup(t)
			for _, created := range []int{want.lines, 0} { // the second time everything is there
				_, err := file.Seek(0, io.SeekStart)
				check.NoError(t, err)
				var last importer.Progress
				done, err := im.Run(t.Context(), file.Name(), file, func(p importer.Progress) { last = p })
				check.NoError(t, err)
				info, err := file.Stat()
				check.NoError(t, err)
				check.Equal(t, done, importer.Progress{Lines: want.lines, Bytes: info.Size(), Created: created})
				check.Equal(t, last, done)
				report, err := store.Report(t.Context())
				check.NoError(t, err)
				check.Equal(t, report, want.report)
			}
			top := map[int]int64{8: 504, 998: 11078}[want.lines]
			placed, err := store.Place(t.Context(), orders.Request{Customer: want.report.Customers[0].ID, Lines: []inventory.Item{{Product: 11, Quantity: 1}}})
			check.NoError(t, err)
			check.Equal(t, placed.ID, top)
		})
	}
}

const (
	customer = `{"kind": "customer", "id": "ACME", "company": "Acme", "contact": "", "city": "", "country": "USA", "phone": ""}`
	product  = `{"kind": "product", "id": 1, "name": "Anvil", "category": "", "unit": "", "price": "1.00", "in_stock": 0, "reorder_level": 0, "discontinued": false}`
	order    = `{"kind": "order", "id": 7, "customer": "ACME", "ordered_on": "1996-07-04", "shipped_on": null, "ship_country": "USA", "freight": "0.00", "lines": [{"product": 1, "quantity": 1, "price": "1.00", "discount": "0.00"}]}`
)

func TestMalformedLinesAreNamed(t *testing.T) {
	t.Parallel()
	im, store := setup(t)
	change := strings.NewReplacer
	other := strings.Replace(customer, "ACME", "ZETA", 1)
	rocket := strings.Replace(product, `"id": 1`, `"id": 2`, 1)
	for name, test := range map[string]struct{ line, want string }{
		"not JSON":            {`{"kind": "customer"`, "broken JSON at byte 19"},
		"two values":          {customer + customer, "broken JSON"},
		"not an object":       {`[1]`, "want object, not array"},
		"null":                {`null`, `field "kind" is missing`},
		"no kind":             {`{}`, `field "kind" is missing`},
		"kind of a number":    {`{"kind": 1}`, "want string, not number"},
		"unknown kind":        {`{"kind": "invoice"}`, `unknown kind "invoice"`},
		"unknown field":       {change(`"city"`, `"town": "", "city"`).Replace(other), `unknown field "town"`},
		"field of other case": {change(`"city"`, `"City"`).Replace(other), `field "city" is missing`},
		"missing field":       {change(`"city": "", `, ``).Replace(other), `field "city" is missing`},
		"null field":          {change(`"city": ""`, `"city": null`).Replace(other), `field "city" is null`},
		"wrong type":          {change(`"id": 2`, `"id": "2"`).Replace(rocket), `field "id": want whole number, not string`},
		"fraction":            {change(`"in_stock": 0`, `"in_stock": 0.5`).Replace(rocket), `field "in_stock": want whole number, not number 0.5`},
		"huge number":         {change(`"in_stock": 0`, `"in_stock": 3000000000`).Replace(rocket), "in_stock 3000000000"},
		"empty company":       {change(`"Acme"`, `""`).Replace(other), "company is empty"},
		"bad id":              {change(`"ZETA"`, `"ze ta"`).Replace(other), `id "ze ta"`},
		"id zero":             {change(`"id": 7`, `"id": 0`).Replace(order), "id 0 is not positive"},
		"price of a number":   {change(`"1.00"`, `1.00`).Replace(rocket), `field "price": not a decimal number in quotes`},
		"negative price":      {change(`"1.00"`, `"-1.00"`).Replace(rocket), `field "price": -1.00 is negative`},
		"fractions of cents":  {change(`"1.00"`, `"1.005"`).Replace(rocket), "more than 2 digits"},
		"bad date":            {change(`1996-07-04`, `1996-02-30`).Replace(order), `field "ordered_on": parsing time "1996-02-30"`},
		"shipped too early":   {change(`null`, `"1996-07-03"`).Replace(order), "shipped_on is before ordered_on"},
		"unknown customer":    {change(`"ACME"`, `"NOBODY"`).Replace(order), `there is no customer "NOBODY"`},
		"unknown product":     {change(`"product": 1`, `"product": 99`).Replace(order), "there is no product 99"},
		"no lines":            {change(`[`, `[], "x": [`).Replace(order), `unknown field "x"`},
		"empty lines":         {order[:strings.Index(order, "[")] + "[]}", "an order has lines"},
		"line of a number":    {order[:strings.Index(order, "[")] + "[1]}", `field "lines": line 1: want object, not number`},
		"negative quantity":   {change(`"quantity": 1`, `"quantity": -1`).Replace(order), "line 1: quantity -1"},
		"discount over 1":     {change(`"discount": "0.00"`, `"discount": "1.01"`).Replace(order), `field "lines": line 1: field "discount": 1.01 is not between 0 and 1`},
		"line without price":  {change(`"price": "1.00", `, ``).Replace(order), `line 1: field "price" is missing`},
		"product twice":       {change(`[`, `[{"product": 1, "quantity": 1, "price": "1.00", "discount": "0.00"}, `).Replace(order), "product 1 has two lines"},
		"duplicate":           {customer, `customer "ACME" is on line 1 already`},
		"not UTF-8":           {change(`"Acme"`, "\"\xff\"").Replace(other), "not UTF-8"},
		"NUL":                 {change(`"Acme"`, `"\u0000"`).Replace(other), "invalid value"},
		"too long":            {strings.Repeat(" ", 1<<20) + customer, "longer than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := customer + "\n" + product + "\n\n" + test.line + "\n" + order + "\nand so on"
			_, err := im.Run(t.Context(), "shop.ndjson", strings.NewReader(file), nil)
			check.ErrorContains(t, err, "shop.ndjson:4: ", test.want)
		})
	}
	t.Cleanup(func() { // the sub-tests have ended: each was one batch, of which nothing is stored
		report, err := store.Report(context.WithoutCancel(t.Context()))
		check.NoError(t, err)
		check.Equal(t, report.Totals, orders.Totals{Revenue: "0.00"})
	})
}

func TestOnlyTheBatchOfAMistakeIsUndone(t *testing.T) {
	t.Parallel()
	im, store := setup(t)
	var file strings.Builder
	for i := range 250 {
		id := "C" + strings.Repeat("X", i%10) + string(rune('A'+i/10))
		file.WriteString(strings.Replace(customer, "ACME", id, 1) + "\n")
	}
	file.WriteString(strings.Replace(order, "ACME", "NOBODY", 1))
	done, err := im.Run(t.Context(), "shop.ndjson", strings.NewReader(file.String()), nil)
	check.ErrorContains(t, err, `shop.ndjson:251: broken reference: there is no customer "NOBODY"`)
	check.ErrorIs(t, err, pgdbm.ErrReference)
	check.Equal(t, done.Lines, 200)
	report, err := store.Report(t.Context())
	check.NoError(t, err)
	check.Equal(t, report.Totals.Customers, int64(200))
}

func TestAnImportThatWasInterruptedGoesOn(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile("../testdata/shop.ndjson")
	check.NoError(t, err)
	part := whole[:strings.LastIndex(string(whole), "order")] // a broken line

	shops := pgdbmtest.NewFactory(t, shop)
	atOnce, want := setupOn(t, shops.Create("at once"))
	inTwo, got := setupOn(t, shops.Create("in two"))
	_, err = inTwo.Run(t.Context(), "part", strings.NewReader(string(part)), nil)
	check.ErrorContains(t, err, "broken JSON")
	for _, im := range []*importer.Importer{atOnce, inTwo} {
		_, err = im.Run(t.Context(), "whole", strings.NewReader(string(whole)), nil)
		check.NoError(t, err)
	}
	reports := make([]orders.Report, 2)
	for i, store := range []*orders.Store{want, got} {
		reports[i], err = store.Report(t.Context())
		check.NoError(t, err)
	}
	check.Equal(t, reports[1], reports[0])
}

func TestChangedRowsAreRefused(t *testing.T) {
	t.Parallel()
	im, _ := setup(t)
	_, err := im.Run(t.Context(), "a", strings.NewReader(customer), nil)
	check.NoError(t, err)
	_, err = im.Run(t.Context(), "b", strings.NewReader(strings.Replace(customer, "USA", "Peru", 1)), nil)
	check.ErrorIs(t, err, pgdbm.ErrConflict)
	check.ErrorContains(t, err, `b:1: conflict: customer "ACME" is here already, with other data`)
}
