package module_test

import (
	"context"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestAModuleMayBringMigrationsWrittenInGo(t *testing.T) {
	t.Parallel()
	stock := module.Module{Name: "stock", DependsOn: []module.Module{users}, Load: migrations.LoadOptions{
		Vars: map[string]string{"size": "42"},
		Go: []migrations.GoMigration{{Version: 1, Name: "stock", Up: func(ctx context.Context, db pgdbm.DB) error {
			_, err := db.Exec(ctx, "create table {{tables.stock}} as select id from {{tables.users.users}}")
			return err
		}}},
	}}
	set, err := module.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t)}, stock)
	testkit.NoError(t, err)
	defer func() { _ = set.Close(context.Background()) }()
	m, err := set.Manager(stock)
	testkit.NoError(t, err)
	exists, err := m.TableExists(t.Context(), "stock")
	testkit.NoError(t, err)
	testkit.Equal(t, exists, true)
	stock.Migrations = sqlFile("1_clash.sql", "select {{var.size}}")
	_, err = module.NewSet(set.Pool(), stock)
	testkit.ErrorContains(t, err, `module: "stock": migrations: 1_stock (load_test.go:`, "has the same version 1 as 1_clash.sql")
}

func TestMigratorOfASetKnowsItsModules(t *testing.T) {
	t.Parallel()
	set, err := module.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t)}, orders.WithSchema("shop"))
	testkit.NoError(t, err)
	defer func() { _ = set.Close(context.Background()) }()
	m, err := set.Migrator()
	testkit.NoError(t, err)
	rows, err := m.History(t.Context(), migrations.Only("orders"))
	testkit.NoError(t, err)
	testkit.Equal(t, len(rows), 1)
	testkit.Equal(t, rows[0].Schema, "shop")
	testkit.ErrorContains(t, m.Resolve(t.Context(), "users", "1", migrations.ResolveRetry), "1_users.sql is applied; undo it with Down")
}
