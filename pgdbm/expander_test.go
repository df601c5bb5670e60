package pgdbm_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func remembered(t *testing.T, pool *pgdbm.Pool) int {
	t.Helper()
	n, known, counted := pool.Remembered()
	if n > pgdbm.MaxTexts || counted > pgdbm.MaxTextBytes {
		t.Errorf("%d texts of %d bytes are remembered", n, counted)
	}
	if known != counted {
		t.Errorf("%d bytes are remembered, known are %d", counted, known)
	}
	return n
}

// What is remembered of texts is bounded; what fell out is expanded anew.
func TestExpandManyTexts(t *testing.T) {
	t.Parallel()
	pool := offline(t)
	m, err := pool.Manager("app")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 110_000 {
		n := i % 100_000 // the first ones come again
		got, err := m.Expand(fmt.Sprintf("select %d from {{tables.t}}", n))
		if want := fmt.Sprintf(`select %d from "app"."t"`, n); err != nil || got != want {
			t.Fatalf("got %s, %v", got, err)
		}
	}
	if n := remembered(t, pool); n < pgdbm.MaxTexts/2 {
		t.Errorf("only %d texts are remembered", n)
	}
}

func TestExpandLongTexts(t *testing.T) {
	t.Parallel()
	pool := offline(t)
	m, err := pool.Manager("app")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 15_000 {
		body := strings.Repeat("x", i)
		got, err := m.Expand(body[:i%5000] + "{{tables.t}}")
		if err != nil || got != body[:i%5000]+`"app"."t"` {
			t.Fatalf("%d: got %d bytes, %v", i, len(got), err)
		}
	}
	remembered(t, pool)
	if _, err := m.Expand(strings.Repeat("x", 5000) + "{{tabels.t}}"); err == nil || !strings.Contains(err.Error(), "offset 5000") {
		t.Errorf("got %v", err)
	}
}

// Many goroutines, schemas and texts meet in the same places.
func TestExpandConcurrently(t *testing.T) {
	t.Parallel()
	pool := offline(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 12_500 {
				schema := fmt.Sprintf("s%d", (i+g)%7)
				m, err := pool.Manager(schema) // a manager for one statement
				if err != nil {
					t.Error(err)
					return
				}
				n := i % 3000
				got, err := m.Expand(fmt.Sprintf("select %d from {{tables.t}}", n))
				if want := fmt.Sprintf(`select %d from "%s"."t"`, n, schema); err != nil || got != want {
					t.Errorf("got %s, %v; want %s", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
	remembered(t, pool)
}

// Managers of one schema share what is remembered, however many are made.
func TestManagersShareExpansions(t *testing.T) {
	t.Parallel()
	pool := offline(t)
	for i := range 100 {
		m, err := pool.Bind(pgdbm.Binding{Module: "orders", Schema: "app", Modules: map[string]string{"users": "u", "stock": "s"}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Expand("{{tables.t}} {{tables.users.t}}"); err != nil || got != `"app"."t" "u"."t"` {
			t.Fatalf("got %s, %v", got, err)
		}
		if n := remembered(t, pool); n != 2 { // parsed, and expanded
			t.Fatalf("%d texts are remembered after %d managers", n, i+1)
		}
	}
}

func TestExpandDoesNotAllocate(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of other tests
	m, err := offline(t).Manager("app")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"select 1", "select {{schema}}.f() from {{tables.a}}, {{tables.b.c}}"} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := m.Expand(sql); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", sql, n)
		}
	}
}

// What a statement pays for its templates, beside what it would pay otherwise.
func BenchmarkExpand(b *testing.B) {
	pool := offline(b)
	m, err := pool.Manager("app")
	if err != nil {
		b.Fatal(err)
	}
	const (
		sql = "select u.id, o.total from {{tables.users}} u join {{tables.orders}} o on o.user_id = u.id join {{tables.billing.invoices}} i using (order_id) where {{schema}}.f(u.id)"
		raw = `select u.id, o.total from "app"."users" u join "app"."orders" o on o.user_id = u.id join "billing"."invoices" i using (order_id) where "app".f(u.id)`
	)
	tenants := make([]*pgdbm.Manager, 100_000)
	for i := range tenants {
		if tenants[i], err = pool.Manager(fmt.Sprintf("tenant_%d", i)); err != nil {
			b.Fatal(err)
		}
	}
	next := 0
	pattern := regexp.MustCompile(`\{\{(schema|tables\.(?:(\w+)\.)?(\w+))\}\}`)
	for _, way := range []struct {
		name   string
		expand func() (string, error)
	}{
		{"no template", func() (string, error) { return m.Expand(raw) }},
		{"remembered", func() (string, error) { return m.Expand(sql) }},
		{"first time in a schema", func() (string, error) {
			next = (next + 1) % len(tenants)
			return tenants[next].Expand(sql)
		}},
		{"strings.Replacer per call", func() (string, error) {
			return strings.NewReplacer("{{schema}}", `"app"`, "{{tables.users}}", `"app"."users"`,
				"{{tables.orders}}", `"app"."orders"`, "{{tables.billing.invoices}}", `"billing"."invoices"`).Replace(sql), nil
		}},
		{"regexp per call", func() (string, error) {
			return pattern.ReplaceAllStringFunc(sql, func(s string) string {
				switch g := pattern.FindStringSubmatch(s); {
				case g[1] == "schema":
					return `"app"`
				case g[2] == "":
					return `"app"."` + g[3] + `"`
				default:
					return `"` + g[2] + `"."` + g[3] + `"`
				}
			}), nil
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := way.expand(); err != nil {
					b.Fatal(err)
				}
			}
		})
		if got, err := way.expand(); err != nil || next == 0 && got != raw {
			b.Errorf("%s: %s, %v", way.name, got, err)
		}
	}
}
