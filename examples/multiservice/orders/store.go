package orders

import (
	"context"
	"errors"
	"fmt"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/customers"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/notifications"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// Store reads and writes orders. It is safe for concurrent use, except in a
// transaction.
type Store struct {
	db     pgdbm.DB
	orders *repo.Repository[Order]
	lines  *repo.Repository[Line]

	customers     *customers.Store
	inventory     *inventory.Store
	notifications *notifications.Store
}

// NewStore returns a store in db's schema, on top of those of other modules.
func NewStore(db pgdbm.DB, customers *customers.Store, inventory *inventory.Store, notifications *notifications.Store) (*Store, error) {
	orders, ordersErr := repo.New[Order](db, "orders")
	lines, linesErr := repo.New[Line](db, "lines")
	return &Store{db, orders, lines, customers, inventory, notifications}, errors.Join(ordersErr, linesErr)
}

// In returns the store, and those it stands on, in a transaction.
func (s *Store) In(tx *pgdbm.Tx) *Store {
	return &Store{
		s.db.In(tx), s.orders.In(tx), s.lines.In(tx),
		s.customers.In(tx), s.inventory.In(tx), s.notifications.In(tx),
	}
}

// Get returns an order with its lines, or [pgdbm.ErrNotFound].
func (s *Store) Get(ctx context.Context, id int64) (Order, error) {
	o, err := s.orders.Get(ctx, id)
	if err == nil {
		o.Lines, err = s.lines.Where(lineOrder.Eq(id)).OrderBy(lineProduct.Asc()).All(ctx)
	}
	if errors.Is(err, pgdbm.ErrNotFound) {
		err = fmt.Errorf("%w: order %d", pgdbm.ErrNotFound, id)
	}
	return o, err
}

// Page returns orders in the order of their ids, from a cursor on: two queries,
// however many orders there are.
func (s *Store) Page(ctx context.Context, limit int, after string) (repo.Page[Order], error) {
	page, err := s.orders.Where().Limit(limit).After(after).Page(ctx)
	if err != nil {
		return page, err
	}
	ids := lo.Map(page.Rows, func(o Order, _ int) int64 { return o.ID })
	lines, err := s.lines.Where(lineOrder.In(ids...)).OrderBy(lineOrder.Asc(), lineProduct.Asc()).All(ctx)
	byOrder := lo.GroupBy(lines, func(l Line) int64 { return l.Order })
	for i := range page.Rows {
		page.Rows[i].Lines = byOrder[page.Rows[i].ID]
	}
	return page, err
}

// insert stores an order and its lines.
func (s *Store) insert(ctx context.Context, o *Order) error {
	if err := o.validate(); err != nil {
		return err
	}
	if err := s.orders.Insert(ctx, o); err != nil {
		return err
	}
	for i := range o.Lines {
		o.Lines[i].Order = o.ID
	}
	return s.lines.InsertAll(ctx, o.Lines)
}

// checkCustomer returns a customer, or [pgdbm.ErrReference].
func (s *Store) checkCustomer(ctx context.Context, id string) (customers.Customer, error) {
	c, err := s.customers.Get(ctx, id)
	if errors.Is(err, pgdbm.ErrNotFound) {
		err = fmt.Errorf("%w: there is no customer %q", pgdbm.ErrReference, id)
	}
	return c, err
}
