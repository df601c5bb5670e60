package sales_test

import (
	"context"
	"embed"
	"errors"
	"strings"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"example.com/shop/catalog"
	"example.com/shop/sales"
	"github.com/pgdbm/pgdbm-go/fxpgdbm"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

//go:embed testdata
var files embed.FS

var shop = pgdbmtest.WithModules(catalog.Module, sales.Module)

func TestNew(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithModules(catalog.Module))
	id, err := catalog.NewStore(db).Add(t.Context(), "Anvil", 1)
	if err != nil || id != 1 {
		t.Errorf("product %d: %v", id, err)
	}
	if n := db.Count("products", "name = $1", "Anvil"); n != 1 {
		t.Errorf("%d products", n)
	}
	if db.TableExists("orders") || db.InSchema("archive").TableExists("products") {
		t.Error("there are tables of somebody else")
	}
	db.Truncate("products")
	if n := db.Count("products"); n != 0 {
		t.Errorf("%d products are left", n)
	}
}

func TestNewTx(t *testing.T) {
	t.Parallel()
	tx := pgdbmtest.NewTx(t, pgdbmtest.WithModules(catalog.Module))
	store := catalog.NewStore(tx)
	if _, err := store.Add(t.Context(), "Anvil", 1); err != nil {
		t.Fatal(err)
	}
	before := tx.Snapshot("products", "id")
	err := tx.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		_, err := store.In(tx).Add(t.Context(), "Anvil", 1)
		return err
	})
	if !errors.Is(err, pgdbm.ErrConflict) {
		t.Errorf("got %v", err)
	}
	before.RequireUnchanged()
}

func TestNewSetAndSeed(t *testing.T) {
	t.Parallel()
	set := pgdbmtest.NewSet(t, sales.Module)
	store := sales.NewStore(set.Manager(sales.Module), catalog.NewStore(set.Manager(catalog.Module)))
	orders := set.DB(sales.Module)
	counts := pgdbmtest.Seed(t, orders, files, "testdata/products.json", "testdata/orders")
	for table, n := range map[string]int{"catalog.products": 2, "orders": 3} {
		if counts[table] != n || orders.Count(table) != n {
			t.Errorf("%s: %d seeded, %d there", table, counts[table], orders.Count(table))
		}
	}
	before := orders.Snapshot("orders", "id")
	if err := store.Sell(t.Context(), 2, "ada"); !errors.Is(err, pgdbm.ErrInvalid) {
		t.Errorf("sold what is not there: %v", err)
	}
	before.RequireUnchanged()
	if err := store.Sell(t.Context(), 1, "ada"); err != nil {
		t.Error(err)
	}
}

func TestNewFactory(t *testing.T) {
	t.Parallel()
	regions := pgdbmtest.NewFactory(t, pgdbmtest.WithModules(catalog.Module))
	eu, us := regions.Create("eu"), regions.Create("us", pgdbmtest.WithPoolSize(1))
	if _, err := catalog.NewStore(eu).Add(t.Context(), "Anvil", 1); err != nil {
		t.Fatal(err)
	}
	if eu.Count("products") != 1 || us.Count("products") != 0 || eu.Name() == us.Name() {
		t.Error("the regions share a database")
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	set, err := module.Open(t.Context(), pgdbm.Config{ConnString: pgdbmtest.URL(t)}, sales.Module)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// application is what main runs, with the address of production.
var application = fx.Options(
	fx.Supply(pgdbm.Config{ConnString: "postgres://production.invalid/shop"}),
	fxpgdbm.Module,
	fxpgdbm.Register(catalog.Module, fx.Provide(catalog.NewStore)),
	fxpgdbm.Register(sales.Module, fx.Provide(sales.NewStore)),
)

func TestFX(t *testing.T) {
	t.Parallel()
	var products *catalog.Store
	var store *sales.Store
	app := fxtest.New(t, fx.NopLogger, application, pgdbmtest.FX(t, shop), fx.Populate(&products, &store))
	app.RequireStart()
	defer app.RequireStop()
	id, err := products.Add(t.Context(), "Anvil", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Sell(t.Context(), id, "ada"); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	audited := pgdbmtest.WithMigrations(module.Sub(files, "testdata/audit"))
	admin := pgdbmtest.WithSetup("an entry of the clerk's", func(ctx context.Context, db pgdbm.DB) error {
		_, err := db.Exec(ctx, "insert into {{tables.log}} (entry) values ('opened')")
		return err
	})
	db := pgdbmtest.New(t, shop, pgdbmtest.WithSchema("audit"), audited, admin, pgdbmtest.WithData(),
		pgdbmtest.WithFixtures(files, "testdata/audit.json"), pgdbmtest.WithExtensions("plpgsql"),
		pgdbmtest.Fresh(), pgdbmtest.KeepOnFailure(), pgdbmtest.MinVersion(14))
	for table, n := range map[string]int{"log": 2, "catalog.products": 0, "users": 3, "projects": 2, "agents": 5} {
		if got := db.Count(table); got != n {
			t.Errorf("%s: %d rows", table, got)
		}
	}

	clerk := pgdbmtest.New(t, pgdbmtest.WithTables(), pgdbmtest.WithRole("pgdbm_shop_clerk"), pgdbmtest.WithPoolSize(2))
	if _, err := clerk.Exec(t.Context(), "insert into {{tables.users}} (email) values ('me')"); !errors.Is(err, pgdbm.ErrPermission) {
		t.Errorf("the clerk is the owner: %v", err)
	}
	t.Run("old server", func(t *testing.T) {
		t.Parallel()
		pgdbmtest.New(t, pgdbmtest.MinVersion(99))
		t.Error("was not skipped")
	})
}

func TestParallelSubtests(t *testing.T) {
	t.Parallel()
	shared := pgdbmtest.New(t, shop)
	for _, name := range []string{"a", "b", strings.Repeat("long ", 20) + "/世界"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := catalog.NewStore(pgdbmtest.New(t, pgdbmtest.WithModules(catalog.Module)))
			if id, err := own.Add(t.Context(), "Anvil", 1); err != nil || id != 1 {
				t.Errorf("product %d: %v", id, err)
			}
			if n := shared.For(t).Count("catalog.products"); n != 0 {
				t.Errorf("%d products", n)
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	db := pgdbmtest.New(b, pgdbmtest.WithModules(catalog.Module))
	store := catalog.NewStore(db)
	for b.Loop() {
		if err := store.Take(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("tx", func(b *testing.B) {
		tx := pgdbmtest.NewTx(b, pgdbmtest.WithModules(catalog.Module))
		for range b.N {
			tx.Count("products")
		}
	})
}

func FuzzAdd(f *testing.F) {
	shared := pgdbmtest.New(f, pgdbmtest.WithModules(catalog.Module))
	f.Add("Anvil")
	f.Add("'; drop table products --")
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, name string) {
		own := pgdbmtest.New(t, pgdbmtest.WithModules(catalog.Module))
		_, err := catalog.NewStore(own).Add(t.Context(), name, 1)
		if err == nil && own.Count("products", "name = $1", name) != 1 {
			t.Errorf("%q was stored as something else", name)
		}
		if n := shared.For(t).Count("products"); n != 0 {
			t.Errorf("%d products", n)
		}
	})
}
