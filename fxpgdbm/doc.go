// Package fxpgdbm wires modules into an Uber fx application: one pool, every
// schema migrated before any service starts, a clean shutdown.
//
//	fx.New(
//		fx.Supply(pgdbm.Config{ConnString: os.Getenv("DATABASE_URL")}),
//		fx.StartTimeout(5*time.Minute), // covers migrations; valid only here, at the top level
//		fxpgdbm.Module,
//		fxpgdbm.Register(users.Module, fxpgdbm.Repo[users.User]("users"), fx.Provide(users.NewStore)),
//		fxpgdbm.Register(orders.Module, fx.Provide(orders.NewStore)),
//		fx.Invoke(serve),
//	).Run()
//
// The constructors are plain: users.NewStore takes a pgdbm.DB, which inside
// Register is the manager bound to that module's schema, and nowhere else. [Repo]
// makes sure that users.User fits the table before anything starts.
package fxpgdbm
