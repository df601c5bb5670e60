package customers

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// Store reads and writes customers. It is safe for concurrent use, except in a
// transaction.
type Store struct {
	customers *repo.Repository[Customer]
}

// NewStore returns a store in db's schema.
func NewStore(db pgdbm.DB) (*Store, error) {
	customers, err := repo.New[Customer](db, "customers")
	return &Store{customers}, err
}

// In returns the store in a transaction, whichever module began it.
func (s *Store) In(tx *pgdbm.Tx) *Store {
	return &Store{s.customers.In(tx)}
}

// Get returns a customer, or [pgdbm.ErrNotFound].
func (s *Store) Get(ctx context.Context, id string) (Customer, error) {
	c, err := s.customers.Get(ctx, id)
	if errors.Is(err, pgdbm.ErrNotFound) {
		err = fmt.Errorf("%w: customer %q", pgdbm.ErrNotFound, id)
	}
	return c, err
}

// Create stores a new customer and returns it as it is stored. An id that is in
// use is [pgdbm.ErrConflict].
func (s *Store) Create(ctx context.Context, c Customer) (Customer, error) {
	if err := c.validate(); err != nil {
		return c, err
	}
	err := s.customers.Insert(ctx, &c)
	if errors.Is(err, pgdbm.ErrConflict) {
		err = fmt.Errorf("%w: there is a customer %q already", pgdbm.ErrConflict, c.ID)
	}
	return c, err
}

// Import stores a customer from another system and reports whether it is new.
// One that is here already and the same is left alone; one that differs is
// [pgdbm.ErrConflict].
func (s *Store) Import(ctx context.Context, c Customer) (created bool, err error) {
	if err := c.validate(); err != nil {
		return false, err
	}
	created, err = s.customers.InsertMissing(ctx, &c)
	if err != nil || created {
		return created, err
	}
	known, err := s.customers.Get(ctx, c.ID)
	if err == nil && known != c {
		err = fmt.Errorf("%w: customer %q is here already, with other data", pgdbm.ErrConflict, c.ID)
	}
	return false, err
}
