// Package catalog knows what there is to buy.
package catalog

import (
	"context"
	"embed"

	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Module is the data of this service.
var Module = module.Module{Name: "catalog", Migrations: module.Sub(migrations, "migrations")}

// Store reads and writes products.
type Store struct{ db pgdbm.DB }

// NewStore returns a store in db's schema.
func NewStore(db pgdbm.DB) *Store { return &Store{db} }

// In returns the store in a transaction.
func (s *Store) In(tx *pgdbm.Tx) *Store { return &Store{s.db.In(tx)} }

// Add adds a product and returns its id.
func (s *Store) Add(ctx context.Context, name string, stock int) (int64, error) {
	return pgdbm.FetchValue[int64](ctx, s.db, "insert into {{tables.products}} (name, stock) values ($1, $2) returning id", name, stock)
}

// Take takes one of a product, or fails with [pgdbm.ErrInvalid].
func (s *Store) Take(ctx context.Context, product int64) error {
	_, err := s.db.Exec(ctx, "update {{tables.products}} set stock = stock - 1 where id = $1", product)
	return err
}
