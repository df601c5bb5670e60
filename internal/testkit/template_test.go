package testkit_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// Somebody cleans up on the server while tests run.
func TestDroppedTemplateIsBuiltAgain(t *testing.T) {
	t.Parallel()
	for _, fresh := range []bool{false, true} {
		k := openKit(t, nil)
		tpl := ownTemplate(t, "CREATE TABLE t (id int)")
		tpl.Fresh = fresh
		p := newProbe(t)
		k.New(p, tpl)
		drop(t, k, k.TemplateName(tpl))
		next := newProbe(t)
		d := k.New(next, tpl)
		if next.Failed() {
			t.Fatal(next.said())
		}
		testkit.Equal(t, query[int](t, d.ConnString(), "SELECT count(*) FROM t"), 0)
		next.end()
		p.end()
	}
}

// Somebody looks at the template just when it is to be cloned. The server waits
// 5 s by itself; who looks longer is waited for, too.
func TestTemplateThatSomebodyLooksAt(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	tpl := ownTemplate(t, "CREATE TABLE t (id int)")
	p := newProbe(t)
	k.New(p, tpl)
	admin, name := k.URL(k.Admin()), k.TemplateName(tpl)
	execute(t, admin, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
	looks, err := pgx.Connect(t.Context(), k.URL(name))
	testkit.NoError(t, err)
	defer looks.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is lost with it
	execute(t, admin, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")

	next := newProbe(t)
	got := make(chan *testkit.Database)
	go func() { got <- k.New(next, tpl) }()
	const attempts = "SELECT coalesce(max(query_start)::text, '') FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1"
	attempt := func() string { return query[string](t, admin, attempts, "CREATE DATABASE % TEMPLATE "+name+"%") }
	var first string
	testkit.Eventually(t, "it is being cloned", func() bool { first = attempt(); return first != "" })
	testkit.Eventually(t, "it is tried again", func() bool { now := attempt(); return now != "" && now != first })
	testkit.NoError(t, looks.Close(t.Context()))
	d := <-got
	if d == nil {
		t.Fatal(next.said())
	}
	testkit.Equal(t, query[int](t, d.ConnString(), "SELECT count(*) FROM t"), 0)
	next.end()
	p.end()
}

// Benchmarks and sub-tests have databases of their own, which end when they do.
func TestBenchmarksAndSubtests(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	tpl := sqlTemplate(t.Name(), "CREATE TABLE t (id int)")
	outer := k.New(t, tpl)
	count := func(d *testkit.Database) (n int) {
		testkit.NoError(t, d.Lend().QueryRow(t.Context(), "WITH i AS (INSERT INTO t VALUES (1)) SELECT count(*) FROM t").Scan(&n))
		return n
	}
	testkit.Equal(t, count(outer), 0)
	var inner *testkit.Database
	t.Run("sub", func(t *testing.T) {
		inner = k.New(t, tpl)
		testkit.Equal(t, count(inner), 0)
		testkit.Equal(t, inner.Ended(), false)
	})
	testkit.Equal(t, inner.Ended(), true)
	testkit.Equal(t, count(outer), 1)

	runs := 0
	testing.Benchmark(func(b *testing.B) {
		b.Helper()
		d := k.New(b, tpl)
		testkit.Equal(b, count(d), 0)
		runs++
		for n := 0; n < b.N && n < 10; n++ {
			if _, err := d.Lend().Exec(b.Context(), "INSERT INTO t VALUES (1)"); err != nil {
				b.Fatal(err)
			}
		}
	})
	if runs < 2 {
		t.Errorf("the benchmark ran %d times", runs)
	}
	testkit.Equal(t, count(outer), 2)
}
