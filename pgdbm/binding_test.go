package pgdbm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// offline returns a pool that never connects.
func offline(t *testing.T) *pgdbm.Pool {
	t.Helper()
	pool, err := pgdbm.New(pgdbm.Config{Host: "127.0.0.1", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close(t.Context()) })
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
	inSet, err := pool.Bind(pgdbm.Binding{Module: "orders", Schema: "acme", Modules: map[string]string{"billing": "Acme_Billing"}})
	if err != nil {
		t.Fatal(err)
	}
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
		{m: inSet, sql: "x {{tables.stock.items}}", mistaken: `{{tables.stock.items}} at offset 2: module "orders" does not depend on "stock" (it declares billing); add it to DependsOn`},
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
	}
}

// Expansions are remembered in a bounded cache; what fell out is computed anew.
func TestExpandManyTexts(t *testing.T) {
	t.Parallel()
	m, err := offline(t).Manager("app")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for i := range 40_000 {
			got, err := m.Expand(fmt.Sprintf("select %d from {{tables.t}}", i))
			if want := fmt.Sprintf(`select %d from "app"."t"`, i); err != nil || got != want {
				t.Fatalf("got %s, %v", got, err)
			}
		}
	}
}

func BenchmarkExpand(b *testing.B) {
	pool, err := pgdbm.New(pgdbm.Config{Host: "127.0.0.1", Port: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = pool.Close(b.Context()) }()
	m, err := pool.Manager("app")
	if err != nil {
		b.Fatal(err)
	}
	for name, sql := range map[string]string{
		"templates": "select u.id, o.total from {{tables.users}} u join {{tables.orders}} o on o.user_id = u.id join {{tables.billing.invoices}} i using (order_id) where {{schema}}.f(u.id)",
		"none":      `select u.id, o.total from "app"."users" u join "app"."orders" o on o.user_id = u.id join "billing"."invoices" i using (order_id) where "app".f(u.id)`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Expand(sql); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
