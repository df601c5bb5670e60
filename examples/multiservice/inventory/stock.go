package inventory

import (
	"context"
	"fmt"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// ErrSoldOut is the class of errors about a product of which not enough is
// left. It is a [pgdbm.ErrConflict].
var ErrSoldOut = fmt.Errorf("%w: sold out", pgdbm.ErrConflict)

// Item is a number of one product.
type Item struct {
	Product  int64 `json:"product"`
	Quantity int   `json:"quantity"`
}

// Adjust adds to a product's stock, or subtracts from it, and returns the
// product. Less than nothing is [ErrSoldOut].
func (s *Store) Adjust(ctx context.Context, product int64, delta int) (Product, error) {
	rows, err := s.products.ByKey(product).Where(inStock.Ge(-delta)).UpdateReturning(ctx, repo.Add(inStock, delta))
	if err != nil || len(rows) == 1 {
		return lo.FirstOrEmpty(rows), err
	}
	p, err := s.Get(ctx, product)
	if err == nil {
		err = soldOut(p, -delta)
	}
	return p, err
}

// Take takes items out of stock, each of another product, and returns their
// products by id. It belongs into the transaction of an order:
//
//	products, err := inventory.In(tx).Take(ctx, items)
//
// The products stay locked until tx ends. They are locked in the order of their
// ids, so that two orders for the same products wait for each other instead of
// ending in a deadlock.
//
// Too little stock is [ErrSoldOut], an unknown product [pgdbm.ErrReference].
// Nothing is taken then.
func (s *Store) Take(ctx context.Context, items []Item) (map[int64]Product, error) {
	ids := lo.Map(items, func(item Item, _ int) int64 { return item.Product })
	rows, err := s.products.Where(id.In(ids...)).OrderBy(id.Asc()).ForUpdate().All(ctx)
	if err != nil {
		return nil, err
	}
	products := lo.KeyBy(rows, func(p Product) int64 { return p.ID })
	taken := make([][]any, len(items))
	for i, item := range items {
		p, known := products[item.Product]
		switch {
		case !known:
			return nil, unknown(item.Product)
		case p.Discontinued:
			return nil, fmt.Errorf("%w: product %d (%s) is discontinued", pgdbm.ErrConflict, p.ID, p.Name)
		case p.InStock < item.Quantity:
			return nil, soldOut(p, item.Quantity)
		}
		taken[i] = []any{item.Product, item.Quantity}
	}
	_, err = pgdbm.ExecMany(ctx, s.db, `update {{tables.products}} set in_stock = in_stock - $2 where id = $1`, taken)
	return products, err
}

// Check returns [pgdbm.ErrReference] for the first id that is no product's.
func (s *Store) Check(ctx context.Context, ids []int64) error {
	products, err := s.products.Where(id.In(ids...)).All(ctx)
	missing := lo.Without(ids, lo.Map(products, func(p Product, _ int) int64 { return p.ID })...)
	if err == nil && len(missing) > 0 {
		err = unknown(missing[0])
	}
	return err
}

func unknown(product int64) error {
	return fmt.Errorf("%w: there is no product %d", pgdbm.ErrReference, product)
}

func soldOut(p Product, wanted int) error {
	return fmt.Errorf("%w: product %d (%s): %d wanted, %d left", ErrSoldOut, p.ID, p.Name, wanted, p.InStock)
}
