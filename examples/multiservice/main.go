// Command multiservice is an application of four services on one PostgreSQL. Each
// is a module with a schema of its own; an order is one transaction across all
// of them.
//
//	go run ./examples/multiservice
//
// starts a private PostgreSQL, migrates the modules' schemas and serves an HTTP
// API until Ctrl-C, after which nothing is left. DATABASE_URL names another
// server. With -import it loads a file of customers, products and orders through
// the services, and reports.
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

	"github.com/pgdbm/pgdbm-go/examples/multiservice/database"
)

func main() {
	opts, err := parseFlags(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, opts, os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, context.Canceled) && opts.file == "" {
		err = nil // Ctrl-C before it served; an import that did not come to its end is an error
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "multiservice:", err)
		os.Exit(1)
	}
}

// run does what the command line asks for and takes everything down again. The
// report goes to stdout, all else to stderr.
func run(ctx context.Context, opts options, stdout, stderr io.Writer) (err error) {
	file, err := opts.open()
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read

	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: opts.log}))
	db, err := database.Open(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()

	app := newApplication(db.Config, opts, log)
	defer func() { err = errors.Join(err, app.stop(ctx)) }()
	if err := app.start(ctx); err != nil {
		return err
	}
	announceStart(stderr, db, app)

	if opts.file != "" {
		if err := load(ctx, app.importer, file, stderr); err != nil {
			return err
		}
	}
	if opts.file != "" || opts.exit {
		report, err := app.orders.Report(ctx)
		if err != nil {
			return err
		}
		if err := opts.print(stdout, report); err != nil {
			return err
		}
	}
	if opts.exit {
		return nil
	}
	announceAPI(stderr, db, app.server.URL())
	return app.wait(ctx)
}
