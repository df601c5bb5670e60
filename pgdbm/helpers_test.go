package pgdbm_test

import (
	"context"
	"runtime"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func goexit() { runtime.Goexit() }

// roundTrips is a tracer that notes what was sent, a word for each round trip.
type roundTrips struct {
	mu   sync.Mutex
	sent []string
}

func (r *roundTrips) note(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, s)
}

func (r *roundTrips) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent
}

func (r *roundTrips) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = nil
}

func (r *roundTrips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.note(data.SQL)
	return ctx
}

func (r *roundTrips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *roundTrips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	r.note("batch")
	return ctx
}

func (r *roundTrips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (r *roundTrips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// pgtag shortens signatures.
type pgtag = pgconn.CommandTag

// scanFunc is a target that calls a function when it is scanned into.
type scanFunc func()

func (f scanFunc) Scan(any) error { f(); return nil }

// source is a source of COPY made of functions.
type source struct {
	next   func() bool
	values func() ([]any, error)
	err    error
}

func (s *source) Next() bool             { return s.next() }
func (s *source) Values() ([]any, error) { return s.values() }
func (s *source) Err() error             { return s.err }
