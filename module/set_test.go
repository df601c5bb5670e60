package module_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func sqlFile(name, text string) fs.FS {
	return fstest.MapFS{name: {Data: []byte(text)}}
}

var (
	users  = module.Module{Name: "users", Migrations: sqlFile("1_users.sql", "create table {{tables.users}} (id int primary key)")}
	orders = module.Module{Name: "orders", DependsOn: []module.Module{users}, Migrations: sqlFile("1_orders.sql",
		"create view {{tables.buyers}} as select id from {{tables.users.users}}")}
)

func TestOpenOwnsItsPoolAndMigratesDependenciesFirst(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	set, err := module.Open(t.Context(), pgdbm.Config{ConnString: dsn}, orders)
	testkit.NoError(t, err)
	m, err := set.Manager(orders)
	testkit.NoError(t, err)
	if n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from {{tables.buyers}}"); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	testkit.NoError(t, set.Verify(t.Context()))
	testkit.NoError(t, set.Close(t.Context()))
	if err := set.Pool().Health(t.Context()); !errors.Is(err, pgdbm.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}

func TestAGuestLeavesThePoolOpen(t *testing.T) {
	t.Parallel()
	pool, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t)})
	testkit.NoError(t, err)
	defer func() { _ = pool.Close(context.Background()) }()
	for _, schema := range []string{"acme_orders", "zeta_orders"} { // twice on one database
		set, err := module.NewSet(pool, orders.WithSchema(schema))
		testkit.NoError(t, err)
		if err := set.Verify(t.Context()); !errors.Is(err, migrations.ErrPending) {
			t.Errorf("%s: before: %v", schema, err)
		}
		_, err = set.Migrate(t.Context())
		testkit.NoError(t, err)
		m, err := set.Manager(orders)
		testkit.NoError(t, err)
		if exists, err := m.TableExists(t.Context(), "buyers"); err != nil || !exists || m.Schema() != schema {
			t.Errorf("%s: %t, %v", schema, exists, err)
		}
		testkit.NoError(t, set.Close(t.Context()))
	}
	testkit.NoError(t, pool.Health(t.Context()))
}

func TestFailedOpenLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	broken := module.Module{Name: "broken", Migrations: sqlFile("1_oops.sql", "select nonsense")}
	_, err := module.Open(t.Context(), pgdbm.Config{ConnString: dsn, ApplicationName: "failed-open"}, broken)
	var me *migrations.MigrationError
	if !errors.As(err, &me) || me.Module != "broken" {
		t.Errorf("got %v", err)
	}
	pool, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: dsn})
	testkit.NoError(t, err)
	defer func() { _ = pool.Close(context.Background()) }()
	m, err := pool.Manager("")
	testkit.NoError(t, err)
	for { // a backend takes a moment to leave
		n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from pg_stat_activity where application_name = 'failed-open'")
		testkit.NoError(t, err)
		if n == 0 {
			break
		}
	}
}

func TestStatusAndPlan(t *testing.T) {
	t.Parallel()
	set, err := module.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t)}, users)
	testkit.NoError(t, err)
	defer func() { _ = set.Close(context.Background()) }()
	status, err := set.Status(t.Context())
	testkit.NoError(t, err)
	if len(status) != 1 || status[0].Module != "users" {
		t.Errorf("got %+v", status)
	}
	plan, err := set.Plan(t.Context())
	testkit.NoError(t, err)
	if plan == nil {
		t.Error("no plan")
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	pool, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t)})
	testkit.NoError(t, err)
	defer func() { _ = pool.Close(context.Background()) }()
	_, err = pool.Pgx().Exec(t.Context(), "create schema users; create table users.users (id int primary key); create table schema_version (version int4 not null primary key); insert into schema_version values (1)")
	testkit.NoError(t, err)
	set, err := module.NewSet(pool, orders)
	testkit.NoError(t, err)
	report, err := set.Adopt(t.Context(), users, migrations.Adoption{Tool: migrations.ToolTern})
	testkit.NoError(t, err)
	if len(report.Applied) != 1 || report.Applied[0].Schema != "users" {
		t.Errorf("adopted %+v", report.Applied)
	}
	_, err = set.Migrate(t.Context())
	testkit.NoError(t, err)
	if _, err := set.Adopt(t.Context(), module.Module{Name: "stock"}, migrations.Adoption{Tool: migrations.ToolTern}); err == nil || err.Error() != `module: "stock" is not in the set (have users, orders)` {
		t.Errorf("got %v", err)
	}
}
