package module_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/module"
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

func names(modules []module.Module) []string {
	var all []string
	for _, m := range modules {
		all = append(all, m.Name)
	}
	return all
}

func TestOrderIsDependenciesFirstThenNames(t *testing.T) {
	t.Parallel()
	a := module.Module{Name: "a"}
	z := module.Module{Name: "z"}
	m := module.Module{Name: "m", DependsOn: []module.Module{z, a}}
	b := module.Module{Name: "b", DependsOn: []module.Module{m}}
	for _, registered := range [][]module.Module{{b, m, a, z}, {z, a, m, b}, {b}} {
		set, err := module.NewSet(offline(t), registered...)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := names(set.Order()), []string{"a", "z", "m", "b"}; !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", names(registered), got, want)
		}
	}
}

func TestARegisteredModuleBeatsAnImpliedOne(t *testing.T) {
	t.Parallel()
	users := module.Module{Name: "users"}
	orders := module.Module{Name: "orders", DependsOn: []module.Module{users}}
	set, err := module.NewSet(offline(t), orders, users.WithSchema("acme_users"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := set.Manager(orders)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Expand("{{tables.users.users}}"); err != nil || got != `"acme_users"."users"` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestASecondMountIsAModuleOfItsOwn(t *testing.T) {
	t.Parallel()
	users := module.Module{Name: "users", Schema: "people"}
	set, err := module.NewSet(offline(t), users, users.As("users_eu"))
	if err != nil {
		t.Fatal(err)
	}
	for name, schema := range map[string]string{"users": "people", "users_eu": "users_eu"} {
		if m, err := set.Manager(module.Module{Name: name}); err != nil || m.Schema() != schema {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

func TestManagersReachDeclaredDependenciesOnly(t *testing.T) {
	t.Parallel()
	users := module.Module{Name: "users"}
	billing := module.Module{Name: "billing", DependsOn: []module.Module{users}}
	orders := module.Module{Name: "orders", DependsOn: []module.Module{billing}}
	set, err := module.NewSet(offline(t), orders)
	if err != nil {
		t.Fatal(err)
	}
	m, err := set.Manager(orders)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Expand("{{tables.billing.invoices}}"); err != nil || got != `"billing"."invoices"` {
		t.Errorf("%s, %v", got, err)
	}
	_, err = m.Expand("{{tables.users.users}}")
	if err == nil || !strings.Contains(err.Error(), `module "orders" does not depend on "users" (it declares billing)`) {
		t.Errorf("got %v", err)
	}
	_, err = set.Manager(module.Module{Name: "stock"})
	if err == nil || err.Error() != `module: "stock" is not in the set (have users, billing, orders)` {
		t.Errorf("got %v", err)
	}
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	broken := fstest.MapFS{"notes.sql": {Data: []byte("select 1")}}
	_, err := module.NewSet(offline(t),
		module.Module{Name: "twice"}, module.Module{Name: "twice"},
		module.Module{Name: "bad-name"},
		module.Module{Name: "pg", Schema: "pg_catalog"},
		module.Module{Name: "one", Schema: "shared"}, module.Module{Name: "other", Schema: "shared"},
		module.Module{Name: "a", DependsOn: []module.Module{{Name: "b", DependsOn: []module.Module{{Name: "c", DependsOn: []module.Module{{Name: "a"}}}}}}},
		module.Module{Name: "selfish", DependsOn: []module.Module{{Name: "selfish"}}},
		module.Module{Name: "x", DependsOn: []module.Module{{Name: "dep"}}}, module.Module{Name: "y", DependsOn: []module.Module{{Name: "dep", Schema: "elsewhere"}}},
	)
	for _, want := range []string{
		`"twice" is registered twice; mount it a second time with As(name)`,
		`name "bad-name"`,
		`"pg": schema "pg_catalog"`,
		`"one" and "other" both claim schema "shared"`,
		"dependency cycle: a → b → c → a",
		"dependency cycle: selfish → selfish",
		`"y" depends on "dep" in schema "elsewhere", another module on the same in schema "dep"; register "dep" to decide`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	_, err = module.NewSet(offline(t), module.Module{Name: "a", Migrations: broken}, module.Module{Name: "b", Migrations: broken})
	if err == nil || strings.Count(err.Error(), "notes.sql") < 2 || !strings.Contains(err.Error(), `module: "b"`) {
		t.Errorf("got %v", err)
	}
}

func TestSub(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"migrations/1_a.sql": {Data: []byte("select 1")}}
	if _, err := module.Sub(files, "migrations").Open("1_a.sql"); err != nil {
		t.Error(err)
	}
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), `module: Sub("migration")`) {
			t.Errorf("recovered %v", p)
		}
	}()
	module.Sub(files, "migration")
}
