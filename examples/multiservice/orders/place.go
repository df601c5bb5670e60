package orders

import (
	"cmp"
	"context"
	"fmt"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/money"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Request is what a customer asks for.
type Request struct {
	Customer    string           `json:"customer"`
	ShipCountry string           `json:"ship_country"` // default: the customer's
	Freight     money.Amount     `json:"freight"`      // default 0
	Lines       []inventory.Item `json:"lines"`        // at today's prices
}

// Place places an order: it checks the customer, takes the stock, stores the
// order and queues a notification, in one transaction. Whatever fails, nothing
// has happened.
//
// Too little stock is [inventory.ErrSoldOut], an unknown customer or product
// [pgdbm.ErrReference].
func (s *Store) Place(ctx context.Context, r Request) (Order, error) {
	var o Order
	err := s.db.InTx(ctx, func(tx *pgdbm.Tx) (err error) {
		o, err = s.In(tx).place(ctx, r)
		return err
	})
	return o, err
}

// place is Place in its transaction.
func (s *Store) place(ctx context.Context, r Request) (Order, error) {
	customer, err := s.checkCustomer(ctx, r.Customer)
	if err != nil {
		return Order{}, err
	}
	o := Order{
		Customer:    customer.ID,
		ShipCountry: cmp.Or(r.ShipCountry, customer.Country),
		Freight:     cmp.Or(r.Freight, "0.00"),
		Lines: lo.Map(r.Lines, func(item inventory.Item, _ int) Line {
			return Line{Product: item.Product, Quantity: item.Quantity, Discount: "0.00"}
		}),
	}
	if err := o.validate(); err != nil {
		return Order{}, err
	}
	products, err := s.inventory.Take(ctx, r.Lines)
	if err != nil {
		return Order{}, err
	}
	for i, l := range o.Lines {
		o.Lines[i].Price = products[l.Product].Price
	}
	if err := s.insert(ctx, &o); err != nil {
		return Order{}, err
	}
	return o, s.notifications.Queue(ctx, o.Customer, fmt.Sprintf("We have your order %d.", o.ID))
}
