package orders_test

import (
	"os"
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/customers"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/notifications"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/orders"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

// shop is the four services on a database of the test's own. Customer ACME can
// buy products 1 and 2, of which there are 5 each at 10.00.
type shop struct {
	db            *pgdbmtest.DB // of orders
	customers     *customers.Store
	inventory     *inventory.Store
	notifications *notifications.Store
	orders        *orders.Store
}

func setup(t *testing.T) shop {
	t.Helper()
	set := pgdbmtest.NewSet(t, orders.Module) // and what it depends on
	s := shop{db: set.DB(orders.Module)}
	var err error
	s.customers, err = customers.NewStore(set.Manager(customers.Module))
	check.NoError(t, err)
	s.inventory, err = inventory.NewStore(set.Manager(inventory.Module))
	check.NoError(t, err)
	s.notifications, err = notifications.NewStore(set.Manager(notifications.Module))
	check.NoError(t, err)
	s.orders, err = orders.NewStore(s.db, s.customers, s.inventory, s.notifications)
	check.NoError(t, err)
	pgdbmtest.Seed(t, s.db, os.DirFS("testdata"), "shop.json")
	return s
}

func item(product int64, quantity int) inventory.Item {
	return inventory.Item{Product: product, Quantity: quantity}
}

// request asks for items on behalf of ACME.
func request(items ...inventory.Item) orders.Request {
	return orders.Request{Customer: "ACME", Lines: items}
}

// wantState checks how much is left, and how many orders and notifications
// there are: everything that placing an order changes.
func (s shop) wantState(t *testing.T, stock map[int64]int, placed int) {
	t.Helper()
	for id, left := range stock {
		p, err := s.inventory.Get(t.Context(), id)
		check.NoError(t, err)
		check.Equal(t, p.InStock, left)
	}
	page, err := s.orders.Page(t.Context(), 100, "")
	check.NoError(t, err)
	check.Equal(t, len(page.Rows), placed)
	pending, err := s.notifications.Pending().Count(t.Context())
	check.NoError(t, err)
	check.Equal(t, pending, int64(placed))
}
