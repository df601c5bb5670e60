package pgdbmtest

import (
	"errors"

	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// FX puts an fx application under test on a database as [New] makes it: it
// provides the pgdbm.Config, which the application must not do then, and
// replaces the pool of fxpgdbm.Module. It stands among the options of fx.New,
// not inside an fx.Module.
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
	return fx.Options(fx.Provide(func() pgdbm.Config { return h.config() }), fx.Replace(h.pool))
}
