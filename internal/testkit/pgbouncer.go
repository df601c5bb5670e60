package testkit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PgBouncer is a transaction pooler in front of a database, for one test.
type PgBouncer struct {
	dir      string
	bin      string
	attr     *syscall.SysProcAttr
	config   string // with %s for the port
	password string
	target   *pgx.ConnConfig

	port    string
	program *program
	log     lockedBuffer
}

// StartPgBouncer starts PgBouncer in transaction mode before the database that
// target names. settings are added to its configuration or replace parts of it:
// default_pool_size is 8. It ends with the test, even with one that is killed.
//
// Where PgBouncer is not installed the test is skipped.
func StartPgBouncer(tb TB, target string, settings map[string]string) *PgBouncer {
	tb.Helper()
	b := &PgBouncer{password: rand.Text()}
	for _, path := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if bin, err := exec.LookPath(path); err == nil {
			b.bin = bin
			break
		}
	}
	if b.bin == "" {
		tb.Skipf("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
		return nil
	}
	var err error
	if b.target, err = pgx.ParseConfig(target); err != nil {
		tb.Fatalf("testkit: pgbouncer: %v", err)
		return nil
	}
	if b.dir, err = os.MkdirTemp("", "pgdbm-bouncer-"); err != nil { // tb.TempDir's parent is closed to other users
		tb.Fatalf("testkit: pgbouncer: %v", err)
		return nil
	}
	tb.Cleanup(func() { _ = os.RemoveAll(b.dir) })
	if b.attr, err = unprivileged(b.dir); err != nil {
		tb.Skipf("pgbouncer refuses to run as root: %v", err)
		return nil
	}
	b.configure(settings)
	users := fmt.Sprintf("%q %q\n", b.target.User, b.password)
	if err := os.WriteFile(filepath.Join(b.dir, "users"), []byte(users), 0o644); err != nil { //nolint:gosec // in a directory that nobody else may enter
		tb.Fatalf("testkit: pgbouncer: %v", err)
		return nil
	}
	tb.Cleanup(func() {
		b.Stop()
		if tb.Failed() {
			log := b.log.String()
			tb.Logf("pgbouncer:\n%s", log[max(0, len(log)-4<<10):])
		}
	})
	b.Start(tb)
	return b
}

// configure writes the configuration down, all but the port.
func (b *PgBouncer) configure(settings map[string]string) {
	all := map[string]string{
		"listen_addr":       "127.0.0.1",
		"listen_port":       "%s",
		"unix_socket_dir":   "",
		"auth_type":         "plain",
		"auth_file":         filepath.Join(b.dir, "users"),
		"pool_mode":         "transaction",
		"default_pool_size": "8",
	}
	maps.Copy(all, settings)
	password := ""
	if b.target.Password != "" {
		password = " password='" + strings.ReplaceAll(b.target.Password, "'", "''") + "'"
	}
	var ini strings.Builder
	fmt.Fprintf(&ini, "[databases]\n%s = host=%s port=%d user=%s%s\n[pgbouncer]\n",
		b.target.Database, b.target.Host, b.target.Port, b.target.User, strings.ReplaceAll(password, "%", "%%"))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&ini, "%s = %s\n", name, all[name])
	}
	b.config = ini.String()
}

// Start starts the pooler again after Stop, at the same address.
func (b *PgBouncer) Start(tb TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for first := b.port == ""; ; {
		if first { // it may be taken before the pooler takes it
			b.port = freePort(ctx)
		}
		err := b.launch(ctx)
		if err == nil {
			return
		}
		b.Stop()
		if ctx.Err() != nil || !strings.Contains(b.log.String(), "in use") {
			tb.Fatalf("testkit: pgbouncer does not answer: %v\n%s", err, b.log.String())
			return
		}
	}
}

// launch starts the process and waits until it answers or ends.
func (b *PgBouncer) launch(ctx context.Context) error {
	path := filepath.Join(b.dir, "pgbouncer.ini")
	if err := os.WriteFile(path, fmt.Appendf(nil, b.config, b.port), 0o644); err != nil { //nolint:gosec // in a directory that nobody else may enter
		return err
	}
	var err error
	b.program, err = start(b.attr, func(cmd *exec.Cmd) { cmd.Stdout, cmd.Stderr = &b.log, &b.log }, b.bin, path)
	if err != nil {
		return err
	}
	for {
		conn, err := pgx.Connect(ctx, b.ConnString())
		if err == nil {
			return conn.Close(ctx)
		}
		if _, full := errors.AsType[*pgconn.PgError](err); full { // somebody else was quicker
			return nil
		}
		select {
		case <-b.program.ended:
			return err
		case <-ctx.Done():
			return err
		default:
			wait(ctx, 5*time.Millisecond)
		}
	}
}

// Stop ends the pooler at once, and with it the connections through it.
func (b *PgBouncer) Stop() {
	if b.program != nil {
		b.program.kill()
		b.program = nil
	}
}

// ConnString returns the address of the database through the pooler.
func (b *PgBouncer) ConnString() string {
	return fmt.Sprintf("host=127.0.0.1 port=%s user=%s password=%s dbname=%s sslmode=disable",
		b.port, quoteValue(b.target.User), b.password, quoteValue(b.target.Database))
}

// freePort returns a TCP port of 127.0.0.1 that nobody uses.
func freePort(ctx context.Context) string {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return ""
	}
	defer l.Close() //nolint:errcheck // it only chose the port
	addr, _ := l.Addr().(*net.TCPAddr)
	return strconv.Itoa(addr.Port)
}

// lockedBuffer is a program's output, which may be read while it runs.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
