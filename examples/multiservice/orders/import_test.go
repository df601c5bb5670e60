package orders_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/orders"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func day(y int, m time.Month, d int) pgtype.Date {
	return pgtype.Date{Time: time.Date(y, m, d, 0, 0, 0, 0, time.UTC), Valid: true}
}

// history is an order of long ago, with more than there is in stock now.
func history() orders.Order {
	return orders.Order{
		ID: 10248, Customer: "ACME", OrderedOn: day(1996, 7, 4), ShipCountry: "France", Freight: "32.38",
		Lines: []orders.Line{
			{Product: 2, Quantity: 10, Price: "9.80", Discount: "0.15"},
			{Product: 1, Quantity: 12, Price: "14.00", Discount: "0.00"},
		},
	}
}

// importOrder imports in a transaction.
func (s shop) importOrder(t *testing.T, o orders.Order) (created bool, err error) {
	t.Helper()
	err = s.db.InTx(t.Context(), func(tx *pgdbm.Tx) (err error) {
		created, err = s.orders.In(tx).Import(t.Context(), o)
		return err
	})
	return created, err
}

func TestImportKeepsHistory(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, isNew := range []bool{true, false} {
		created, err := s.importOrder(t, history())
		check.NoError(t, err)
		check.Equal(t, created, isNew)
	}
	got, err := s.orders.Get(t.Context(), 10248)
	check.NoError(t, err)
	check.Equal(t, got.OrderedOn, day(1996, 7, 4))
	check.Equal(t, got.Lines[1], orders.Line{Order: 10248, Product: 2, Quantity: 10, Price: "9.80", Discount: "0.15", Amount: "83.3000"})
	p, err := s.inventory.Get(t.Context(), 1)
	check.NoError(t, err)
	check.Equal(t, p.InStock, 5) // nothing was taken
	pending, err := s.notifications.Pending().Exists(t.Context())
	check.NoError(t, err)
	check.Equal(t, pending, false)
}

func TestNewOrdersFollowTheImported(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, err := s.importOrder(t, history())
	check.NoError(t, err)
	check.NoError(t, s.orders.AdvanceIDs(t.Context()))
	placed, err := s.orders.Place(t.Context(), request(item(1, 1)))
	check.NoError(t, err)
	check.Equal(t, placed.ID, int64(10249))
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, err := s.importOrder(t, history())
	check.NoError(t, err)
	for _, test := range []struct {
		want   string
		class  error
		change func(*orders.Order)
	}{
		{"order 10248 is here already, with other data", pgdbm.ErrConflict, func(o *orders.Order) { o.Freight = "1.00" }},
		{"with other data", pgdbm.ErrConflict, func(o *orders.Order) { o.Lines[0].Quantity++ }},
		{"with other data", pgdbm.ErrConflict, func(o *orders.Order) { o.ShippedOn = day(1996, 7, 5) }},
		{`there is no customer "NOBODY"`, pgdbm.ErrReference, func(o *orders.Order) { o.ID, o.Customer = 1, "NOBODY" }},
		{"there is no product 3", pgdbm.ErrReference, func(o *orders.Order) { o.ID, o.Lines[0].Product = 1, 3 }},
		{"id 0 is not positive", pgdbm.ErrInvalid, func(o *orders.Order) { o.ID = 0 }},
		{"shipped_on is before ordered_on", pgdbm.ErrInvalid, func(o *orders.Order) { o.ID, o.ShippedOn = 1, day(1996, 7, 3) }},
		{"infinity is not a day", pgdbm.ErrInvalid, func(o *orders.Order) { o.ID, o.OrderedOn.InfinityModifier = 1, pgtype.Infinity }},
		{"ship_country is empty", pgdbm.ErrInvalid, func(o *orders.Order) { o.ID, o.ShipCountry = 1, "" }},
	} {
		o := history()
		test.change(&o)
		_, err := s.importOrder(t, o)
		check.ErrorIs(t, err, test.class)
		check.ErrorContains(t, err, test.want)
	}
}

func TestReportIsExact(t *testing.T) {
	t.Parallel()
	s := setup(t)
	empty, err := s.orders.Report(t.Context())
	check.NoError(t, err)
	check.Equal(t, empty.Totals, orders.Totals{Customers: 1, Products: 2, Revenue: "0.00"})

	for i := range int64(3) { // 3 × 0.10 × (1 − 0.05) three times: 0.855, which no float adds up to
		o := history()
		o.ID = 1 + i
		o.Lines = []orders.Line{{Product: 1, Quantity: 3, Price: "0.10", Discount: "0.05"}}
		_, err := s.importOrder(t, o)
		check.NoError(t, err)
	}
	got, err := s.orders.Report(t.Context())
	check.NoError(t, err)
	check.Equal(t, got, orders.Report{
		Totals:    orders.Totals{Customers: 1, Products: 2, Orders: 3, Lines: 3, Units: 9, Revenue: "0.8550"},
		Countries: []orders.CountryOrders{{Country: "France", Orders: 3}},
		Customers: []orders.CustomerSales{{ID: "ACME", Revenue: "0.8550"}},
	})
}
