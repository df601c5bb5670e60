package module_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

var crm = module.Module{Name: "crm", DependsOn: []module.Module{users}, Migrations: sqlFile("1_contacts.sql",
	"create table {{tables.contacts}} (id int primary key references {{tables.users.users}}, name text)")}

func TestATenantOfEveryId(t *testing.T) {
	t.Parallel()
	set, err := module.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t)}, users.WithSchema("people"))
	testkit.NoError(t, err)
	defer func() { _ = set.Close(context.Background()) }()
	tenants, err := set.Tenants(crm, module.TenantConfig{Prefix: "crm_", ExecMode: pgx.QueryExecModeExec})
	testkit.NoError(t, err)
	db, err := set.Manager(users)
	testkit.NoError(t, err)
	_, err = db.Exec(t.Context(), "insert into {{tables.users}} values (1), (2)")
	testkit.NoError(t, err)
	for i, id := range []string{"acme", "Zeta"} {
		testkit.NoError(t, tenants.Ensure(t.Context(), id))
		m, err := tenants.Manager(id)
		testkit.NoError(t, err)
		testkit.Equal(t, m.Schema(), "crm_"+id)
		_, err = m.Exec(t.Context(), "insert into {{tables.contacts}} select id, $1 from {{tables.users.users}} where id = $2", id, i+1)
		testkit.NoError(t, err)
	}
	for i, id := range []string{"acme", "Zeta"} {
		m, err := tenants.Manager(id)
		testkit.NoError(t, err)
		got, err := pgdbm.FetchValue[string](t.Context(), m, "select id || name from {{tables.contacts}}")
		testkit.NoError(t, err)
		testkit.Equal(t, got, fmt.Sprint(i+1)+id)
	}
	nobody, err := tenants.Manager("nobody")
	testkit.NoError(t, err)
	if _, err := nobody.Exec(t.Context(), "select from {{tables.contacts}}"); !errors.Is(err, pgdbm.ErrUndefined) {
		t.Error(err)
	}
	m, err := tenants.Manager("acme")
	testkit.NoError(t, err)
	if n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from pg_prepared_statements where statement like '%crm_%'"); err != nil || n != 0 {
		t.Errorf("%d statements are prepared, %v", n, err)
	}
	counted := 0
	for _, m := range set.Pool().Metrics().Modules {
		if strings.HasPrefix(m.Module, "crm") {
			counted++
		}
	}
	testkit.Equal(t, counted, 1)
	report, err := set.Migrate(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, len(report.Applied), 0)
	all, err := tenants.Up(t.Context(), migrations.FanOut{})
	testkit.NoError(t, err)
	testkit.Equal(t, all.Current, 2)
	status, err := tenants.Status(t.Context())
	testkit.NoError(t, err)
	if len(status) != 2 || status[0].Tenant != "Zeta" || status[1].State != migrations.TenantCurrent {
		t.Errorf("%+v", status)
	}
}

func TestTenantsThatCannotBe(t *testing.T) {
	t.Parallel()
	set, err := module.NewSet(offline(t), users, module.Module{Name: "billing"})
	testkit.NoError(t, err)
	tenants, err := set.Tenants(crm, module.TenantConfig{Prefix: "crm_"})
	testkit.NoError(t, err)
	for _, c := range []struct {
		m      module.Module
		prefix string
		want   string
	}{
		{module.Module{Name: "billing"}, "x_", `module: tenants of "billing": the module is in the set, on schema billing; leave it out of NewSet, or give it another name with As`},
		{module.Module{Name: "x", DependsOn: []module.Module{{Name: "plans"}, {Name: "crm"}}}, "x_", `module: tenants of "x": it depends on "plans", which is not in the set (have billing, users); register it
module: tenants of "x": it depends on "crm", which is not in the set: it is on the schemas of tenants, too`},
		{module.Module{Name: "x"}, "crm_x_", `module: tenants of "x" and "crm": the prefixes "crm_x_" and "crm_" lead to the same schemas`},
		{module.Module{Name: "x"}, "", `module: tenants of "x" and "crm": the prefixes "" and "crm_" lead to the same schemas`},
		{module.Module{Name: "x", Migrations: sqlFile("notes.sql", "")}, "x_", `module: tenants of "x": migrations: notes.sql: the name has none of the accepted forms`},
		{module.Module{Name: "x-y"}, "x_", `migrations: module "x-y": names are a letter`},
		{module.Module{Name: "x"}, "x-", `schema "x-_": a name is a letter`},
	} {
		_, err := set.Tenants(c.m, module.TenantConfig{Prefix: c.prefix})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s at %q: %v, want %s", c.m.Name, c.prefix, err, c.want)
		}
	}
	_, err = set.Tenants(crm, module.TenantConfig{Prefix: "crm_", ExecMode: pgx.QueryExecModeDescribeExec})
	if err == nil || !strings.Contains(err.Error(), "describe_exec") {
		t.Errorf("%v", err)
	}
	if _, err := set.Tenants(crm, module.TenantConfig{Prefix: "crm_"}); err != nil {
		t.Errorf("a second time: %v", err)
	}
	roles, err := pgdbm.New(pgdbm.Config{Host: "127.0.0.1", Port: 1, ModuleRoles: "app_"})
	testkit.NoError(t, err)
	t.Cleanup(func() { _ = roles.Close(context.Background()) })
	limited, err := module.NewSet(roles, users)
	testkit.NoError(t, err)
	if _, err := limited.Tenants(crm, module.TenantConfig{Prefix: "crm_"}); err == nil || !strings.HasPrefix(err.Error(), `module: tenants of "crm": Config.ModuleRoles gives rights in the schemas of the set alone`) {
		t.Error(err)
	}
	if _, err := tenants.Manager("a.b"); err == nil || !strings.HasPrefix(err.Error(), `migrations: tenant "a.b" of crm: schema "crm_a.b": a name is`) {
		t.Error(err)
	}
	if m, err := tenants.Manager("a"); err != nil {
		t.Error(err)
	} else if _, err := m.Expand("{{tables.billing.invoices}}"); err == nil {
		t.Error("a module that is no dependency can be named")
	}
}

// One tenant after the other: what a request pays.
func BenchmarkTenantManager(b *testing.B) {
	pool, err := pgdbm.New(pgdbm.Config{Host: "127.0.0.1", Port: 1})
	testkit.NoError(b, err)
	b.Cleanup(func() { _ = pool.Close(context.Background()) })
	set, err := module.NewSet(pool, users)
	testkit.NoError(b, err)
	tenants, err := set.Tenants(crm, module.TenantConfig{Prefix: "crm_"})
	testkit.NoError(b, err)
	ids := make([]string, 10_000)
	for i := range ids {
		ids[i] = fmt.Sprintf("tenant_%05d", i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := tenants.Manager(ids[i%len(ids)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
