// Command orders runs the orders service alone, without fx: it opens a pool of
// its own, on which the modules that orders depends on come along.
//
//	go run ./examples/multiservice/cmd/orders
//
// starts a private PostgreSQL, as multiservice does. With DATABASE_URL it works
// beside any number of others, multiservice included.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/customers"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/database"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/inventory"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/notifications"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/orders"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/web"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "serve HTTP on this `address`; port 0 takes a free one")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *addr, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) { // Ctrl-C before it served
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends and takes everything down again, in reverse order.
func run(ctx context.Context, addr string, stderr io.Writer) (err error) {
	end := func(close func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer cancel()
		err = errors.Join(err, close(ctx))
	}

	log := slog.New(slog.NewTextHandler(stderr, nil))
	db, err := database.Open(ctx, log)
	if err != nil {
		return err
	}
	defer end(db.Close)
	set, err := module.Open(ctx, db.Config, orders.Module)
	if err != nil {
		return err
	}
	defer end(set.Close)
	store, err := newStore(set)
	if err != nil {
		return err
	}

	api := web.NewAPI(set.Pool(), log)
	orders.Routes(api, store)
	server := web.NewServer(addr, api, log)
	if err := server.Start(ctx); err != nil {
		return err
	}
	defer end(server.Stop)
	fmt.Fprintf(stderr, "%s\nServing %s/orders, until Ctrl-C.\n", db, server.URL())
	<-ctx.Done()
	return nil
}

// newStore makes the store of orders and those it stands on: what fx does in
// multiservice.
func newStore(set *module.Set) (*orders.Store, error) {
	buyers, customersErr := on(set, customers.Module, customers.NewStore)
	stock, inventoryErr := on(set, inventory.Module, inventory.NewStore)
	outbox, notificationsErr := on(set, notifications.Module, notifications.NewStore)
	store, ordersErr := on(set, orders.Module, func(db pgdbm.DB) (*orders.Store, error) {
		return orders.NewStore(db, buyers, stock, outbox)
	})
	return store, errors.Join(customersErr, inventoryErr, notificationsErr, ordersErr)
}

// on calls a constructor with the manager of its module.
func on[S any](set *module.Set, m module.Module, construct func(pgdbm.DB) (S, error)) (store S, err error) {
	db, err := set.Manager(m)
	if err != nil {
		return store, err
	}
	return construct(db)
}
