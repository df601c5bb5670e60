package pgdbm_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// logBuffer collects log output of several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestBorrowedPoolStaysOpen(t *testing.T) {
	t.Parallel()
	raw, err := pgxpool.New(t.Context(), testkit.ConnString(t))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	pool, err := pgdbm.Borrow(raw, pgdbm.Config{Schema: "guest"})
	if err != nil {
		t.Fatal(err)
	}
	m := bind(t, pool, "guest")
	exec(t, m, "create table {{tables.t}} ()")
	if err := pool.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := raw.Ping(t.Context()); err != nil {
		t.Errorf("the borrowed pool was closed: %v", err)
	}
	if _, err := m.Exec(t.Context(), "select 1"); !errors.Is(err, pgdbm.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := pgdbm.Borrow(nil, pgdbm.Config{}); err == nil {
		t.Error("a nil pool was borrowed")
	}
}

func TestDedicatedIsTheCallersToClose(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	for name, cfg := range map[string]pgdbm.Config{"of the pool": {ConnString: dsn, MaxConns: 1}, "direct": {ConnString: dsn, MaxConns: 1, DirectConnString: dsn}} {
		pool := open(t, cfg)
		conn, err := pool.Dedicated(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := pool.Health(t.Context()); err != nil {
			t.Errorf("%s: the pool has no connection left: %v", name, err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestDirectServerIsNotTakenForAPooler(t *testing.T) {
	t.Parallel()
	pooled, err := open(t, pgdbm.Config{}).Pooled(t.Context())
	if err != nil || pooled {
		t.Errorf("%t, %v", pooled, err)
	}
}

func TestEnsureSchemaTogether(t *testing.T) {
	t.Parallel()
	m, err := open(t, pgdbm.Config{MaxConns: 8}).Manager("together")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := m.EnsureSchema(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestCloseReachesWhoWaitsForABorrowedConnection(t *testing.T) {
	t.Parallel()
	cfg, err := pgxpool.ParseConfig(testkit.ConnString(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 1
	waiting := make(acquireSignal, 8)
	cfg.ConnConfig.Tracer = waiting
	raw, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	pool, err := pgdbm.Borrow(raw, pgdbm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m := bind(t, pool, "")
	held, err := raw.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-waiting // held
	waited := make(chan error)
	go func() { waited <- second(m.Exec(t.Context(), "create table stray ()")) }()
	<-waiting // past the question whether the pool is closed
	if err := pool.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	held.Release()
	if err := <-waited; !errors.Is(err, pgdbm.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// acquireSignal is a tracer that says when somebody turns to the pgx pool.
type acquireSignal chan struct{}

func (a acquireSignal) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	a <- struct{}{}
	return ctx
}

func (acquireSignal) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {}

func (acquireSignal) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (acquireSignal) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
