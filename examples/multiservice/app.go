package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/customers"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/importer"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/notifications"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/orders"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/web"
	"github.com/pgdbm/pgdbm-go/fxpgdbm"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// services wires the modules: each store gets the manager of its own module. The
// application starts only if what the stores read and write fits its table.
var services = fx.Options(
	fxpgdbm.Module,
	fxpgdbm.Register(customers.Module, fx.Provide(customers.NewStore), fxpgdbm.Repo[customers.Customer]("customers")),
	fxpgdbm.Register(inventory.Module, fx.Provide(inventory.NewStore), fxpgdbm.Repo[inventory.Product]("products")),
	fxpgdbm.Register(notifications.Module, fx.Provide(notifications.NewStore), fxpgdbm.Repo[notifications.Notification]("notifications")),
	fxpgdbm.Register(orders.Module, fx.Provide(orders.NewStore, importer.New), fxpgdbm.Repo[orders.Order]("orders"), fxpgdbm.Repo[orders.Line]("lines")),

	fx.Provide(web.NewAPI),
	fx.Invoke(customers.Routes, inventory.Routes, orders.Routes, notifications.Routes),
)

// serve adds an HTTP server that listens from the application's start to its end.
func serve(addr string) fx.Option {
	return fx.Provide(func(lc fx.Lifecycle, end fx.Shutdowner, api *web.API, log *slog.Logger) *web.Server {
		s := web.NewServer(addr, api, log)
		s.Failed = func(error) { _ = end.Shutdown(fx.ExitCode(1)) }
		lc.Append(fx.StartStopHook(s.Start, s.Stop))
		return s
	})
}

// application is the wired program and the parts of it that main deals with.
type application struct {
	fx       *fx.App
	set      *module.Set
	importer *importer.Importer
	orders   *orders.Store
	server   *web.Server // nil with -exit
	migrated *migrated
}

func newApplication(cfg pgdbm.Config, opts options, log *slog.Logger) *application {
	a := &application{migrated: &migrated{}}
	a.fx = fx.New(a.options(cfg, opts, log))
	return a
}

// options are all that the program consists of.
func (a *application) options(cfg pgdbm.Config, opts options, log *slog.Logger) fx.Option {
	return fx.Options(
		fx.Supply(cfg, log, fxpgdbm.Config{Migrations: migrations.Config{Observer: a.migrated}}),
		fx.StartTimeout(5*time.Minute), // covers the migrations
		fx.WithLogger(fxLogger),
		services,
		fx.Populate(&a.set, &a.importer, &a.orders),
		when(!opts.exit, serve(opts.addr), fx.Populate(&a.server)),
	)
}

func when(condition bool, opts ...fx.Option) fx.Option {
	if !condition {
		return fx.Options()
	}
	return fx.Options(opts...)
}

// fxLogger keeps fx's events out of the way: they are for debugging.
func fxLogger(log *slog.Logger) fxevent.Logger {
	l := &fxevent.SlogLogger{Logger: log}
	l.UseLogLevel(slog.LevelDebug)
	l.UseErrorLevel(slog.LevelDebug) // main reports errors
	return l
}

// start connects, migrates and listens.
func (a *application) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.fx.StartTimeout())
	defer cancel()
	return a.fx.Start(ctx)
}

// wait returns when ctx ends, or with an error when serving does.
func (a *application) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case end := <-a.fx.Wait():
		if end.ExitCode != 0 {
			return errors.New("the HTTP server has failed")
		}
		return nil
	}
}

// stop lets requests finish and closes the pool, also after a start that failed.
func (a *application) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.fx.StopTimeout())
	defer cancel()
	if err := a.fx.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
