package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// pgbouncer starts PgBouncer in transaction mode before a database of the
// test's own, and returns its address and the server's.
func pgbouncer(t *testing.T) (pooled, direct string) {
	t.Helper()
	bin, err := osexec.LookPath("pgbouncer")
	if err != nil {
		if bin = "/usr/sbin/pgbouncer"; !exists(bin) {
			t.Skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
		}
	}
	direct = testkit.ConnString(t)
	cc, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pgdbm-bouncer-") // t.TempDir's parent is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	password := ""
	if cc.Password != "" {
		password = " password='" + strings.ReplaceAll(cc.Password, "'", "''") + "'"
	}
	ini := fmt.Sprintf(`[databases]
%s = host=%s port=%d user=%s%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 8
`, cc.Database, cc.Host, cc.Port, cc.User, password, port)
	path := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(ini), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := osexec.CommandContext(context.WithoutCancel(t.Context()), bin, path)
	if os.Geteuid() == 0 { // which it refuses
		cmd.SysProcAttr = unprivileged(t, dir)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	pooled = fmt.Sprintf("host=127.0.0.1 port=%s user=%s dbname=%s sslmode=disable", port, cc.User, cc.Database)
	eventually(t, "pgbouncer answers", func() bool {
		conn, err := pgx.Connect(t.Context(), pooled)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	})
	return pooled, direct
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// unprivileged runs a process as the user that owns PostgreSQL's socket.
func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if err := errors.Join(uidErr, gidErr, os.Chown(dir, uid, gid)); err != nil {
			t.Fatal(err)
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	t.Skip("pgbouncer refuses to run as root, and there is no user postgres or nobody")
	return nil
}

func TestEachFileRunsOnceThroughAPooler(t *testing.T) {
	t.Parallel()
	pooled, direct := pgbouncer(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)")
	for i := 2; i <= 5; i++ {
		fsys[fmt.Sprintf("%d_x.sql", i)] = files("x", fmt.Sprintf("insert into {{tables.t}} values (%d)", i))["x"]
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		runs int
	)
	for range 16 {
		pool := open(t, pgdbm.Config{ConnString: pooled, MaxConns: 2})
		m := migrator(t, pool, fsys, migrations.Config{})
		wg.Go(func() {
			report, err := m.Up(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			runs += len(report.Applied)
		})
	}
	wg.Wait()
	pool := open(t, pgdbm.Config{ConnString: direct})
	if n := value[int](t, pool, "select sum(n) from app.t"); n != 14 || runs != 5 {
		t.Errorf("%d files applied, sum %d", runs, n)
	}
	if n := value[int](t, pool, "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"); n != 0 {
		t.Errorf("%d locks left in the pooler's sessions", n)
	}
}

func TestFilesLeaveThePoolersSessionsAsTheyWere(t *testing.T) {
	t.Parallel()
	pooled, _ := pgbouncer(t)
	pool := open(t, pgdbm.Config{ConnString: pooled})
	before := value[string](t, pool, "select current_user || current_setting('lock_timeout') || current_setting('search_path')")
	up(t, migrator(t, pool, files("1_a.sql", "-- pgdbm:lint-ignore session-setting on purpose\nset lock_timeout = '7s'; set search_path = pg_catalog; set role pg_monitor"), migrations.Config{}))
	for range 10 {
		if got := value[string](t, pool, "select current_user || current_setting('lock_timeout') || current_setting('search_path')"); got != before {
			t.Fatalf("the pooler's session has %s, had %s", got, before)
		}
	}
}

func TestNoTransactionFileNeedsADirectConnection(t *testing.T) {
	t.Parallel()
	pooled, direct := pgbouncer(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", auto+"create index concurrently i on {{tables.t}} (n)")
	_, err := migrator(t, open(t, pgdbm.Config{ConnString: pooled}), fsys, migrations.Config{}).Up(t.Context())
	if !errors.Is(err, migrations.ErrPooled) || !strings.Contains(err.Error(), "2_b.sql: not possible through a transaction pooler: a no-transaction file needs a session of its own; set pgdbm.Config.DirectConnString") {
		t.Errorf("%v", err)
	}
	if got := up(t, migrator(t, open(t, pgdbm.Config{ConnString: pooled, DirectConnString: direct}), fsys, migrations.Config{})); got != "2_b.sql" {
		t.Errorf("applied %s", got)
	}
}
