// Package sales sells what is in the catalog.
package sales

import (
	"context"
	"embed"

	"example.com/shop/catalog"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Module is the data of this service.
var Module = module.Module{
	Name:       "sales",
	Migrations: module.Sub(migrations, "migrations"),
	DependsOn:  []module.Module{catalog.Module},
}

// Store sells.
type Store struct {
	db      pgdbm.DB
	catalog *catalog.Store
}

// NewStore returns a store in db's schema.
func NewStore(db pgdbm.DB, c *catalog.Store) *Store { return &Store{db, c} }

// Sell sells one of a product: an order and one less in stock, or neither.
func (s *Store) Sell(ctx context.Context, product int64, buyer string) error {
	return s.db.InTx(ctx, func(tx *pgdbm.Tx) error {
		if _, err := tx.Exec(ctx, "insert into {{tables.orders}} (product, buyer) values ($1, $2)", product, buyer); err != nil {
			return err
		}
		return s.catalog.In(tx).Take(ctx, product)
	})
}
