// Package orders takes orders. It is a module on top of customers, inventory and
// notifications: placing an order is one transaction across all four schemas,
// each of them reached through its own module's store.
package orders

import (
	"embed"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/customers"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/money"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/notifications"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Module is the data of this service.
var Module = module.Module{
	Name:       "orders",
	Migrations: module.Sub(migrations, "migrations"),
	DependsOn:  []module.Module{customers.Module, inventory.Module, notifications.Module},
}

// Order is what a customer has ordered, with its lines by product.
type Order struct {
	ID          int64        `db:"id,key,auto" json:"id"`
	Customer    string       `db:"customer_id" json:"customer"`
	OrderedOn   pgtype.Date  `db:"ordered_on,auto" json:"ordered_on"` // default today
	ShippedOn   pgtype.Date  `db:"shipped_on" json:"shipped_on"`      // NULL until then
	ShipCountry string       `db:"ship_country" json:"ship_country"`
	Freight     money.Amount `db:"freight" json:"freight"`
	Lines       []Line       `db:"-" json:"lines"`
}

// Line is a part of an order: some of one product, at the price of that day.
type Line struct {
	Order    int64        `db:"order_id,key" json:"-"`
	Product  int64        `db:"product_id,key" json:"product"`
	Quantity int          `db:"quantity" json:"quantity"`
	Price    money.Amount `db:"price" json:"price"` // of one
	Discount money.Rate   `db:"discount" json:"discount"`
	Amount   money.Amount `db:"amount,auto" json:"amount"` // price × quantity × (1 − discount)
}

var (
	orderID     = repo.Col(func(o *Order) *int64 { return &o.ID })
	shipCountry = repo.Col(func(o *Order) *string { return &o.ShipCountry })

	lineOrder   = repo.Col(func(l *Line) *int64 { return &l.Order })
	lineProduct = repo.Col(func(l *Line) *int64 { return &l.Product })
)

// validate returns an error of class [pgdbm.ErrInvalid].
func (o Order) validate() error {
	switch {
	case len(o.Lines) == 0:
		return fmt.Errorf("%w: an order has lines", pgdbm.ErrInvalid)
	case o.ShipCountry == "":
		return fmt.Errorf("%w: ship_country is empty", pgdbm.ErrInvalid)
	case o.OrderedOn.InfinityModifier != pgtype.Finite || o.ShippedOn.InfinityModifier != pgtype.Finite:
		return fmt.Errorf("%w: infinity is not a day", pgdbm.ErrInvalid)
	case o.ShippedOn.Valid && o.ShippedOn.Time.Before(o.OrderedOn.Time):
		return fmt.Errorf("%w: shipped_on is before ordered_on", pgdbm.ErrInvalid)
	}
	seen := map[int64]bool{}
	for i, l := range o.Lines {
		switch {
		case seen[l.Product]:
			return fmt.Errorf("%w: product %d has two lines", pgdbm.ErrInvalid, l.Product)
		case l.Quantity < 1 || l.Quantity > math.MaxInt32:
			return fmt.Errorf("%w: line %d: quantity %d: 1 to %d", pgdbm.ErrInvalid, i+1, l.Quantity, math.MaxInt32)
		}
		seen[l.Product] = true
	}
	return nil
}
