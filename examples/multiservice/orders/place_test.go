package orders_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/orders"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func TestMigrationsHaveNoFindings(t *testing.T) {
	t.Parallel()
	source, err := migrations.Load(orders.Module.Migrations, migrations.LoadOptions{})
	check.NoError(t, err)
	check.Equal(t, len(source.Lint()), 0)
}

func TestPlace(t *testing.T) {
	t.Parallel()
	s := setup(t)
	placed, err := s.orders.Place(t.Context(), request(item(2, 3), item(1, 1)))
	check.NoError(t, err)
	check.Equal(t, placed.Lines, []orders.Line{
		{Order: 1, Product: 2, Quantity: 3, Price: "10.00", Discount: "0.00", Amount: "30.0000"},
		{Order: 1, Product: 1, Quantity: 1, Price: "10.00", Discount: "0.00", Amount: "10.0000"},
	})
	if !placed.OrderedOn.Valid || time.Since(placed.OrderedOn.Time) > 48*time.Hour || placed.ShippedOn.Valid {
		t.Errorf("ordered on %v, shipped on %v", placed.OrderedOn, placed.ShippedOn)
	}
	check.Equal(t, placed.ShipCountry, "USA")
	s.wantState(t, map[int64]int{1: 4, 2: 2}, 1)

	got, err := s.orders.Get(t.Context(), placed.ID)
	check.NoError(t, err)
	placed.Lines[0], placed.Lines[1] = placed.Lines[1], placed.Lines[0] // by product
	check.Equal(t, got, placed)
	pending, err := s.notifications.Pending().One(t.Context())
	check.NoError(t, err)
	check.Equal(t, pending.Recipient+": "+pending.Message, "ACME: We have your order 1.")
}

func TestRefusedOrdersChangeNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	var before []*pgdbmtest.Snapshot
	for _, table := range []string{"orders", "lines", "inventory.products", "notifications.notifications"} {
		before = append(before, s.db.Snapshot(table, ""))
	}
	nobody := request(item(1, 1))
	nobody.Customer = "NOBODY"
	for _, test := range []struct {
		request orders.Request
		class   error
		message string
	}{
		{request(item(1, 1), item(2, 6)), inventory.ErrSoldOut, "conflict: sold out: product 2 (Rocket): 6 wanted, 5 left"},
		{request(item(1, 1), item(3, 1)), pgdbm.ErrReference, "there is no product 3"},
		{nobody, pgdbm.ErrReference, `there is no customer "NOBODY"`},
		{request(), pgdbm.ErrInvalid, "an order has lines"},
		{request(item(1, 0)), pgdbm.ErrInvalid, "line 1: quantity 0"},
		{request(item(1, 1), item(1, 1)), pgdbm.ErrInvalid, "product 1 has two lines"},
	} {
		_, err := s.orders.Place(t.Context(), test.request)
		check.ErrorIs(t, err, test.class)
		check.ErrorContains(t, err, test.message)
	}
	for _, table := range before {
		table.RequireUnchanged()
	}
}

func TestTheLastItemIsSoldOnce(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, err := s.inventory.Adjust(t.Context(), 1, -4)
	check.NoError(t, err)
	const buyers = 8
	results := make(chan error)
	for range buyers {
		go func() {
			_, err := s.orders.Place(t.Context(), request(item(1, 1)))
			results <- err
		}()
	}
	sold := 0
	for range buyers {
		if err := <-results; err == nil {
			sold++
		} else if !errors.Is(err, inventory.ErrSoldOut) {
			t.Error(err)
		}
	}
	check.Equal(t, sold, 1)
	s.wantState(t, map[int64]int{1: 0}, 1)
}

func TestOrdersForTheSameProductsDoNotDeadlock(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, id := range []int64{1, 2} {
		_, err := s.inventory.Adjust(t.Context(), id, 95)
		check.NoError(t, err)
	}
	const rounds = 50
	results := make(chan error)
	for _, items := range [][]inventory.Item{{item(1, 1), item(2, 1)}, {item(2, 1), item(1, 1)}} {
		go func() {
			var errs []error
			for range rounds {
				_, err := s.orders.Place(t.Context(), request(items...))
				errs = append(errs, err)
			}
			results <- errors.Join(errs...)
		}()
	}
	check.NoError(t, errors.Join(<-results, <-results))
	s.wantState(t, map[int64]int{1: 0, 2: 0}, 2*rounds)
}
