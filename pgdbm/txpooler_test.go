package pgdbm_test

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
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// pooler starts PgBouncer in transaction mode before a wire, and returns its
// address. All clients share one session.
func pooler(t *testing.T, w *wire) string {
	t.Helper()
	bin, err := osexec.LookPath("pgbouncer")
	if err != nil {
		if bin = "/usr/sbin/pgbouncer"; func() error { _, err := os.Stat(bin); return err }() != nil {
			t.Skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.NoError(t, err)
	port := portOf(listener)
	testkit.NoError(t, listener.Close())
	dir, err := os.MkdirTemp("", "pgdbm-pooler-") // t.TempDir's parent is closed to other users
	testkit.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	password := ""
	if w.server.Password != "" {
		password = " password='" + strings.ReplaceAll(w.server.Password, "'", "''") + "'"
	}
	path := filepath.Join(dir, "pgbouncer.ini")
	testkit.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `[databases]
%s = host=127.0.0.1 port=%d user=%s%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 1
`, w.server.Database, w.port, w.server.User, password, port), 0o644))
	cmd := osexec.CommandContext(context.WithoutCancel(t.Context()), bin, path)
	if os.Geteuid() == 0 { // which it refuses
		cmd.SysProcAttr = unprivileged(t, dir)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	testkit.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=%s sslmode=disable", port, w.server.User, w.server.Database)
	testkit.Eventually(t, "pgbouncer does not answer", func() bool {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	})
	return dsn
}

// unprivileged runs a process as a user that is not root.
func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		testkit.NoError(t, errors.Join(uidErr, gidErr, os.Chown(dir, uid, gid)))
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	t.Skip("pgbouncer refuses to run as root, and there is no user postgres or nobody")
	return nil
}

func TestSearchPathThroughAPooler(t *testing.T) {
	t.Parallel()
	dsn := pooler(t, newWire(t, testkit.ConnString(t)))
	one := bind(t, open(t, pgdbm.Config{ConnString: dsn}), "one")
	two := bind(t, open(t, pgdbm.Config{ConnString: dsn}), "two")
	takeTurns(t, bind(t, one.Pool(), "one"), bind(t, one.Pool(), "two"))
	pooled, err := two.Pool().Pooled(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, pooled, true)
	for range 5 { // whoever gets the session next
		path, err := pgdbm.FetchValue[string](t.Context(), two, "select current_setting('search_path')")
		testkit.NoError(t, err)
		testkit.Equal(t, path, `"$user", public`)
	}
}

// The pooler's error is no answer of the server: its COMMIT may have worked.
func TestCommitThroughAPoolerThatLosesTheServer(t *testing.T) {
	t.Parallel()
	w := newWire(t, testkit.ConnString(t))
	m := bind(t, open(t, pgdbm.Config{ConnString: pooler(t, w)}), "app")
	exec(t, m, "create table {{tables.items}} (id int generated always as identity, name text)")
	ctx := t.Context()
	for _, what := range []fault{cutRequest, cutAnswer} {
		w.on("commit", what)
		calls := 0
		err := m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 3}, func(tx *pgdbm.Tx) error { calls++; return add(ctx, tx, "a") })
		testkit.ErrorIs(t, err, pgdbm.ErrCommitUnknown)
		testkit.Equal(t, calls, 1)
	}
	w.on("select 'lost'", cutAnswer)
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		return errors.Join(add(ctx, tx, "b"), second(tx.Exec(ctx, "select 'lost'")))
	})
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.Equal(t, names(t, m), []string{"a"})
	whole(t, m)
}
