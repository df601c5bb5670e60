package orders

import (
	"context"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/money"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// Report says how business is. Its money is exact.
type Report struct {
	Totals

	Countries []CountryOrders `json:"orders_by_country"` // the three with the most orders
	Customers []CustomerSales `json:"top_customers"`     // the three with the most revenue
}

// Totals are the sums over everything.
type Totals struct {
	Customers int64        `db:"customers" json:"customers"`
	Products  int64        `db:"products" json:"products"`
	Orders    int64        `db:"orders" json:"orders"`
	Lines     int64        `db:"lines" json:"lines"`
	Units     int64        `db:"units" json:"units"`
	Revenue   money.Amount `db:"revenue" json:"revenue"`
}

// CountryOrders is a number of orders shipped to one country.
type CountryOrders struct {
	Country string `db:"ship_country" json:"country"`
	Orders  int64  `db:"orders" json:"orders"`
}

// CustomerSales is one customer's revenue.
type CustomerSales struct {
	ID      string       `db:"id" json:"id"`
	Revenue money.Amount `db:"revenue" json:"revenue"`
}

// Report reads the report. What is made of several tables is SQL: it counts the
// rows of other modules, which this one declares as dependencies, where they live.
func (s *Store) Report(ctx context.Context) (Report, error) {
	totals, err := pgdbm.FetchOne[Totals](ctx, s.db, `
		select (select count(*) from {{tables.customers.customers}}) as customers,
		       (select count(*) from {{tables.inventory.products}}) as products,
		       (select count(*) from {{tables.orders}}) as orders,
		       count(*) as lines, coalesce(sum(quantity), 0) as units, coalesce(sum(amount), 0) as revenue
		from {{tables.sales}}`)
	if err != nil {
		return Report{}, err
	}
	number := repo.Count(orderID).As("orders")
	countries, err := repo.GroupBy[CountryOrders](ctx, s.orders.Where().OrderBy(number.Desc(), shipCountry.Asc()).Limit(3), shipCountry, number)
	if err != nil {
		return Report{}, err
	}
	customers, err := pgdbm.FetchAll[CustomerSales](ctx, s.db, `
		select customer_id as id, sum(amount) as revenue from {{tables.sales}}
		group by customer_id order by revenue desc, customer_id collate "C" limit 3`)
	return Report{totals, countries, customers}, err
}
