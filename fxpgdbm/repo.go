package fxpgdbm

import (
	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// Repo provides a *repo.Repository[T] of a table of the enclosing module; use it
// among the options of [Register].
func Repo[T any](table string) fx.Option {
	return fx.Provide(func(db pgdbm.DB) (*repo.Repository[T], error) {
		return repo.New[T](db, table)
	})
}
