package main

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// options are what the command line says.
type options struct {
	addr   string
	file   string // to import; "" for none
	report string // "text" or "json"
	exit   bool
	log    slog.Level
}

const usage = `Usage: multiservice [flags]

Four services on one PostgreSQL: customers, inventory, orders, notifications.
DATABASE_URL names the server; without it a private one starts by itself, and
ends with the program.

`

// parseFlags reads the command line, and explains on stderr what is wrong with it.
func parseFlags(args []string, stderr io.Writer) (options, error) {
	o := options{log: slog.LevelWarn}
	f := flag.NewFlagSet("multiservice", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "serve HTTP on this `address`; port 0 takes a free one")
	f.StringVar(&o.file, "import", "", "load this `file` of customers, products and orders (NDJSON), and report")
	f.StringVar(&o.report, "report", "text", "the report's `form`, on standard output: text or json")
	f.BoolVar(&o.exit, "exit", false, "end after the report instead of serving")
	f.BoolFunc("v", "log what happens, not only what goes wrong", func(string) error {
		o.log = slog.LevelDebug
		return nil
	})
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case f.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.report != "text" && o.report != "json":
		err = fmt.Errorf("-report %q: text or json", o.report)
	}
	if err != nil {
		fmt.Fprintln(stderr, "multiservice:", err)
		f.Usage()
	}
	return o, err
}

// open opens the file to import, before anything else is begun; nil for none.
func (o options) open() (*os.File, error) {
	if o.file == "" {
		return nil, nil
	}
	return os.Open(o.file)
}
