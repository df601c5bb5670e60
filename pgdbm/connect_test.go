package pgdbm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// onRetry is a logger that calls back before each retry, with the attempt that
// has failed and the pause that follows.
func onRetry(fn func(attempt int, pause time.Duration)) *slog.Logger { return slog.New(retryLog(fn)) }

type retryLog func(attempt int, pause time.Duration)

func (retryLog) Enabled(context.Context, slog.Level) bool { return true }
func (l retryLog) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l retryLog) WithGroup(string) slog.Handler          { return l }

func (l retryLog) Handle(_ context.Context, r slog.Record) error {
	var attempt int
	var pause time.Duration
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "attempt":
			attempt = int(a.Value.Int64())
		case "pause":
			pause = a.Value.Duration()
		}
		return true
	})
	if attempt > 0 {
		l(attempt, pause)
	}
	return nil
}

// serve answers each connection to an address until the test ends.
func serve(t *testing.T, network, address string, answer func(net.Conn)) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			wg.Go(func() { answer(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		stop()
		wg.Wait()
	})
	return listener
}

// asks counts those who ask for a session, and then answers. pgx also connects to
// cancel what it has given up.
func asks(n *atomic.Int64, answer func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		msg, err := pgproto3.NewBackend(c, c).ReceiveStartupMessage()
		if _, ok := msg.(*pgproto3.StartupMessage); ok && err == nil {
			n.Add(1)
		}
		answer(c)
	}
}

func hangUp(c net.Conn) { _ = c.Close() }

func saysNothing(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }

// unencrypted reaches a listener.
func unencrypted(l net.Listener) pgdbm.Config {
	return pgdbm.Config{
		Host: "127.0.0.1", Port: portOf(l), User: "u", Password: secret, TLS: pgdbm.TLSConfig{Mode: "disable"},
		ConnectRetry: pgdbm.RetryConfig{Attempts: 3, Delay: time.Millisecond},
	}
}

// target returns where the server of the test's own database listens, and a
// configuration with all but that.
func target(t *testing.T) (network, address string, cfg pgdbm.Config) {
	t.Helper()
	cc := open(t, pgdbm.Config{}).Pgx().Config().ConnConfig
	network, address = "tcp", net.JoinHostPort(cc.Host, fmt.Sprint(cc.Port))
	if strings.HasPrefix(cc.Host, "/") {
		network, address = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", cc.Host, cc.Port)
	}
	return network, address, pgdbm.Config{Database: cc.Database, User: cc.User, Password: cc.Password, TLS: pgdbm.TLSConfig{Mode: "disable"}}
}

func TestNewDoesNotTouchTheNetwork(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	cfg := unencrypted(serve(t, "tcp", "127.0.0.1:0", asks(&asked, hangUp)))
	cfg.MinConns = 2
	pool, err := pgdbm.New(cfg)
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, pool.Close(context.Background())) }()
	testkit.Eventually(t, "pgx does not fill the pool", func() bool {
		return pool.Stat().NewConnsCount() == 2 && pool.Stat().ConstructingConns() == 0
	})
	testkit.Equal(t, asked.Load(), 0)
	testkit.ErrorIs(t, pool.Connect(t.Context()), pgdbm.ErrUnavailable)
	testkit.Equal(t, asked.Load(), 3)
}

func TestConnectWaitsForALateServer(t *testing.T) {
	t.Parallel()
	network, address, cfg := target(t)
	late := filepath.Join(t.TempDir(), ".s.PGSQL.5432") // nobody else takes it before we do
	cfg.Host = filepath.Dir(late)
	cfg.ConnectRetry = pgdbm.RetryConfig{Attempts: 1000, Delay: time.Millisecond, MaxDelay: 20 * time.Millisecond}
	cfg.Logger = onRetry(func(attempt int, _ time.Duration) {
		if attempt == 3 {
			serve(t, "unix", late, func(c net.Conn) { pipe(c, network, address) })
		}
	})
	testkit.NoError(t, open(t, cfg).Health(t.Context()))
}

// Without any settings a server may come up 2 s late, whatever the pauses are.
func TestConnectWaitsTwoSecondsByDefault(t *testing.T) {
	t.Parallel()
	network, address, cfg := target(t)
	late := filepath.Join(t.TempDir(), ".s.PGSQL.5432")
	cfg.Host = filepath.Dir(late)
	waited := time.Duration(0)
	cfg.Logger = onRetry(func(_ int, pause time.Duration) {
		before := waited
		if waited += pause; before < 2*time.Second && waited >= 2*time.Second {
			serve(t, "unix", late, func(c net.Conn) { pipe(c, network, address) })
		}
	})
	testkit.NoError(t, open(t, cfg).Health(t.Context()))
}

func TestConnectWaitsForAServerThatIsStarting(t *testing.T) {
	t.Parallel()
	network, address, cfg := target(t)
	var asked atomic.Int64
	l := serve(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		if asked.Add(1) > 3 {
			pipe(c, network, address)
			return
		}
		defer c.Close() //nolint:errcheck // the client has gone, too
		backend := pgproto3.NewBackend(c, c)
		if _, err := backend.ReceiveStartupMessage(); err == nil {
			backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "the database system is starting up"})
			_ = backend.Flush()
		}
	})
	cfg.Host, cfg.Port = "127.0.0.1", portOf(l)
	cfg.ConnectRetry = pgdbm.RetryConfig{Delay: time.Millisecond}
	testkit.NoError(t, open(t, cfg).Health(t.Context()))
}

func TestConnectWaitsForAFreeSlot(t *testing.T) {
	t.Parallel()
	s := secure(t)
	testkit.NoError(t, s.exec(t.Context(), "alter role crowded connection limit 0")) // 53300
	cfg := s.config("crowded")
	cfg.ConnectRetry = pgdbm.RetryConfig{Attempts: 2, Delay: time.Millisecond}
	_, err := pgdbm.Open(t.Context(), cfg)
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, `attempt 2 of 2`, `too many connections for role "crowded"`, "lower MaxConns or use a pooler")

	cfg.Logger = onRetry(func(int, time.Duration) {
		if err := s.exec(t.Context(), "alter role crowded connection limit 5"); err != nil {
			t.Error(err)
		}
	})
	testkit.NoError(t, open(t, cfg).Health(t.Context()))
}

func TestConnectGivesUp(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	cfg := unencrypted(serve(t, "tcp", "127.0.0.1:0", asks(&asked, hangUp)))
	_, err := pgdbm.Open(t.Context(), cfg)
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "pgdbm: connect (attempt 3 of 3): server unavailable: user=u database=")
	testkit.Equal(t, asked.Load(), 3)
	if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
}

// ConnectTimeout fires on a server that accepts and says nothing.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	l := serve(t, "tcp", "127.0.0.1:0", asks(&asked, saysNothing))
	cfg := unencrypted(l)
	cfg.ConnectTimeout = 100 * time.Millisecond
	_, err := pgdbm.Open(t.Context(), cfg)
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "attempt 3 of 3", "timeout")
	testkit.Eventually(t, "not as many attempts as it says", func() bool { return asked.Load() == 3 })
}

func TestConnectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cfg := unencrypted(serve(t, "tcp", "127.0.0.1:0", hangUp))
	ctx, cancel := context.WithCancel(t.Context())
	cfg.ConnectRetry = pgdbm.RetryConfig{Attempts: 3, Delay: time.Hour, Jitter: -1}
	cfg.Logger = onRetry(func(int, time.Duration) { cancel() })
	_, err := pgdbm.Open(ctx, cfg)
	testkit.ErrorIs(t, err, context.Canceled)
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "pgdbm: connect (attempt 1 of 3): context canceled; the last error was: server unavailable: user=u")

	_, err = pgdbm.Open(ctx, cfg) // before the first attempt
	testkit.ErrorIs(t, err, context.Canceled)
	testkit.ErrorContains(t, err, "pgdbm: connect (attempt 1 of 3): context canceled")

	silent := unencrypted(serve(t, "tcp", "127.0.0.1:0", saysNothing))
	silent.ConnectTimeout = 50 * time.Millisecond // the pool's own attempt ends soon after
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	_, err = pgdbm.Open(ctx, silent)
	testkit.ErrorIs(t, err, context.DeadlineExceeded)
	testkit.ErrorContains(t, err, "no connection before the context ended: 0 of", "the server does not answer")
}

func TestConnectReportsAtOnceWhatWaitingCannotCure(t *testing.T) {
	t.Parallel()
	s := secure(t)
	for name, test := range map[string]struct {
		change func(*pgdbm.Config)
		class  error
		want   string
	}{
		"password": {func(c *pgdbm.Config) { c.Password = "wrong-hunter2" }, pgdbm.ErrPermission, "check the user and the password (Config.Password, DB_PASSWORD, PGPASSWORD"},
		"user":     {func(c *pgdbm.Config) { c.User = "nobody" }, pgdbm.ErrPermission, "add a line to pg_hba.conf for this user"},
		"database": {func(c *pgdbm.Config) { c.Database = "nowhere" }, pgdbm.ErrUndefined, "create the database, or correct its name"},
		"setting":  {func(c *pgdbm.Config) { c.RuntimeParams = map[string]string{"work_mam": "1"} }, pgdbm.ErrUndefined, `unrecognized configuration parameter "work_mam"`},
	} {
		cfg := s.config("plain")
		test.change(&cfg)
		_, err := pgdbm.Open(t.Context(), cfg)
		if !errors.Is(err, test.class) {
			t.Errorf("%s: %v", name, err)
		}
		testkit.ErrorContains(t, err, "pgdbm: connect (attempt 1 of 5): ", test.want)
		if strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
	}
}

func TestConnectRetryPauses(t *testing.T) {
	t.Parallel()
	l := serve(t, "tcp", "127.0.0.1:0", hangUp)
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		retry pgdbm.RetryConfig
		want  []time.Duration
	}{
		"doubling":  {pgdbm.RetryConfig{Attempts: 6, Delay: ms, MaxDelay: 5 * ms, Jitter: -1}, []time.Duration{ms, 2 * ms, 4 * ms, 5 * ms, 5 * ms}},
		"tripling":  {pgdbm.RetryConfig{Attempts: 4, Delay: ms, Backoff: 3, Jitter: -1}, []time.Duration{ms, 3 * ms, 9 * ms}},
		"constant":  {pgdbm.RetryConfig{Attempts: 4, Delay: ms, Backoff: 1, Jitter: -1}, []time.Duration{ms, ms, ms}},
		"attempts":  {pgdbm.RetryConfig{Attempts: 1}, nil},
		"by chance": {pgdbm.RetryConfig{Attempts: 30, Delay: ms, MaxDelay: 2 * ms, Jitter: .5}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []time.Duration
			cfg := unencrypted(l)
			cfg.ConnectRetry = test.retry
			cfg.Logger = onRetry(func(_ int, pause time.Duration) { got = append(got, pause) })
			_, err := pgdbm.Open(t.Context(), cfg)
			testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
			if test.retry.Jitter <= 0 {
				testkit.Equal(t, got, test.want)
				return
			}
			testkit.Equal(t, len(got), test.retry.Attempts-1)
			seen := map[time.Duration]bool{}
			for _, pause := range got[1:] {
				seen[pause] = true
				if pause < ms || pause > 2*ms { // half of 2 ms is random
					t.Errorf("pause %s", pause)
				}
			}
			if len(seen) < 2 {
				t.Errorf("all pauses are %v", got)
			}
		})
	}
}
