package pgdbmtest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/fxpgdbm"
	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

// BenchmarkFixture is a whole test with each fixture: its database with two
// migrated modules, three statements, and its end. The last is the usual way.
func BenchmarkFixture(b *testing.B) {
	statements := func(t pgdbmtest.TB, db pgdbm.DB) {
		ctx := context.Background()
		for i := range 2 {
			_, err := store{db}.add(ctx, fmt.Sprintf("%d@example.com", i))
			testkit.NoError(t, err)
		}
		_, err := pgdbm.FetchAll[string](ctx, db, "select email from {{tables.users}}")
		testkit.NoError(t, err)
	}
	bound := []pgdbmtest.Option{pgdbmtest.WithModules(orders, users), pgdbmtest.WithSchema("users")}
	usual := pgdbmtest.New(b)
	for _, fixture := range []struct {
		name string
		test func(t pgdbmtest.TB)
	}{
		{"New", func(t pgdbmtest.TB) { statements(t, pgdbmtest.New(t, bound...)) }},
		{"NewTx", func(t pgdbmtest.TB) { statements(t, pgdbmtest.NewTx(t, bound...)) }},
		{"NewSet", func(t pgdbmtest.TB) { statements(t, pgdbmtest.NewSet(t, orders).Manager(users)) }},
		{"New with a pool of its own", func(t pgdbmtest.TB) {
			statements(t, pgdbmtest.New(t, append(slices.Clip(bound), pgdbmtest.WithPoolSize(4))...))
		}},
		{"URL", func(t pgdbmtest.TB) { open(t, pgdbm.Config{ConnString: pgdbmtest.URL(t, bound...)}, statements) }},
		{"FX", func(t pgdbmtest.TB) { start(t, statements, pgdbmtest.FX(t, bound...)) }},
		{"create, migrate, drop", func(t pgdbmtest.TB) { createAndDrop(t, usual, statements) }},
	} {
		for _, parallel := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", fixture.name, parallel), func(b *testing.B) { run(b, parallel, fixture.test) })
		}
	}
}

func open(t pgdbmtest.TB, cfg pgdbm.Config, statements func(pgdbmtest.TB, pgdbm.DB)) {
	pool, err := pgdbm.Open(context.Background(), cfg)
	testkit.NoError(t, err)
	db, err := pool.Manager("users")
	testkit.NoError(t, err)
	statements(t, db)
	testkit.NoError(t, pool.Close(context.Background()))
}

func start(t pgdbmtest.TB, statements func(pgdbmtest.TB, pgdbm.DB), opts ...fx.Option) {
	var db pgdbm.DB
	app := fx.New(fx.NopLogger, fx.Options(opts...), fxpgdbm.Module, fxpgdbm.Register(orders), fxpgdbm.Register(users, fx.Populate(&db)))
	testkit.NoError(t, app.Start(context.Background()))
	statements(t, db)
	testkit.NoError(t, app.Stop(context.Background()))
}

// createAndDrop is a test as one writes it without fixtures.
func createAndDrop(t pgdbmtest.TB, admin *pgdbmtest.DB, statements func(pgdbmtest.TB, pgdbm.DB)) {
	ctx := context.Background()
	cfg := admin.Config()
	parsed, err := pgx.ParseConfig(cfg.ConnString)
	testkit.NoError(t, err)
	name := fmt.Sprintf("%s_%d", admin.Name(), numbers.next())
	_, err = admin.Exec(ctx, "create database "+name)
	testkit.NoError(t, err)
	set, err := module.Open(ctx, pgdbm.Config{
		Host: parsed.Host, Port: parsed.Port, User: parsed.User, Password: parsed.Password, Database: name,
		TLS: pgdbm.TLSConfig{Mode: "disable"},
	}, orders)
	testkit.NoError(t, err)
	db, err := set.Manager(users)
	testkit.NoError(t, err)
	statements(t, db)
	testkit.NoError(t, set.Close(ctx))
	_, err = admin.Exec(ctx, "drop database "+name+" with (force)")
	testkit.NoError(t, err)
}

var numbers counter

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

// run has that many workers do the test and reports percentiles of its time.
func run(b *testing.B, parallel int, test func(pgdbmtest.TB)) {
	b.Helper()
	work := make(chan int)
	times := make([][]time.Duration, parallel)
	var workers sync.WaitGroup
	for worker := range parallel {
		workers.Go(func() {
			first := true
			for range work {
				begin := time.Now()
				if f := try(func(f *fake) { test(f) }); f.failed {
					b.Error(f.output())
				}
				if !first { // that one makes what is made once
					times[worker] = append(times[worker], time.Since(begin))
				}
				first = false
			}
		})
	}
	for range parallel {
		work <- 0
	}
	for b.Loop() {
		work <- 0
	}
	close(work)
	workers.Wait()
	all := slices.Concat(times...)
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(all[len(all)*95/100].Microseconds())/1000, "p95-ms")
	}
}
