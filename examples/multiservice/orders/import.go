package orders

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Import stores an order from another system under its id and reports whether
// it is new. It is history: it keeps its date and prices, takes no stock and
// notifies nobody. One that is here already and the same is left alone; one that
// differs is [pgdbm.ErrConflict]; an unknown customer or product is
// [pgdbm.ErrReference].
//
// Call it in a transaction, for an order is several rows. New orders get ids
// behind the imported ones after [Store.AdvanceIDs].
func (s *Store) Import(ctx context.Context, o Order) (created bool, err error) {
	if o.ID < 1 {
		return false, fmt.Errorf("%w: id %d is not positive", pgdbm.ErrInvalid, o.ID)
	}
	o.Lines = slices.SortedFunc(slices.Values(o.Lines), func(a, b Line) int { return cmp.Compare(a.Product, b.Product) })
	known, err := s.Get(ctx, o.ID)
	switch {
	case err == nil && !same(known, o):
		return false, fmt.Errorf("%w: order %d is here already, with other data", pgdbm.ErrConflict, o.ID)
	case !errors.Is(err, pgdbm.ErrNotFound):
		return false, err
	}
	if _, err := s.checkCustomer(ctx, o.Customer); err != nil {
		return false, err
	}
	if err := s.inventory.Check(ctx, lo.Map(o.Lines, func(l Line, _ int) int64 { return l.Product })); err != nil {
		return false, err
	}
	err = s.insert(ctx, &o)
	return err == nil, err
}

// same reports whether a stored order has the data of another one.
func same(stored, o Order) bool {
	stored.Lines = lo.Map(stored.Lines, func(l Line, _ int) Line {
		l.Order, l.Amount = 0, "" // the database's own
		return l
	})
	return reflect.DeepEqual(stored, o)
}

// AdvanceIDs makes the ids that the database chooses go on behind the greatest
// that there is.
func (s *Store) AdvanceIDs(ctx context.Context) error {
	_, err := s.db.Exec(ctx, `
		select setval('{{tables.orders_id_seq}}', max(id)) from {{tables.orders}}
		having max(id) >= (select last_value from {{tables.orders_id_seq}})`)
	return err
}
