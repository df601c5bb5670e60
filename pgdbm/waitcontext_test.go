package pgdbm_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// A wait ends with AcquireTimeout, or with its context, whoever looks at that
// context before the pool does.
func TestWaitsEnd(t *testing.T) {
	t.Parallel()
	owned := func(tracers ...pgx.QueryTracer) func(*testing.T) *pgdbm.Pool {
		return func(t *testing.T) *pgdbm.Pool {
			t.Helper()
			return open(t, pgdbm.Config{MaxConns: 1, AcquireTimeout: 50 * time.Millisecond, Tracers: tracers})
		}
	}
	for name, pool := range map[string]func(*testing.T) *pgdbm.Pool{
		"plain":    owned(),
		"tracer":   owned(&roundTrips{}),
		"deriving": owned(derives{}, &roundTrips{}),
		"borrowed": func(t *testing.T) *pgdbm.Pool { t.Helper(); return borrow(t, nil) },
		"borrowed, deriving": func(t *testing.T) *pgdbm.Pool {
			t.Helper()
			return borrow(t, derives{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := bind(t, pool(t), "")
			held, err := m.Acquire(t.Context())
			testkit.NoError(t, err)
			err = second(m.Exec(t.Context(), "select 1"))
			testkit.ErrorIs(t, err, pgdbm.ErrTimeout)
			testkit.ErrorContains(t, err, "no connection within AcquireTimeout 50ms: 1 of 1 are in use")
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			testkit.ErrorIs(t, second(m.Exec(ctx, "select 1")), context.Canceled)
			testkit.ErrorIs(t, second(m.Exec(ctx, "select 1")), context.Canceled)
			time.AfterFunc(time.Millisecond, held.Release)
			testkit.NoError(t, second(m.Exec(t.Context(), "select 1")))
		})
	}
}

func borrow(t *testing.T, tracer pgx.QueryTracer) *pgdbm.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(testkit.ConnString(t))
	testkit.NoError(t, err)
	cfg.MaxConns, cfg.ConnConfig.Tracer = 1, tracer
	raw, err := pgxpool.NewWithConfig(t.Context(), cfg)
	testkit.NoError(t, err)
	t.Cleanup(raw.Close)
	testkit.NoError(t, raw.Ping(t.Context())) // to connect may take longer than a wait for a connection
	pool, err := pgdbm.Borrow(raw, pgdbm.Config{AcquireTimeout: 50 * time.Millisecond})
	testkit.NoError(t, err)
	return pool
}

// derives is a tracer with contexts of its own.
type derives struct{}

func (derives) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	return &derived{ctx, ctx.Done()}
}

type derived struct {
	context.Context
	done <-chan struct{}
}

func (d *derived) Done() <-chan struct{} { return d.done }

func (derives) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {}

func (derives) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (derives) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
