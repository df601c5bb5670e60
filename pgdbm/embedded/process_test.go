package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// go test waits for whoever holds the output of a test binary, and then fails:
// the server must not.
func TestServerDoesNotHoldTheOutput(t *testing.T) {
	t.Parallel()
	cmd := command(t, embedded.Config{Dir: stateDir(t)}, nil)
	in, err := cmd.StdinPipe()
	noError(t, err)
	defer in.Close() //nolint:errcheck // its process was killed
	stdout, out, err := os.Pipe()
	noError(t, err)
	stderr, errs, err := os.Pipe()
	noError(t, err)
	cmd.Stdout, cmd.Stderr = out, errs
	noError(t, cmd.Start())
	noError(t, errors.Join(out.Close(), errs.Close()))
	h := &helper{cmd: cmd, out: newReader(stdout)}
	h.ready(t)
	pid := postmaster(h.DataDir)
	h.kill(t)
	for _, pipe := range []*os.File{stdout, stderr} {
		noError(t, pipe.SetReadDeadline(time.Now().Add(30*time.Second)))
		rest, err := io.ReadAll(pipe)
		noError(t, err)
		equal(t, string(rest), "")
		noError(t, pipe.Close())
	}
	equal(t, running(pid), true) // for a minute
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')'):]))
		equal(t, fields[3], fmt.Sprint(pid)) // a session of its own: no Ctrl-C reaches it
	}
}

// takeUsualPort makes sure that somebody listens on PostgreSQL's usual port, which
// is in nobody's way.
func takeUsualPort(t *testing.T) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:5432")
	if err == nil {
		t.Cleanup(func() { noError(t, l.Close()) })
	} else if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatal(err)
	}
}

// A directory may be called anything.
func TestOddDirectory(t *testing.T) {
	t.Parallel()
	above := stateDir(t)
	noError(t, os.Chmod(above, 0o711))
	dir := filepath.Join(above, "a b+c%d'e\"f")
	s := start(t, embedded.Config{Dir: dir, Idle: time.Second})
	equal(t, query[int](t, s.ConnString("postgres"), "SELECT 1"), 1)
	pid := postmaster(s.DataDir())
	noError(t, s.Close(t.Context()))
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
	equal(t, start(t, embedded.Config{Dir: dir}).Origin(), embedded.Restarted)
}

// A postmaster is killed while its backends are busy: they do not notice, and
// hold what the next server on the same data needs.
func TestServerKilledWhileItWorks(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: stateDir(t)}
	first := start(t, cfg)
	execute(t, first.ConnString("postgres"), "CREATE DATABASE kept")
	conn, err := pgx.Connect(t.Context(), first.ConnString("postgres"))
	noError(t, err)
	worker := int(conn.PgConn().PID())
	failed := make(chan error)
	go func() {
		_, err := conn.Exec(context.WithoutCancel(t.Context()), "DO $$ BEGIN LOOP END LOOP; END $$")
		failed <- err
	}()
	testkit.Eventually(t, "the statement runs", func() bool {
		return query[bool](t, first.ConnString("postgres"), fmt.Sprintf("SELECT state = 'active' FROM pg_stat_activity WHERE pid = %d", worker))
	})
	noError(t, syscall.Kill(postmaster(first.DataDir()), syscall.SIGKILL))

	again := start(t, cfg)
	equal(t, again.Origin(), embedded.Restarted)
	equal(t, query[int](t, again.ConnString("kept"), "SELECT 1"), 1)
	if err := <-failed; err == nil {
		t.Error("an endless loop succeeded")
	}
	testkit.Eventually(t, "the old backend is gone", func() bool { return !running(worker) })
}

// A server may be busy for longer than its patience is with a hung one.
func TestServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: stateDir(t)}
	first := start(t, cfg)
	pid := postmaster(first.DataDir())
	noError(t, syscall.Kill(pid, syscall.SIGSTOP))
	resume := time.AfterFunc(2500*time.Millisecond, func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	defer resume.Stop()
	second := start(t, cfg)
	equal(t, second.Origin(), embedded.Joined)

	noError(t, syscall.Kill(pid, syscall.SIGSTOP))
	third := start(t, cfg.Impatient(time.Millisecond))
	equal(t, third.Origin(), embedded.Started)
	if third.DataDir() == first.DataDir() {
		t.Error("two servers have the same data")
	}
	_, err := os.Stat(first.DataDir())
	noError(t, err) // a server that may go on keeps its files
	noError(t, syscall.Kill(pid, syscall.SIGCONT))
}

// A lock file is only a file unless somebody holds it, and a process id proves
// nothing.
func TestStaleFiles(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: stateDir(t), Idle: time.Second}
	h := begin(t, cfg).ready(t)
	pid := postmaster(h.DataDir)
	h.kill(t)
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
	home := filepath.Dir(filepath.Dir(h.DataDir))
	mine := fmt.Sprintf("%d\n%s\n1\n5432\n%s\n", os.Getpid(), h.DataDir, filepath.Join(home, "s"))
	for file, content := range map[string]string{
		filepath.Join(home, "lock"):                                       fmt.Sprint(os.Getpid()),
		filepath.Join(home, "state.json.tmp"):                             "{",
		filepath.Join(h.DataDir, "postmaster.pid"):                        mine,
		filepath.Join(filepath.Dir(h.DataDir), "s", ".s.PGSQL.5432.lock"): mine,
	} {
		noError(t, os.WriteFile(file, []byte(content), 0o600))
	}
	s := start(t, cfg)
	if s.Origin() == embedded.Joined {
		t.Error("joined a server that is not there")
	}
	equal(t, query[int](t, s.ConnString("postgres"), "SELECT 1"), 1)
}

// Ending all sessions takes lease and watchdog with it, and so does the death of
// a backend, after which the server restarts itself. Whoever is still there brings
// them back. Limits that a test sets for the user do not end them.
func TestLeaseAndWatchdogComeBack(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: stateDir(t), Idle: time.Second}
	h := begin(t, cfg).ready(t)
	pid := postmaster(h.DataDir)
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout", "client_connection_check_interval"} {
		execute(t, h.ConnString, "ALTER ROLE postgres SET "+limit+" = '100ms'")
	}
	const sessions = `SELECT count(DISTINCT application_name)::int FROM pg_stat_activity
		WHERE application_name IN ('pgdbm lease', 'pgdbm watchdog') AND clock_timestamp() - backend_start > interval '300ms' AND backend_start > $1`
	for _, disturb := range []func(conn *pgx.Conn) error{
		func(conn *pgx.Conn) error {
			_, err := conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
			return err
		},
		func(conn *pgx.Conn) error { return syscall.Kill(int(conn.PgConn().PID()), syscall.SIGKILL) },
	} {
		conn, err := pgx.Connect(t.Context(), h.ConnString)
		noError(t, err)
		var before time.Time
		noError(t, conn.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&before))
		noError(t, disturb(conn))
		testkit.Eventually(t, "lease and watchdog are back, and outlive the limits", func() bool {
			conn, err := pgx.Connect(t.Context(), h.ConnString)
			if err != nil {
				return false // it is restarting
			}
			defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
			var n int
			return conn.QueryRow(t.Context(), sessions, before).Scan(&n) == nil && n == 2
		})
		_ = conn.Close(t.Context()) // broken, perhaps
	}
	h.kill(t)
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
}

// Where there is no C.UTF-8, sorting is by bytes and the encoding the same.
func TestLocaleIsMissing(t *testing.T) {
	t.Parallel()
	m := machine(t)
	bin, err := embedded.FindHere(t.Context(), m)
	noError(t, err)
	for name, script := range map[string]string{
		"postgres": "exec " + bin + `/postgres "$@"`,
		"initdb":   `case "$*" in *C.UTF-8*) echo 'initdb: error: invalid locale name "C.UTF-8"' >&2; exit 1;; esac; exec ` + bin + `/initdb "$@"`,
	} {
		noError(t, os.WriteFile(filepath.Join(m, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	h := begin(t, embedded.Config{Dir: stateDir(t)}, "PGDBM_PG_BIN="+m).ready(t)
	equal(t, query[string](t, h.ConnString, "SELECT datcollate || ' ' || pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'template0'"), "C UTF8")
	h.end(t)
}
