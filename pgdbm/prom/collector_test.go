package prom_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/prom"
)

func open(t *testing.T) *pgdbm.Pool {
	t.Helper()
	pool, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t), MaxConns: 3})
	testkit.NoError(t, err)
	t.Cleanup(func() { testkit.NoError(t, pool.Close(context.Background())) })
	return pool
}

// use does something of every kind that is counted, as module orders.
func use(t *testing.T, pool *pgdbm.Pool) {
	t.Helper()
	ctx := t.Context()
	m, err := pool.Bind(pgdbm.Binding{Module: "orders", Schema: "orders"})
	testkit.NoError(t, err)
	for _, sql := range []string{"create schema {{schema}}", "create table {{tables.t}} (n int unique)", "insert into {{tables.t}} values (1), (2)"} {
		_, err := m.Exec(ctx, sql)
		testkit.NoError(t, err)
	}
	if _, err := m.Exec(ctx, "insert into {{tables.t}} values (1)"); err == nil {
		t.Error("no conflict")
	}
	testkit.NoError(t, m.InTx(ctx, func(tx *pgdbm.Tx) error {
		_, err := tx.Exec(ctx, "insert into {{tables.t}} values (3)")
		return err
	}))
}

func TestModulesAreExported(t *testing.T) {
	t.Parallel()
	pool := open(t)
	use(t, pool)
	want := `
# HELP pgdbm_errors_total Statements, batches and acquires that failed, by class of the error.
# TYPE pgdbm_errors_total counter
`
	for _, class := range []string{
		"canceled", "commit_unknown", "conflict", "invalid", "locked", "other", "permission", "read_only",
		"reference", "retryable", "timeout", "unavailable", "undefined",
	} {
		n := 0
		if class == "conflict" {
			n = 1
		}
		want += fmt.Sprintf("pgdbm_errors_total{class=%q,module=\"(none)\"} 0\npgdbm_errors_total{class=%[1]q,module=\"orders\"} %[2]d\n", class, n)
	}
	want += `
# HELP pgdbm_statements_total Statements that were answered, those in batches and COPY included.
# TYPE pgdbm_statements_total counter
pgdbm_statements_total{module="(none)"} 1
pgdbm_statements_total{module="orders"} 7
# HELP pgdbm_transactions_total Transactions by outcome: committed, rolled_back.
# TYPE pgdbm_transactions_total counter
pgdbm_transactions_total{module="(none)",outcome="committed"} 0
pgdbm_transactions_total{module="(none)",outcome="rolled_back"} 0
pgdbm_transactions_total{module="orders",outcome="committed"} 1
pgdbm_transactions_total{module="orders",outcome="rolled_back"} 0
# HELP pgdbm_pool_max_connections Most connections that the pool opens.
# TYPE pgdbm_pool_max_connections gauge
pgdbm_pool_max_connections 3
# HELP pgdbm_rows_total Rows returned or affected.
# TYPE pgdbm_rows_total counter
pgdbm_rows_total{module="(none)"} 1
pgdbm_rows_total{module="orders"} 3
`
	testkit.NoError(t, testutil.CollectAndCompare(prom.New(pool), strings.NewReader(want),
		"pgdbm_errors_total", "pgdbm_statements_total", "pgdbm_transactions_total", "pgdbm_pool_max_connections", "pgdbm_rows_total"))
}

func TestHistogramIsCumulative(t *testing.T) {
	t.Parallel()
	pool := open(t)
	use(t, pool)
	registry := prometheus.NewPedanticRegistry() // checks every metric against its description
	registry.MustRegister(prom.New(pool))
	families, err := registry.Gather()
	testkit.NoError(t, err)
	testkit.Equal(t, len(families), 16)
	h := find(t, families, "pgdbm_call_duration_seconds", "orders").GetHistogram()
	testkit.Equal(t, h.GetSampleCount(), 6) // create, create, insert, insert, BEGIN with insert, COMMIT
	if h.GetSampleSum() <= 0 || h.GetSampleSum() > 60 {
		t.Errorf("sum %v s", h.GetSampleSum())
	}
	var last uint64
	for _, b := range h.GetBucket() {
		if b.GetCumulativeCount() < last {
			t.Errorf("bucket %v is not cumulative", b)
		}
		last = b.GetCumulativeCount()
	}
	testkit.Equal(t, last, 6)
	testkit.Equal(t, h.GetBucket()[0].GetUpperBound(), 0.0001)
	testkit.Equal(t, h.GetBucket()[17].GetUpperBound(), 60.0)
}

func find(t *testing.T, families []*dto.MetricFamily, name, module string) *dto.Metric {
	t.Helper()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == "module" && l.GetValue() == module {
					return m
				}
			}
		}
	}
	t.Fatalf("no %s of module %s", name, module)
	return nil
}

func TestNamesFollowTheConventions(t *testing.T) {
	t.Parallel()
	pool := open(t)
	use(t, pool)
	problems, err := testutil.CollectAndLint(prom.New(pool))
	testkit.NoError(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestSeveralPoolsShareARegistry(t *testing.T) {
	t.Parallel()
	a, b := open(t), open(t)
	registry := prometheus.NewPedanticRegistry()
	for name, pool := range map[string]*pgdbm.Pool{"a": a, "b": b} {
		testkit.NoError(t, prometheus.WrapRegistererWith(prometheus.Labels{"pool": name}, registry).Register(prom.New(pool)))
	}
	use(t, a)
	n, err := testutil.GatherAndCount(registry, "pgdbm_pool_max_connections", "pgdbm_statements_total")
	testkit.NoError(t, err)
	testkit.Equal(t, n, 2+3) // (none) of both, orders of one
	if err := registry.Register(prom.New(a)); err == nil {
		t.Error("a collector without the label was registered beside those with it")
	}
}
