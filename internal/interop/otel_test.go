package interop_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

const secret = "hunter2secret"

// spans collects what otelpgx records below a span of the test.
type spans struct {
	*tracetest.InMemoryExporter
	provider *trace.TracerProvider
}

func newSpans() spans {
	exporter := tracetest.NewInMemoryExporter()
	return spans{exporter, trace.NewTracerProvider(trace.WithSyncer(exporter))}
}

func (s spans) tracer() *otelpgx.Tracer {
	return otelpgx.NewTracer(otelpgx.WithTracerProvider(s.provider), otelpgx.WithFullSQLInSpanName())
}

// within returns a context with a span: otelpgx records only below one.
func (s spans) within(t *testing.T) context.Context {
	t.Helper()
	ctx, span := s.provider.Tracer("test").Start(t.Context(), "request")
	t.Cleanup(func() { span.End() })
	return ctx
}

// named returns the spans whose name contains part.
func (s spans) named(part string) []tracetest.SpanStub {
	var found []tracetest.SpanStub
	for _, span := range s.GetSpans() {
		if strings.Contains(span.Name, part) {
			found = append(found, span)
		}
	}
	return found
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func counted(t *testing.T, pool *pgdbm.Pool, module string) pgdbm.ModuleMetrics {
	t.Helper()
	for _, m := range pool.Metrics().Modules {
		if m.Module == module {
			return m
		}
	}
	t.Fatalf("nothing was counted for %s", module)
	return pgdbm.ModuleMetrics{}
}

func TestOtelpgxAndOurCountersSeeTheSame(t *testing.T) {
	t.Parallel()
	spans, log := newSpans(), &buffer{}
	ctx := spans.within(t)
	pool, err := pgdbm.Open(ctx, pgdbm.Config{
		ConnString: testkit.ConnString(t), Tracers: []pgx.QueryTracer{spans.tracer()},
		SlowQuery: 5 * time.Millisecond, SlowQueryPlan: true, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, pool.Close(context.Background())) }()
	m, err := pool.Bind(pgdbm.Binding{Module: "orders", Schema: "o"})
	testkit.NoError(t, err)
	testkit.NoError(t, m.EnsureSchema(ctx))
	_, err = m.Exec(ctx, "create table {{tables.t}} (n int, s text unique)")
	testkit.NoError(t, err)
	before := counted(t, pool, "orders")
	spans.Reset()

	testkit.NoError(t, m.QueryRow(ctx, "select count(*) from {{tables.t}} where s = $1", secret).Scan(new(int)))
	_, err = pgdbm.ExecMany(ctx, m, "insert into {{tables.t}} (s) values ($1)", [][]any{{"a"}, {"b"}})
	testkit.NoError(t, err)
	_, err = m.CopyFrom(ctx, "t", []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2}, {3}}))
	testkit.NoError(t, err)
	if _, err := m.Exec(ctx, "insert into {{tables.t}} (s) values ($1)", "a"); err == nil {
		t.Error("no conflict")
	}
	testkit.NoError(t, m.InTx(ctx, func(tx *pgdbm.Tx) error {
		_, err := tx.Exec(ctx, "update {{tables.t}} set n = 7 where pg_sleep(0.01) is not null")
		return err
	}))

	for part, n := range map[string]int{
		`select count(*) from "o"."t"`: 2, // it was prepared too
		"batch start":                  2, // one with BEGIN
		`copy_from "o"."t"`:            1,
		"pool.acquire":                 5,
		"commit":                       1,
	} {
		if got := spans.named(part); len(got) != n {
			t.Errorf("%d spans of %s, want %d", len(got), part, n)
		}
	}
	if failed := spans.named("insert into"); failed[len(failed)-1].Status.Code != codes.Error {
		t.Errorf("the failed statement: %+v", failed[len(failed)-1])
	}
	for _, span := range spans.GetSpans() {
		for _, a := range span.Attributes {
			if a.Value.Type() == attribute.STRING && strings.Contains(a.Value.AsString(), secret) {
				t.Errorf("an argument is in %s", a.Key)
			}
		}
	}

	after := counted(t, pool, "orders")
	testkit.Equal(t, []int64{
		after.Statements - before.Statements, after.Duration.Count() - before.Duration.Count(),
		after.Committed, after.Errors["conflict"],
	}, []int64{1 + 2 + 1 + 1 + 3, 6, 1, 1})
	if s := log.String(); !strings.Contains(s, "slow query") || !strings.Contains(s, "module=orders") || !strings.Contains(s, "pg_sleep") {
		t.Errorf("log: %s", s)
	}
	testkit.Eventually(t, "no plan of the slow statement", func() bool { return strings.Contains(log.String(), "slow query plan") })
}

func TestOtelpgxConnectSpans(t *testing.T) {
	t.Parallel()
	spans := newSpans()
	ctx := spans.within(t)
	pool, err := pgdbm.Open(ctx, pgdbm.Config{ConnString: testkit.ConnString(t), Tracers: []pgx.QueryTracer{spans.tracer()}})
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, pool.Close(context.Background())) }()
	if len(spans.named("connect")) == 0 || len(spans.named("pool.acquire")) == 0 {
		t.Errorf("no spans of the first connection: %v", spans.GetSpans())
	}
}

func TestOwnerComposesBothOnABorrowedPool(t *testing.T) {
	t.Parallel()
	spans := newSpans()
	ctx := spans.within(t)
	pc, err := pgxpool.ParseConfig(testkit.ConnString(t))
	testkit.NoError(t, err)
	pc.ConnConfig.Tracer = multitracer.New(spans.tracer(), pgdbm.NewTracer(pgdbm.Config{}))
	raw, err := pgxpool.NewWithConfig(ctx, pc)
	testkit.NoError(t, err)
	defer raw.Close()
	pool, err := pgdbm.Borrow(raw, pgdbm.Config{})
	testkit.NoError(t, err)
	m, err := pool.Manager("app")
	testkit.NoError(t, err)
	_, err = m.Exec(ctx, "select 'ours'")
	testkit.NoError(t, err)
	testkit.Equal(t, counted(t, pool, "app").Statements, 1)
	testkit.Equal(t, len(spans.named("'ours'")), 1)
}
