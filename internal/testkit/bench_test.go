package testkit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

const schema = `
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, name text, created_at timestamptz DEFAULT now());
CREATE TABLE projects (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner_id bigint NOT NULL REFERENCES users (id), title text NOT NULL);
CREATE INDEX ON projects (owner_id);
CREATE TABLE tasks (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, project_id bigint NOT NULL REFERENCES projects (id), title text, done bool DEFAULT false);
CREATE INDEX ON tasks (project_id) WHERE NOT done;
CREATE TABLE comments (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, task_id bigint NOT NULL REFERENCES tasks (id), body text NOT NULL);
CREATE TABLE audit (at timestamptz DEFAULT now(), what jsonb);`

// BenchmarkTest is a whole test: a database of its own, three statements, and
// the end; one, four and eight tests at a time. Beside it the usual way: create,
// migrate, drop.
func BenchmarkTest(b *testing.B) {
	k := openKit(b, nil)
	tpl := sqlTemplate("benchmark", schema)
	fresh := tpl
	fresh.Fresh = true
	admin, err := pgxpool.New(b.Context(), k.URL(k.Admin()))
	testkit.NoError(b, err)
	defer admin.Close()
	for _, way := range []struct {
		name string
		test func(ctx context.Context, worker, n int) error
	}{
		{"recycled", func(ctx context.Context, _, _ int) error {
			return within(b, k, tpl, func(d *testkit.Database) error { return statements(ctx, d.Lend()) })
		}},
		{"recycled, own pool", func(ctx context.Context, _, _ int) error {
			return within(b, k, tpl, func(d *testkit.Database) error { return statements(ctx, d.Pool()) })
		}},
		{"clone", func(ctx context.Context, _, _ int) error {
			return within(b, k, fresh, func(d *testkit.Database) error { return statements(ctx, d.Lend()) })
		}},
		{"create, migrate, drop", func(ctx context.Context, worker, n int) error {
			return usual(ctx, admin, k.URL, fmt.Sprintf("pgdbm_bench_%d_%d", worker, n+1))
		}},
	} {
		for _, parallel := range []int{1, 4, 8} {
			b.Run(fmt.Sprintf("%s/%d", way.name, parallel), func(b *testing.B) { run(b, parallel, way.test) })
		}
	}
}

// run has that many workers do the test, and reports the median and the 95th
// percentile of its time in milliseconds.
func run(b *testing.B, parallel int, test func(ctx context.Context, worker, n int) error) {
	b.Helper()
	work := make(chan int)
	times := make([][]time.Duration, parallel)
	var group sync.WaitGroup
	for worker := range parallel {
		testkit.NoError(b, test(b.Context(), worker, -1)) // what is made once is made before
		group.Go(func() {
			for n := range work {
				begin := time.Now()
				if err := test(b.Context(), worker, n); err != nil {
					b.Error(err)
				}
				times[worker] = append(times[worker], time.Since(begin))
			}
		})
	}
	for n := 0; b.Loop(); n++ {
		work <- n
	}
	close(work)
	group.Wait()
	all := slices.Concat(times...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*95/100].Microseconds())/1000, "p95-ms")
}

// within gives a test a database, and reports what went wrong with that.
func within(b *testing.B, k *testkit.Kit, tpl testkit.Template, test func(d *testkit.Database) error) error {
	b.Helper()
	p := newProbe(b)
	defer p.end()
	d := k.New(p, tpl)
	if p.Failed() {
		return errors.New(p.said())
	}
	return test(d)
}

func statements(ctx context.Context, pool *pgxpool.Pool) error {
	for _, sql := range []string{
		"INSERT INTO users (email) VALUES ('a@example.com')",
		"INSERT INTO projects (owner_id, title) SELECT id, 'p' FROM users",
		"SELECT count(*) FROM projects",
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// usual creates a database, migrates it, uses it and drops it.
func usual(ctx context.Context, admin *pgxpool.Pool, url func(string) string, name string) error {
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url(name))
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, schema); err != nil {
		return err
	}
	if err := conn.Close(ctx); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, url(name))
	if err != nil {
		return err
	}
	if err := statements(ctx, pool); err != nil {
		return err
	}
	pool.Close()
	_, err = admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
	return err
}
