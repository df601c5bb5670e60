package pgdbmtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

// A mistake ends the test in the way of its framework, and nothing stays locked
// for the next test.
func TestFixturesOnEveryKindOfTest(t *testing.T) {
	t.Parallel()
	for way, leave := range ways {
		broken := users
		broken.Migrations = files("1_users.sql", "select '"+way+"', nonsense;")
		bad := pgdbmtest.WithModules(broken)
		for name, mistake := range map[string]func(f *fake) (got any){
			"New":        func(f *fake) any { return zero(pgdbmtest.New(f, bad)) },
			"NewTx":      func(f *fake) any { return zero(pgdbmtest.NewTx(f, bad)) },
			"NewSet":     func(f *fake) any { return zero(pgdbmtest.NewSet(f, broken)) },
			"NewFactory": func(f *fake) any { return zero(pgdbmtest.NewFactory(f, bad).Create("one")) },
			"URL":        func(f *fake) any { return zero(pgdbmtest.URL(f, bad)) },
			"FX": func(f *fake) any {
				if fx.New(fx.NopLogger, pgdbmtest.FX(f, bad)).Err() == nil {
					return "an application"
				}
				return nil
			},
			"option":    func(f *fake) any { return zero(pgdbmtest.New(f, pgdbmtest.WithSchema("no-good"))) },
			"setup":     func(f *fake) any { return zero(pgdbmtest.New(f, pgdbmtest.WithSetup("fails", fails))) },
			"manager":   func(f *fake) any { return zero(pgdbmtest.NewSet(f, users).Manager(orders)) },
			"set's DB":  func(f *fake) any { return zero(pgdbmtest.NewSet(f, users).DB(orders)) },
			"seed":      func(f *fake) any { return len(pgdbmtest.Seed(f, pgdbmtest.New(f), files())) > 0 },
			"count":     func(f *fake) any { return zero(pgdbmtest.New(f).Count("nothing")) },
			"count 7":   func(f *fake) any { return zero(pgdbmtest.New(f).Count("nothing", 7)) },
			"exists":    func(f *fake) any { return zero(pgdbmtest.NewTx(f).TableExists("no-good")) },
			"schema":    func(f *fake) any { return zero(pgdbmtest.New(f).InSchema("no-good")) },
			"tx schema": func(f *fake) any { return zero(pgdbmtest.NewTx(f).InSchema("no-good")) },
			"truncate":  func(f *fake) any { pgdbmtest.New(f).Truncate(); return nil },
			"snapshot":  func(f *fake) any { pgdbmtest.New(f).Snapshot("nothing", ""); return nil },
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				f := tryLeaving(leave, func(f *fake) {
					if got := mistake(f); got != nil && got != false {
						f.Errorf("returned %v", got)
					}
					if way != "return" {
						t.Error("the test went on")
					}
				})
				wantSaid(t, f)
				if n := len(f.log); n != 1 {
					t.Errorf("%d messages:\n%s", n, f.output())
				}
				_, err := store{pgdbmtest.New(t, pgdbmtest.WithModules(users))}.add(t.Context(), "ada@example.com")
				testkit.NoError(t, err)
			})
		}
		t.Run("skip "+way, func(t *testing.T) {
			t.Parallel()
			f := tryLeaving(leave, func(f *fake) { _ = zero(pgdbmtest.NewTx(f, pgdbmtest.MinVersion(99))) })
			testkit.Equal(t, f.skipped, true)
			testkit.Equal(t, f.Failed(), false)
		})
	}
}

func fails(context.Context, pgdbm.DB) error { return errors.New("setup has failed") }

// zero returns nil for what a fixture returns after a mistake, else v.
func zero[T comparable](v T) any {
	var none T
	if v == none {
		return nil
	}
	return v
}

func TestCleanupsFindTheDatabaseThatWasMadeBeforeThem(t *testing.T) {
	t.Parallel()
	for name, fixture := range map[string]func(f *fake) (db pgdbm.DB, count func() int){
		"New": func(f *fake) (pgdbm.DB, func() int) {
			db := pgdbmtest.New(f, pgdbmtest.WithModules(users))
			return db, func() int { return db.Count("users") }
		},
		"own pool": func(f *fake) (pgdbm.DB, func() int) {
			db := pgdbmtest.New(f, pgdbmtest.WithModules(users), pgdbmtest.WithPoolSize(2))
			return db, func() int { return db.Count("users") }
		},
		"NewTx": func(f *fake) (pgdbm.DB, func() int) {
			tx := pgdbmtest.NewTx(f, pgdbmtest.WithModules(users))
			return tx, func() int { return tx.Count("users") }
		},
		"NewSet": func(f *fake) (pgdbm.DB, func() int) {
			db := pgdbmtest.NewSet(f, orders).DB(users)
			return db, func() int { return db.Count("users") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := try(func(f *fake) {
				db, count := fixture(f)
				f.Cleanup(func() {
					if n := count(); n != 1 {
						f.Errorf("%d rows", n)
					}
				})
				f.Cleanup(func() {
					if _, err := (store{db}).add(context.Background(), "ada@example.com"); err != nil {
						f.Errorf("%v", err)
					}
				})
			})
			testkit.Equal(t, f.output(), "")

			var count func() int
			wantFatal(t, func(f *fake) {
				f.Cleanup(func() { count() })
				_, count = fixture(f)
			}, "pgdbmtest: Count: ", "; the test is over, and its database with it (a Cleanup function that uses it is registered after it was made)")
		})
	}
}

func TestForReportsToTheOtherTest(t *testing.T) {
	t.Parallel()
	parent := try(func(f *fake) {
		db, tx := pgdbmtest.New(f, pgdbmtest.WithModules(users)), pgdbmtest.NewTx(f)
		for _, misuse := range []func(f *fake){
			func(f *fake) { db.For(f).Count("nothing") },
			func(f *fake) { db.For(f).InSchema("users").Truncate() },
			func(f *fake) { db.For(f).Snapshot("nothing", "") },
			func(f *fake) { tx.For(f).TableExists("no-good") },
			func(f *fake) { tx.For(f).InSchema("no-good") },
		} {
			wantFatal(t, misuse)
		}
		testkit.Equal(t, db.Count("users"), 0) // the sub-tests' end is not the database's
	})
	testkit.Equal(t, parent.output(), "")
}

func TestParallelSubtestsShareTheDatabaseOfTheirParent(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithModules(users))
	t.Cleanup(func() { testkit.Equal(t, db.Count("users"), 3) }) // when they have ended
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db, email := db.For(t), fmt.Sprintf("%d@example.com", i)
			_, err := store{db}.add(t.Context(), email)
			testkit.NoError(t, err)
			testkit.Equal(t, db.Count("users", "email = $1", email), 1)
		})
	}
}

func TestFixturesInGoroutines(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			db := pgdbmtest.New(t, pgdbmtest.WithModules(users))
			if _, err := (store{db}).add(t.Context(), "ada@example.com"); err != nil {
				t.Error(err)
			}
			if tx := pgdbmtest.NewTx(t, pgdbmtest.WithModules(users)); tx.Count("users") != 0 || db.Count("users") != 1 {
				t.Error("the databases are not their own")
			}
		})
	}
	all.Wait()
	f := try(func(f *fake) { // Fatalf ends the goroutine, not the test
		f.run(func() { pgdbmtest.New(f, pgdbmtest.WithSchema("no-good")) })
		f.Logf("it goes on")
	})
	wantSaid(t, f, `schema "no-good"`, "it goes on")
}

// In a bubble the goroutines of a pool would never let it end.
func TestDatabasesAreMadeOutsideOfBubbles(t *testing.T) {
	t.Parallel()
	db := pgdbmtest.New(t, pgdbmtest.WithModules(users))
	synctest.Test(t, func(t *testing.T) {
		wantFatal(t, func(f *fake) { pgdbmtest.New(f) }, "pgdbmtest: a database cannot be made inside a testing/synctest bubble: make it before synctest.Test")
		testkit.Equal(t, db.For(t).Count("users"), 0)
	})
}

func TestNewSetOfNothing(t *testing.T) {
	t.Parallel()
	set := pgdbmtest.NewSet(t)
	testkit.Equal(t, len(set.Order()), 0)
	_, err := set.Migrate(t.Context())
	testkit.NoError(t, err)
	wantFatal(t, func(f *fake) { pgdbmtest.NewSet(f).Manager(module.Module{Name: "users"}) }, `"users" is not in the set`)
}
