package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/database"
	"github.com/pgdbm/pgdbm-go/migrations"
)

// migrated counts what migrating does, by module.
type migrated struct {
	files map[string]int
	dur   map[string]time.Duration
}

// Event is [migrations.Observer].
func (m *migrated) Event(_ context.Context, e migrations.Event) {
	if e.Kind != migrations.EventFileApplied {
		return
	}
	if m.files == nil {
		m.files, m.dur = map[string]int{}, map[string]time.Duration{}
	}
	m.files[e.Module]++
	m.dur[e.Module] += e.Duration
}

// announceStart says which server it is and what has happened to the schemas.
func announceStart(w io.Writer, db *database.Database, app *application) {
	fmt.Fprintf(w, "\n%s\n\n", db)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "module\tschema\tmigrations applied\ttime")
	for _, m := range app.set.Order() {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", m.Name, m.Schema, app.migrated.files[m.Name], app.migrated.dur[m.Name].Round(time.Millisecond))
	}
	_ = t.Flush() // if nobody reads w any more, nobody misses it
}

// announceAPI says where it is and what to try.
func announceAPI(w io.Writer, db *database.Database, url string) {
	fmt.Fprintf(w, hints, url)
	if psql := db.Psql(); psql != "" {
		fmt.Fprintf(w, "  %s -c 'table orders.sales'\n", psql)
	}
	fmt.Fprintln(w)
}

const hints = `
Serving %[1]s, until Ctrl-C. Try:

  curl %[1]s/healthz
  curl -d '{"id": "ACME", "company": "Acme", "country": "USA"}' %[1]s/customers
  curl -d '{"name": "Anvil", "price": "99.50", "in_stock": 2}' %[1]s/products
  curl -d '{"customer": "ACME", "lines": [{"product": 1, "quantity": 2}]}' %[1]s/orders
  curl -d '{"customer": "ACME", "lines": [{"product": 1, "quantity": 1}]}' %[1]s/orders     # sold out: 409
  curl %[1]s/notifications
  curl -X POST %[1]s/notifications/deliver
`
