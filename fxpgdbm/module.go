package fxpgdbm

import (
	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Module provides *pgdbm.Pool and *module.Set to the application, from a
// supplied pgdbm.Config and, optionally, a [Config]. When the application
// starts it connects and brings every registered module up to date, before the
// start hooks of whatever depends on them; when it stops it closes the pool.
//
// To run on another pool, such as a test's, use fx.Replace(pool): Module then
// neither connects nor closes it.
var Module = fx.Module("pgdbm",
	fx.Provide(NewPool, newSet, managerOutsideRegister, dbOutsideRegister, scopeOutsideRegister),
	fx.Invoke(func(*module.Set) {}), // migrate also when nothing asks for the set
)

// group is the value group of all registered modules.
const group = `group:"pgdbm.modules"`

// scope is the module of whose options a constructor is one.
type scope struct{ module.Module }

// Register adds a module to the application. Inside, and only there, options
// get the *pgdbm.Manager and the pgdbm.DB that are bound to the module's
// schema; what they provide is visible everywhere. Mount a module a second time
// with m.As(name).
func Register(m module.Module, opts ...fx.Option) fx.Option {
	return fx.Module(m.Name,
		fx.Provide(AsModule(func() module.Module { return m })),
		fx.Provide(
			func(set *module.Set) (*pgdbm.Manager, error) { return set.Manager(m) },
			func(m *pgdbm.Manager) pgdbm.DB { return m },
			func() scope { return scope{m} },
			fx.Private,
		),
		fx.Options(opts...),
	)
}

// AsModule adds what a constructor returns, a module.Module and optionally an
// error, to the registered modules. Use it with fx.Provide where a module
// cannot be a package variable. Such a module has no scope of its own: bind its
// services with [module.Set.Manager].
func AsModule(constructor any) any {
	return fx.Annotate(constructor, fx.ResultTags(group))
}

// The rule that a manager belongs to a module, as the name of a value that
// nobody provides: fx shows it when the application is validated.
type rule struct{}

type managerRule struct {
	fx.In
	Rule rule `name:"*pgdbm.Manager and pgdbm.DB exist only inside fxpgdbm.Register(module, options...): move the constructor into the options of its module"`
}

func managerOutsideRegister(managerRule) *pgdbm.Manager { return nil }
func scopeOutsideRegister(managerRule) scope            { return scope{} }
func dbOutsideRegister(managerRule) pgdbm.DB            { return nil }
