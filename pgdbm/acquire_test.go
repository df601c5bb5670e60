package pgdbm_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestAcquireTimeout(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1, AcquireTimeout: 100 * time.Millisecond, Logger: log.logger()}), "")
	conn, err := m.Pool().Pgx().Acquire(t.Context()) // in its own time
	testkit.NoError(t, err)
	defer conn.Release()
	testkit.NoError(t, second(conn.Exec(t.Context(), "select 'hunter2', $1::int", 7)))
	_, err = m.Exec(t.Context(), "select 1")
	testkit.ErrorIs(t, err, pgdbm.ErrTimeout)
	testkit.ErrorContains(t, err, "no connection within AcquireTimeout 100ms: 1 of 1 are in use, the longest for ", "raise MaxConns, or look for long transactions and rows that are not closed")

	// A context that ends first says the same.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = m.QueryRow(ctx, "select 1").Scan(new(int))
	testkit.ErrorIs(t, err, pgdbm.ErrTimeout)
	testkit.ErrorIs(t, err, context.DeadlineExceeded)
	testkit.ErrorContains(t, err, "no connection before the context ended: 1 of 1 are in use")

	// Who holds them is logged, now and then, without values.
	if got := log.String(); strings.Count(got, "no connection is free") != 1 || !strings.Contains(got, "last statement: select …") || strings.Contains(got, "hunter2") {
		t.Errorf("log: %s", got)
	}

	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	err = second(m.Exec(ctx, "select 1"))
	testkit.ErrorIs(t, err, context.Canceled)
	testkit.Equal(t, err.Error(), "pgdbm: context canceled") // it did not even begin to wait
}

func TestAcquireWithoutTimeout(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1, AcquireTimeout: -1}), "")
	conn, err := m.Acquire(t.Context())
	testkit.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() { waited <- second(m.Exec(ctx, "select 1")) }()
	cancel()
	err = <-waited
	testkit.ErrorIs(t, err, context.Canceled)
	if errors.Is(err, pgdbm.ErrTimeout) || errors.Is(err, pgdbm.ErrUnavailable) {
		t.Errorf("class of %v", err)
	}
	conn.Release()
}

func TestHealth(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1})
	m := bind(t, pool, "")
	testkit.NoError(t, pool.Health(t.Context()))
	testkit.NoError(t, m.Health(t.Context()))

	conn, err := m.Acquire(t.Context())
	testkit.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = m.Health(ctx)
	testkit.ErrorIs(t, err, pgdbm.ErrTimeout) // busy
	testkit.ErrorContains(t, err, "pgdbm: health: timeout: ", "1 of 1 are in use")
	if errors.Is(err, pgdbm.ErrUnavailable) {
		t.Errorf("a busy pool is taken for a server that is down: %v", err)
	}
	conn.Release()
	testkit.NoError(t, pool.Close(t.Context()))
	testkit.ErrorIs(t, m.Health(t.Context()), pgdbm.ErrUnavailable)
}

// A server that is down, or does not answer, is not a pool that is busy.
func TestHealthOfAServerThatIsDown(t *testing.T) {
	t.Parallel()
	network, address, cfg := target(t)
	var silent atomic.Bool
	l := serve(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		if silent.Load() {
			_, _ = c.Read(make([]byte, 1))
			return
		}
		pipe(c, network, address)
	})
	cfg.Host, cfg.Port, cfg.ConnectTimeout, cfg.MaxConns = "127.0.0.1", portOf(l), 200*time.Millisecond, 2
	pool := open(t, cfg)
	testkit.NoError(t, pool.Health(t.Context()))

	silent.Store(true)
	pool.Pgx().Reset()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := pool.Health(ctx)
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "pgdbm: health: server unavailable: ", "the server does not answer")

	testkit.NoError(t, l.Close())
	err = pool.Health(t.Context())
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "connection refused")
}

// A server that freezes while a connection is open.
func TestHealthOfAServerThatFreezes(t *testing.T) {
	t.Parallel()
	network, address, cfg := target(t)
	var frozen atomic.Bool
	l := serve(t, "tcp", "127.0.0.1:0", func(c net.Conn) { pipe(&freezer{Conn: c, frozen: &frozen}, network, address) })
	cfg.Host, cfg.Port, cfg.MaxConns = "127.0.0.1", portOf(l), 2
	pool := open(t, cfg)
	frozen.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := pool.Health(ctx)
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorIs(t, err, context.DeadlineExceeded)
	testkit.ErrorContains(t, err, "pgdbm: health: server unavailable: ", "the server does not answer")
}

// freezer is a client's connection that the server's answers do not reach.
type freezer struct {
	net.Conn
	frozen *atomic.Bool
}

func (f *freezer) Write(p []byte) (int, error) {
	if f.frozen.Load() {
		return len(p), nil
	}
	return f.Conn.Write(p)
}

func TestPgxPoolThatItsOwnerClosed(t *testing.T) {
	t.Parallel()
	raw, err := pgxpool.New(t.Context(), testkit.ConnString(t))
	testkit.NoError(t, err)
	pool, err := pgdbm.Borrow(raw, pgdbm.Config{})
	testkit.NoError(t, err)
	m := bind(t, pool, "")
	raw.Close()
	_, err = m.Exec(t.Context(), "select 1")
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "the pgx pool was closed by its owner")
	testkit.ErrorContains(t, pool.Connect(t.Context()), "connect (attempt 1 of 5): server unavailable: the pgx pool was closed by its owner")
	testkit.NoError(t, pool.Close(t.Context()))
	testkit.ErrorContains(t, pool.Connect(t.Context()), "pgdbm: server unavailable; the pool is closed")
}
