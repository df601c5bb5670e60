package testkit

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

// tracer logs statements to the test that uses the database just now. Its
// methods accept a nil tracer.
type tracer struct {
	mu sync.Mutex
	tb TB
}

// watch names the test; nil for none. A test must not be logged to after its end.
func (t *tracer) watch(tb TB) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tb = tb
}

// TraceQueryStart implements [pgx.QueryTracer].
func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tb != nil {
		t.tb.Logf("sql: %s", data.SQL)
	}
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (t *tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
