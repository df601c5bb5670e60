// Package inventory knows what is sold, for how much, and what is left of it. It
// is a module: its own schema, a store that works in main, in fx and in a test,
// and its endpoints.
package inventory

import (
	"embed"
	"fmt"
	"math"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/money"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Module is the data of this service.
var Module = module.Module{Name: "inventory", Migrations: module.Sub(migrations, "migrations")}

// Product is something that is sold.
type Product struct {
	ID           int64        `db:"id,key,auto" json:"id"`
	Name         string       `db:"name" json:"name"`
	Category     string       `db:"category" json:"category"`
	Unit         string       `db:"unit" json:"unit"`
	Price        money.Amount `db:"price" json:"price"`
	InStock      int          `db:"in_stock" json:"in_stock"`
	ReorderLevel int          `db:"reorder_level" json:"reorder_level"`
	Discontinued bool         `db:"discontinued" json:"discontinued"`
}

var (
	id      = repo.Col(func(p *Product) *int64 { return &p.ID })
	inStock = repo.Col(func(p *Product) *int { return &p.InStock })
)

// validate returns an error of class [pgdbm.ErrInvalid].
func (p Product) validate() error {
	switch {
	case p.Name == "":
		return fmt.Errorf("%w: name is empty", pgdbm.ErrInvalid)
	case p.Price == "":
		return fmt.Errorf("%w: price is missing", pgdbm.ErrInvalid)
	case p.InStock < 0 || p.InStock > math.MaxInt32:
		return fmt.Errorf("%w: in_stock %d: 0 to %d", pgdbm.ErrInvalid, p.InStock, math.MaxInt32)
	case p.ReorderLevel < 0 || p.ReorderLevel > math.MaxInt32:
		return fmt.Errorf("%w: reorder_level %d: 0 to %d", pgdbm.ErrInvalid, p.ReorderLevel, math.MaxInt32)
	}
	return nil
}
