package pgdbmtest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/fxpgdbm"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

// test stands for a test function, whose t is a *testing.T. It prints what the
// test logs.
func test(fn func(t pgdbmtest.TB)) {
	if f := try(func(f *fake) { fn(f) }); f.output() != "" {
		fmt.Println(f.output()) //nolint:forbidigo // a part of the examples
	}
}

func ExampleNew() {
	test(func(t pgdbmtest.TB) {
		db := pgdbmtest.New(t, pgdbmtest.WithModules(users)) // migrated, empty, nobody else's
		id, err := store{db}.add(context.Background(), "ada@example.com")
		fmt.Println(id, err)
		fmt.Println(db.Count("users", "email like $1", "%@example.com"))
	})
	// Output:
	// 1 <nil>
	// 1
}

func ExampleNewTx() {
	test(func(t pgdbmtest.TB) {
		ctx := context.Background()
		tx := pgdbmtest.NewTx(t, pgdbmtest.WithModules(users))
		if _, err := (store{tx}).add(ctx, "ada@example.com"); err != nil {
			t.Fatalf("%v", err)
		}
		err := tx.InTx(ctx, func(tx *pgdbm.Tx) error { // an expected error has a savepoint of its own
			_, err := store{tx}.add(ctx, "ada@example.com")
			return err
		})
		fmt.Println(errors.Is(err, pgdbm.ErrConflict), tx.Count("users"))
	})
	// Output: true 1
}

func ExampleNewSet() {
	test(func(t pgdbmtest.TB) {
		set := pgdbmtest.NewSet(t, orders) // and users, on which it depends
		id, err := store{set.Manager(users)}.add(context.Background(), "ada@example.com")
		if err != nil {
			t.Fatalf("%v", err)
		}
		_, err = set.Manager(orders).Exec(context.Background(), "insert into {{tables.orders}} (owner) values ($1)", id)
		fmt.Println(err, set.DB(orders).Count("orders"), set.DB(orders).Count("users.users"))
	})
	// Output: <nil> 1 1
}

func ExampleNewFactory() {
	test(func(t pgdbmtest.TB) {
		regions := pgdbmtest.NewFactory(t, pgdbmtest.WithModules(users))
		eu, us := regions.Create("eu"), regions.Create("us", pgdbmtest.WithPoolSize(2))
		_, err := store{eu}.add(context.Background(), "ada@example.com")
		fmt.Println(err, eu.Count("users"), us.Count("users"))
	})
	// Output: <nil> 1 0
}

func ExampleURL() {
	test(func(t pgdbmtest.TB) {
		ctx := context.Background()
		set, err := module.Open(ctx, pgdbm.Config{ConnString: pgdbmtest.URL(t)}, users) // as main does
		if err != nil {
			t.Fatalf("%v", err)
		}
		fmt.Println(set.Verify(ctx), set.Close(ctx))
	})
	// Output: <nil> <nil>
}

func ExampleFX() {
	test(func(t pgdbmtest.TB) {
		ctx := context.Background()
		application := fx.Options( // what main runs
			fx.NopLogger,
			fx.StartTimeout(time.Minute),
			fx.Supply(pgdbm.Config{ConnString: "postgres://production.example.com/app"}),
			fxpgdbm.Module,
			fxpgdbm.Register(users, fx.Provide(newStore)),
		)
		var s *store
		app := fx.New(application, pgdbmtest.FX(t, pgdbmtest.WithModules(users)), fx.Populate(&s)) // fxtest.New in a test
		if err := app.Start(ctx); err != nil {
			t.Fatalf("%v", err)
		}
		id, err := s.add(ctx, "ada@example.com")
		fmt.Println(id, err, app.Stop(ctx))
	})
	// Output: 1 <nil> <nil>
}

func ExampleSeed() {
	test(func(t pgdbmtest.TB) {
		db := pgdbmtest.NewSet(t, orders).DB(orders)
		counts := pgdbmtest.Seed(t, db, files( // in a test os.DirFS("testdata"), or an embed.FS
			"1_people.json", `{"users.users": [{"id": 7, "email": "ada@example.com"}, {"email": "bob@example.com"}]}`,
			"2_orders.sql", `insert into {{tables.orders}} (owner) select id from {{tables.users.users}};`,
		))
		fmt.Println(counts, db.Count("orders", "owner = 8"))
	})
	// Output: map[orders:2 users.users:2] 1
}

func ExampleWithSetup() {
	admin := pgdbmtest.WithSetup("an administrator, v2", func(ctx context.Context, db pgdbm.DB) error {
		_, err := store{db}.add(ctx, "root@example.com")
		return err
	})
	for range 2 { // the function runs once, for all tests and processes
		test(func(t pgdbmtest.TB) {
			fmt.Println(pgdbmtest.New(t, pgdbmtest.WithModules(users), admin).Count("users"))
		})
	}
	// Output:
	// 1
	// 1
}

func ExampleSnapshot_RequireUnchanged() {
	test(func(t pgdbmtest.TB) {
		db := pgdbmtest.New(t, pgdbmtest.WithModules(users))
		before := db.Snapshot("users", "id")
		if _, err := (store{db}).add(context.Background(), "ada@example.com"); err != nil {
			t.Fatalf("%v", err)
		}
		before.RequireUnchanged()
	})
	// Output:
	// pgdbmtest: table users has changed (- before, + now):
	//   + {"id":1,"email":"ada@example.com"}
}
