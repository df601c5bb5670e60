package importer

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/customers"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/money"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/orders"
)

// record is what a line of the file holds. Its fields are the format of the
// file, which stays as it is when the services change.
type record interface {
	key() string // kind and id
	store(ctx context.Context, im *Importer) (created bool, err error)
}

// parse reads a line.
func parse(text []byte) (record, error) {
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, explain(err)
	}
	var rec record
	switch head.Kind {
	case "customer":
		rec = &customer{}
	case "product":
		rec = &product{}
	case "order":
		rec = &order{}
	case "":
		return nil, fmt.Errorf(`field "kind" is missing`)
	default:
		return nil, fmt.Errorf("unknown kind %q: customer, product or order", head.Kind)
	}
	return rec, strict(text, rec)
}

type customer struct {
	Kind    string `json:"kind"`
	ID      string `json:"id"`
	Company string `json:"company"`
	Contact string `json:"contact"`
	City    string `json:"city"`
	Country string `json:"country"`
	Phone   string `json:"phone"`
}

func (c *customer) key() string { return fmt.Sprintf("customer %q", c.ID) }

func (c *customer) store(ctx context.Context, im *Importer) (bool, error) {
	return im.customers.Import(ctx, customers.Customer{
		ID: c.ID, Company: c.Company, Contact: c.Contact, City: c.City, Country: c.Country, Phone: c.Phone,
	})
}

type product struct {
	Kind         string       `json:"kind"`
	ID           int64        `json:"id"`
	Name         string       `json:"name"`
	Category     string       `json:"category"`
	Unit         string       `json:"unit"`
	Price        money.Amount `json:"price"`
	InStock      int          `json:"in_stock"`
	ReorderLevel int          `json:"reorder_level"`
	Discontinued bool         `json:"discontinued"`
}

func (p *product) key() string { return fmt.Sprintf("product %d", p.ID) }

func (p *product) store(ctx context.Context, im *Importer) (bool, error) {
	return im.inventory.Import(ctx, inventory.Product{
		ID: p.ID, Name: p.Name, Category: p.Category, Unit: p.Unit, Price: p.Price,
		InStock: p.InStock, ReorderLevel: p.ReorderLevel, Discontinued: p.Discontinued,
	})
}

type order struct {
	Kind        string       `json:"kind"`
	ID          int64        `json:"id"`
	Customer    string       `json:"customer"`
	OrderedOn   pgtype.Date  `json:"ordered_on"`
	ShippedOn   *pgtype.Date `json:"shipped_on"` // null: not yet
	ShipCountry string       `json:"ship_country"`
	Freight     money.Amount `json:"freight"`
	Lines       lines        `json:"lines"`
}

type orderLine struct {
	Product  int64        `json:"product"`
	Quantity int          `json:"quantity"`
	Price    money.Amount `json:"price"`
	Discount money.Rate   `json:"discount"`
}

type lines []orderLine

// UnmarshalJSON reads lines strictly and says which one is wrong.
func (l *lines) UnmarshalJSON(text []byte) error {
	var texts []json.RawMessage
	if err := json.Unmarshal(text, &texts); err != nil {
		return err
	}
	*l = make(lines, len(texts))
	for i, text := range texts {
		if err := strict(text, &(*l)[i]); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

func (o *order) key() string { return fmt.Sprintf("order %d", o.ID) }

func (o *order) store(ctx context.Context, im *Importer) (bool, error) {
	return im.orders.Import(ctx, orders.Order{
		ID: o.ID, Customer: o.Customer, OrderedOn: o.OrderedOn, ShippedOn: lo.FromPtr(o.ShippedOn),
		ShipCountry: o.ShipCountry, Freight: o.Freight,
		Lines: lo.Map(o.Lines, func(l orderLine, _ int) orders.Line {
			return orders.Line{Product: l.Product, Quantity: l.Quantity, Price: l.Price, Discount: l.Discount}
		}),
	})
}
