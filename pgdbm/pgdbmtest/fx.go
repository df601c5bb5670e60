package pgdbmtest

import (
	"errors"

	"go.uber.org/fx"
)

// FX puts an fx application under test on a database as [New] makes it. It
// replaces the pool of fxpgdbm.Module and the pgdbm.Config, should the application
// supply one, so that no part of it can reach another database. It stands among
// the options of fx.New, not inside an fx.Module.
//
// An application that supplies no pgdbm.Config needs none, unless a constructor of
// its own takes one: then supply an empty one, which is replaced.
//
// The application migrates its modules as always. Given to [WithModules] as
// well they are migrated in the template, and it finds nothing left to do,
// which is many times faster. The pool belongs to the test: stopping the
// application does not close it, the end of the test does.
func FX(t TB, opts ...Option) fx.Option {
	t.Helper()
	h := open(t, opts)
	if h == nil {
		return fx.Error(errors.New("pgdbmtest: FX: there is no database"))
	}
	h.expose() // applications hand Pool.Pgx() on
	return fx.Replace(h.pool, h.config())
}
