package fxpgdbm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/fxpgdbm"
	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// startLogged starts an application and returns its log without what differs
// from one run to the next.
func startLogged(t *testing.T, log *logged, dsn string, opts ...fx.Option) error {
	t.Helper()
	handler := slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "dur" {
			return slog.Attr{}
		}
		return a
	}})
	app := fx.New(fx.NopLogger, fx.Supply(pgdbm.Config{ConnString: dsn, MaxConns: 4, Logger: slog.New(handler)}), fxpgdbm.Module, fx.Options(opts...))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := app.Start(ctx)
	if err == nil {
		t.Cleanup(func() { testkit.NoError(t, app.Stop(context.Background())) })
	}
	return err
}

func TestLongStartSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	slow := module.Module{Name: "slow", Migrations: sqlFiles("1_t.sql", "create table {{tables.t}} (n int)", "2_wait.sql",
		"-- pgdbm:no-transaction\n-- pgdbm:lock-timeout 1m\nselect 1;\nselect pg_advisory_lock(7);\ncreate index concurrently i on {{tables.t}} (n)")}
	after := module.Module{Name: "zoo", Migrations: sqlFiles("1_t.sql", "create table {{tables.t}} ()")}
	holder, err := pgx.Connect(t.Context(), dsn)
	testkit.NoError(t, err)
	defer func() { _ = holder.Close(context.Background()) }()
	_, err = holder.Exec(t.Context(), "select pg_advisory_lock(7)")
	testkit.NoError(t, err)

	var log logged
	started := make(chan error, 1)
	go func() {
		started <- startLogged(t, &log, dsn, fxpgdbm.Register(users), fxpgdbm.Register(slow), fxpgdbm.Register(after))
	}()
	testkit.Eventually(t, "the log does not say how far the start is", func() bool {
		return strings.Contains(log.String(), "level=INFO msg=migrating done=1 total=4 module=slow schema=slow file=2_wait.sql statements_done=1 statements=3\n")
	})
	_, err = holder.Exec(t.Context(), "begin; insert into slow.t values (1); select pg_advisory_unlock(7)")
	testkit.NoError(t, err)
	testkit.Eventually(t, "the log does not say what the index waits for", func() bool {
		return strings.Contains(log.String(), "file=2_wait.sql statements_done=2 statements=3 phase=\"waiting for writers before build\" phase_done=0 phase_total=1\n")
	})
	_, err = holder.Exec(t.Context(), "commit")
	testkit.NoError(t, err)
	testkit.NoError(t, <-started)
	for _, want := range []string{
		"level=INFO msg=\"migrations are pending\" files=4\n", "level=INFO msg=\"migration applied\" module=users schema=users file=1_users.sql version=1\n",
		"level=INFO msg=\"schemas are migrated\" modules=3 files=4\n",
	} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("no %q once in\n%s", want, log.String())
		}
	}

	var again logged
	testkit.NoError(t, startLogged(t, &again, dsn, fxpgdbm.Register(users)))
	if !strings.Contains(again.String(), "level=INFO msg=\"schemas are up to date\" modules=1\n") {
		t.Errorf("the second start says\n%s", again.String())
	}
}

func TestFailedStartSaysWhatWasAppliedAndWhatToDo(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	orders := module.Module{Name: "orders", DependsOn: []module.Module{users}, Migrations: sqlFiles(
		"1_orders.sql", "create table {{tables.orders}} (id int)", "2_bad.sql", "create table {{tables.more}} ();\nalter table {{tables.orders}} add é int, ad x int;")}
	zoo := module.Module{Name: "zoo", Migrations: sqlFiles("1_t.sql", "create table {{tables.t}} ()")}
	var log logged
	err := startLogged(t, &log, dsn, fxpgdbm.Register(users), fxpgdbm.Register(orders), fxpgdbm.Register(zoo))
	const want = `fxpgdbm: migrating failed, and nothing was started: migrations: orders (schema orders): 2_bad.sql:2:42: syntax error at or near "ad" (SQLSTATE 42601)
    alter table {{tables.orders}} add é int, ad x int;
                                             ^
applied before, and kept: users: 1_users.sql; orders: 1_orders.sql
not reached: zoo
mend 2_bad.sql of module orders and start again: of a file that failed nothing remains, and a no-transaction file goes on at its failed statement`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	for _, line := range []string{"level=ERROR msg=\"migrating failed\" module=orders schema=orders file=2_bad.sql line=2 sqlstate=42601 error="} {
		if strings.Count(log.String(), line) != 1 {
			t.Errorf("no %q once in\n%s", line, log.String())
		}
	}

	edited := module.Module{Name: "users", Migrations: sqlFiles("1_users.sql", "select 1")}
	err = startLogged(t, &log, dsn, fxpgdbm.Register(edited), fxpgdbm.Register(zoo))
	testkit.ErrorIs(t, err, migrations.ErrDrift)
	testkit.ErrorContains(t, err, "users (schema users): 1_users.sql: an applied migration was edited", "or accept it with Resolve\nthis start applied nothing")

	err = startLogged(t, &log, dsn, fx.Supply(fxpgdbm.Config{OnStart: fxpgdbm.Verify}), fxpgdbm.Register(users), fxpgdbm.Register(zoo))
	testkit.ErrorIs(t, err, migrations.ErrPending)
	testkit.ErrorContains(t, err, "fxpgdbm: Config.OnStart is Verify, and schemas are not up to date: migrations: zoo (schema zoo): migrations are pending: 1_t.sql",
		"apply the migrations first, with a process that does not only verify")
}

// freezer is a proxy before the server that, once it is frozen, passes nothing on.
type freezer struct {
	frozen atomic.Bool
}

func (f *freezer) start(t *testing.T, dsn string) string {
	t.Helper()
	cc, err := pgx.ParseConfig(dsn)
	testkit.NoError(t, err)
	network, address := "tcp", fmt.Sprintf("%s:%d", cc.Host, cc.Port)
	if strings.HasPrefix(cc.Host, "/") {
		network, address = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", cc.Host, cc.Port)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.NoError(t, err)
	var conns []net.Conn
	var mu sync.Mutex
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
	})
	pass := func(to, from net.Conn) {
		buf := make([]byte, 1<<16)
		for {
			n, err := from.Read(buf)
			if err != nil {
				_ = to.Close()
				return
			}
			if !f.frozen.Load() {
				_, _ = to.Write(buf[:n])
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, client, server)
			mu.Unlock()
			go pass(server, client)
			go pass(client, server)
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	testkit.NoError(t, err)
	return fmt.Sprintf("host=127.0.0.1 port=%s user=%s password='%s' dbname=%s sslmode=disable", port, cc.User, cc.Password, cc.Database)
}

type observer func(migrations.Event)

func (o observer) Event(_ context.Context, e migrations.Event) { o(e) }

func TestStartOnAServerThatFreezesNamesTheFileAndTheOption(t *testing.T) {
	t.Parallel()
	proxy := &freezer{}
	dsn := proxy.start(t, testkit.ConnString(t))
	freeze := observer(func(e migrations.Event) {
		if e.Kind == migrations.EventFileStarted && e.File == "2_b.sql" {
			proxy.frozen.Store(true)
		}
	})
	m := module.Module{Name: "app", Migrations: sqlFiles("1_a.sql", "select 1", "2_b.sql", "select 2")}
	app := fx.New(fx.NopLogger, fx.Supply(pgdbm.Config{ConnString: dsn}), fx.Supply(fxpgdbm.Config{Migrations: migrations.Config{Observer: freeze}}), fxpgdbm.Module, fxpgdbm.Register(m))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := app.Start(ctx)
	testkit.ErrorContains(t, err, "app (schema app): 2_b.sql", "raise fx.StartTimeout at the top level")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
