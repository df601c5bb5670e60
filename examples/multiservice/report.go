package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/orders"
)

// print writes a report in the form that was asked for.
func (o options) print(w io.Writer, r orders.Report) error {
	if o.report == "json" {
		return json.NewEncoder(w).Encode(r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "customers\t%d\nproducts\t%d\norders\t%d\n", r.Totals.Customers, r.Products, r.Orders)
	fmt.Fprintf(t, "lines\t%d\nunits\t%d\nrevenue\t%s\n", r.Lines, r.Units, r.Revenue)
	fmt.Fprintln(t, "\nmost orders to")
	for _, c := range r.Countries {
		fmt.Fprintf(t, "%s\t%d\n", c.Country, c.Orders)
	}
	fmt.Fprintln(t, "\nmost revenue from")
	for _, c := range r.Customers {
		fmt.Fprintf(t, "%s\t%s\n", c.ID, c.Revenue)
	}
	return t.Flush()
}
