package inventory

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// Store reads and writes products and their stock. It is safe for concurrent
// use, except in a transaction.
type Store struct {
	db       pgdbm.DB
	products *repo.Repository[Product]
}

// NewStore returns a store in db's schema.
func NewStore(db pgdbm.DB) (*Store, error) {
	products, err := repo.New[Product](db, "products")
	return &Store{db, products}, err
}

// In returns the store in a transaction, whichever module began it.
func (s *Store) In(tx *pgdbm.Tx) *Store {
	return &Store{s.db.In(tx), s.products.In(tx)}
}

// Get returns a product, or [pgdbm.ErrNotFound].
func (s *Store) Get(ctx context.Context, id int64) (Product, error) {
	p, err := s.products.Get(ctx, id)
	if errors.Is(err, pgdbm.ErrNotFound) {
		err = fmt.Errorf("%w: product %d", pgdbm.ErrNotFound, id)
	}
	return p, err
}

// Create stores a new product, whose id the database chooses, and returns it as
// it is stored.
func (s *Store) Create(ctx context.Context, p Product) (Product, error) {
	if p.ID != 0 {
		return p, fmt.Errorf("%w: the id of a new product is not for the client to choose", pgdbm.ErrInvalid)
	}
	if err := p.validate(); err != nil {
		return p, err
	}
	return p, s.products.Insert(ctx, &p)
}

// Import stores a product from another system under its id and reports whether
// it is new. Its stock is the opening stock: a product that is here already
// keeps what it has. One that differs otherwise is [pgdbm.ErrConflict].
//
// New products get ids behind the imported ones after [Store.AdvanceIDs].
func (s *Store) Import(ctx context.Context, p Product) (created bool, err error) {
	if p.ID < 1 {
		return false, fmt.Errorf("%w: id %d is not positive", pgdbm.ErrInvalid, p.ID)
	}
	if err := p.validate(); err != nil {
		return false, err
	}
	created, err = s.products.InsertMissing(ctx, &p)
	if err != nil || created {
		return created, err
	}
	known, err := s.products.Get(ctx, p.ID)
	if p.InStock = known.InStock; err == nil && p != known {
		err = fmt.Errorf("%w: product %d is here already, with other data", pgdbm.ErrConflict, p.ID)
	}
	return false, err
}

// AdvanceIDs makes the ids that the database chooses go on behind the greatest
// that there is.
func (s *Store) AdvanceIDs(ctx context.Context) error {
	_, err := s.db.Exec(ctx, `
		select setval('{{tables.products_id_seq}}', max(id)) from {{tables.products}}
		having max(id) >= (select last_value from {{tables.products_id_seq}})`)
	return err
}
