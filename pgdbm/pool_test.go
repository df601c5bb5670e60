package pgdbm_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

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

func TestNewDoesNotTouchTheNetwork(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	accepted := make(chan struct{})
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_ = conn.Close()
			close(accepted)
		}
	}()
	pool, err := pgdbm.New(pgdbm.Config{Host: "127.0.0.1", Port: portOf(listener), TLS: pgdbm.TLSConfig{Mode: "disable"}, ConnectRetry: pgdbm.RetryConfig{Attempts: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close(t.Context()) }()
	select {
	case <-accepted:
		t.Error("New connected")
	default:
	}
	if err := pool.Connect(t.Context()); !errors.Is(err, pgdbm.ErrUnavailable) {
		t.Errorf("Connect: %v", err)
	}
	<-accepted
}

func TestConnectRetriesUntilTheServerIsThere(t *testing.T) {
	t.Parallel()
	server := open(t, pgdbm.Config{}).Pgx().Config().ConnConfig
	log := &logBuffer{}
	proxy := newProxy(t, server.Host, server.Port)
	pool, err := pgdbm.New(pgdbm.Config{
		Host: "127.0.0.1", Port: proxy.port, Database: server.Database, User: server.User, Password: server.Password,
		TLS: pgdbm.TLSConfig{Mode: "disable"}, Logger: log.logger(),
		ConnectRetry: pgdbm.RetryConfig{Attempts: 50, Delay: time.Millisecond, MaxDelay: 50 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close(context.WithoutCancel(t.Context())) }()
	proxy.refuse.Store(3)
	if err := pool.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "server unavailable, retrying") || proxy.refuse.Load() > 0 {
		t.Errorf("log: %s", log)
	}
}

func TestConnectGivesUp(t *testing.T) {
	t.Parallel()
	_, err := pgdbm.Open(t.Context(), pgdbm.Config{
		Host: "127.0.0.1", Port: 1, Password: secret,
		ConnectRetry: pgdbm.RetryConfig{Attempts: 3, Delay: time.Millisecond},
	})
	if !errors.Is(err, pgdbm.ErrUnavailable) || !strings.Contains(err.Error(), "attempt 3 of 3") || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pgdbm.Open(ctx, pgdbm.Config{Host: "127.0.0.1", Port: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestConnectDoesNotRetryWhatWaitingCannotCure(t *testing.T) {
	t.Parallel()
	cc := open(t, pgdbm.Config{}).Pgx().Config().ConnConfig
	_, err := pgdbm.Open(t.Context(), pgdbm.Config{Host: cc.Host, Port: cc.Port, User: cc.User, Password: cc.Password, Database: "pgdbm_no_such_database"})
	if !errors.Is(err, pgdbm.ErrUndefined) || !strings.Contains(err.Error(), "attempt 1 of") {
		t.Errorf("got %v", err)
	}
}

func TestAcquireTimeout(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1, AcquireTimeout: 20 * time.Millisecond}), "")
	conn, err := m.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	_, err = m.Exec(t.Context(), "select 1")
	if !errors.Is(err, pgdbm.ErrTimeout) || !strings.Contains(err.Error(), "no connection within AcquireTimeout 20ms: 1 of 1 are in use") {
		t.Errorf("got %v", err)
	}
}

func TestCloseIsBoundedAndSaysWhatIsOut(t *testing.T) {
	t.Parallel()
	pool, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t)})
	if err != nil {
		t.Fatal(err)
	}
	m := bind(t, pool, "")
	conn, err := m.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := pool.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connections are still in use") {
		t.Errorf("got %v", err)
	}
	if _, err := m.Exec(t.Context(), "select 1"); !errors.Is(err, pgdbm.ErrUnavailable) || !strings.Contains(err.Error(), "the pool is closed") {
		t.Errorf("after Close: %v", err)
	}
	conn.Release()
	if err := pool.Close(t.Context()); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

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

func TestSecondPoolIsPointedOut(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	dsn := testkit.ConnString(t)
	open(t, pgdbm.Config{ConnString: dsn, Logger: log.logger()})
	if strings.Contains(log.String(), "another pool") {
		t.Errorf("warned about the first pool: %s", log)
	}
	open(t, pgdbm.Config{ConnString: dsn, Logger: log.logger()})
	if !strings.Contains(log.String(), "another pool to the same database is open") || !strings.Contains(log.String(), "pgdbm.Borrow") {
		t.Errorf("log: %s", log)
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
