package pgdbm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// offline returns a pool that never connects.
func offline(t testing.TB) *pgdbm.Pool {
	t.Helper()
	pool, err := pgdbm.New(pgdbm.Config{Host: "127.0.0.1", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close(context.Background()) })
	return pool
}

func TestExpand(t *testing.T) {
	t.Parallel()
	pool := offline(t)
	bound, err := pool.Manager("app")
	if err != nil {
		t.Fatal(err)
	}
	unbound, err := pool.Manager("")
	if err != nil {
		t.Fatal(err)
	}
	bind := func(b pgdbm.Binding) *pgdbm.Manager {
		t.Helper()
		m, err := pool.Bind(b)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	inSet := bind(pgdbm.Binding{Module: "orders", Schema: "acme", Modules: map[string]string{"billing": "Acme_Billing"}})
	elsewhere := bind(pgdbm.Binding{Module: "orders", Schema: "acme", Modules: map[string]string{"billing": "other"}})
	nowhere := bind(pgdbm.Binding{Module: "orders", Modules: map[string]string{"billing": ""}})
	literal := bind(pgdbm.Binding{Module: "orders", Schema: "acme"})
	closed := bind(pgdbm.Binding{Schema: "acme", Modules: map[string]string{}})
	for _, c := range []struct {
		m        *pgdbm.Manager
		sql      string
		want     string
		mistaken string // in the error
	}{
		{m: bound, sql: "select 1", want: "select 1"},
		{m: bound, sql: "{{schema}} {{tables.users}} {{tables.billing.invoices}}", want: `"app" "app"."users" "billing"."invoices"`},
		{m: unbound, sql: "{{schema}} {{tables.users}} {{tables.billing.invoices}}", want: `"public" "users" "billing"."invoices"`},
		{m: inSet, sql: "{{tables.users}} {{tables.billing.invoices}} {{tables.orders.lines}}", want: `"acme"."users" "Acme_Billing"."invoices" "acme"."lines"`},
		{m: elsewhere, sql: "{{tables.users}} {{tables.billing.invoices}} {{tables.orders.lines}}", want: `"acme"."users" "other"."invoices" "acme"."lines"`},
		{m: literal, sql: "{{tables.users}} {{tables.billing.invoices}} {{tables.orders.lines}}", want: `"acme"."users" "billing"."invoices" "acme"."lines"`},
		{m: nowhere, sql: "{{schema}} {{tables.users}} {{tables.billing.invoices}} {{tables.orders.lines}}", want: `"public" "users" "invoices" "lines"`},
		{m: inSet, sql: "x {{tables.stock.items}}", mistaken: `pgdbm: template {{tables.stock.items}} at offset 2: module "orders" does not depend on "stock" (it declares billing); add it to DependsOn`},
		{m: inSet, sql: "{{tables.biling.items}}", mistaken: `module "orders" does not depend on "biling" (it declares billing); did you mean {{tables.billing.items}}?`},
		{m: inSet, sql: "{{tables.ordrs.items}}", mistaken: `did you mean {{tables.orders.items}}?`},
		{m: closed, sql: "{{tables.a.b}}", mistaken: `the manager of schema acme does not depend on "a" (it declares none); add it to DependsOn`},
		{m: bound, sql: "select {{" + strings.Repeat("x", 5000) + "}}", mistaken: "template {{" + strings.Repeat("x", 38) + "… at offset 7: is unknown"},
		{m: bound, sql: "select {{tabels.x}}", mistaken: "did you mean {{tables.x}}?"},
	} {
		for range 2 { // computed, then remembered
			got, err := c.m.Expand(c.sql)
			if c.mistaken != "" {
				if err == nil || !strings.Contains(err.Error(), c.mistaken) {
					t.Errorf("%s: %v", c.sql, err)
				}
			} else if err != nil || got != c.want {
				t.Errorf("%s: got %s, %v; want %s", c.sql, got, err, c.want)
			}
		}
	}
}

func TestNamesAreChecked(t *testing.T) {
	t.Parallel()
	pool := offline(t)
	for _, schema := range []string{"a-b", "1a", "pg_x", strings.Repeat("x", 64), `a"b`, "é"} {
		if _, err := pool.Manager(schema); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", schema)) {
			t.Errorf("%q: %v", schema, err)
		}
	}
	for _, schema := range []string{"select", "MyApp", strings.Repeat("x", 63), "_"} {
		m, err := pool.Manager(schema)
		if err != nil {
			t.Errorf("%q: %v", schema, err)
			continue
		}
		if got, err := m.Qualify("order"); err != nil || got != `"`+schema+`"."order"` {
			t.Errorf("%q: %s, %v", schema, got, err)
		}
	}
	_, err := pool.Bind(pgdbm.Binding{Module: "a.b", Schema: "1", Modules: map[string]string{"c=d": "e", "f": "pg_g"}})
	for _, want := range []string{`module "a.b"`, `schema "1"`, `module "c=d"`, `schema "pg_g"`} { // all at once
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
	m, err := pool.Manager("app")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Qualify("app.users"); err == nil || !strings.Contains(err.Error(), "unqualified") {
		t.Errorf("got %v", err)
	}
}

func TestExactNamesOnTheServer(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{})
	for _, schema := range []string{"Select", "order", strings.Repeat("x", 63)} {
		m := bind(t, pool, schema)
		exec(t, m, "create table {{tables.order}} (id int)")
		exec(t, m, `insert into {{tables.order}} select 1 where '{{tables.order}}'::regclass = $1::text::regclass`, `"`+schema+`"."order"`)
		if n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from {{tables.order}}"); err != nil || n != 1 {
			t.Errorf("%s: %d, %v", schema, n, err)
		}
		if ok, err := m.TableExists(t.Context(), "order"); err != nil || !ok {
			t.Errorf("%s: TableExists: %t, %v", schema, ok, err)
		}
		if ok, err := m.TableExists(t.Context(), "Order"); err != nil || ok {
			t.Errorf("%s: TableExists of another case: %t, %v", schema, ok, err)
		}
		if _, err := m.TableExists(t.Context(), schema+".order"); err == nil || !strings.Contains(err.Error(), "name an unqualified table of the bound schema") {
			t.Errorf("%s: TableExists of a qualified name: %v", schema, err)
		}
	}
}
