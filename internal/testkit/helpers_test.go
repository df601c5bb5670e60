package testkit_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// probe is a test within a test: it records what happens to it.
type probe struct {
	testing.TB

	mu       sync.Mutex
	logs     []string
	errs     []string
	cleanups []func()
	skipped  bool
}

func newProbe(t testing.TB) *probe {
	t.Helper()
	return &probe{TB: t}
}

func (p *probe) Name() string { return p.TB.Name() + "/probe" }
func (p *probe) Helper()      {}
func (p *probe) Failed() bool { return len(p.errs) > 0 }

func (p *probe) Cleanup(fn func()) { p.cleanups = append(p.cleanups, fn) }

func (p *probe) Logf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logs = append(p.logs, fmt.Sprintf(format, args...))
}

func (p *probe) Errorf(format string, args ...any) {
	p.errs = append(p.errs, fmt.Sprintf(format, args...))
}
func (p *probe) Fatalf(format string, args ...any) { p.Errorf(format, args...) }
func (p *probe) Skipf(string, ...any)              { p.skipped = true }

// end ends the probe's test.
func (p *probe) end() {
	for _, fn := range slices.Backward(p.cleanups) {
		fn()
	}
	p.cleanups = nil
}

// said returns what was logged or reported.
func (p *probe) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(append(slices.Clone(p.logs), p.errs...), "\n")
}

// serverVariables are those that name a server.
var serverVariables = []string{
	"TEST_DATABASE_URL", "TEST_DB_HOST", "TEST_DB_PORT", "TEST_DB_USER", "TEST_DB_PASSWORD", "TEST_DB_NAME", "TEST_DB_SSLMODE",
	"DATABASE_URL", "PGHOST", "PGSERVICE",
}

// openKit opens a second kit of this process on the server that the tests use,
// in an environment of its own.
func openKit(t testing.TB, env map[string]string) *testkit.Kit {
	t.Helper()
	full := map[string]string{}
	for _, variable := range append(slices.Clone(serverVariables), "PGDATABASE", "PGDBM_TEST_DIR", "PGDBM_TEST_IDLE") {
		full[variable] = os.Getenv(variable)
	}
	maps.Copy(full, env)
	k, err := testkit.Open(t.Context(), full)
	testkit.NoError(t, err)
	t.Cleanup(k.Close)
	return k
}

// again prepares to run the calling test in another process, which finds in
// helperVariable what it is to do.
func again(t *testing.T, what string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(append(os.Environ(), env...), helperVariable+"="+what)
	return cmd
}

const helperVariable = "PGDBM_TESTKIT_HELPER"

// embeddedServer is the environment of processes with an embedded server of
// their own, which stops when it has had no client for that long.
func embeddedServer(t *testing.T, idle string) (dir string, env []string) {
	t.Helper()
	dir = stateDir(t)
	env = []string{"PGDBM_TEST_DIR=" + dir, "PGDBM_TEST_IDLE=" + idle}
	for _, variable := range serverVariables {
		env = append(env, variable+"=")
	}
	return dir, env
}

// query returns the first value of a query.
func query[T any](t testing.TB, connString, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), connString)
	testkit.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is lost with it
	var value T
	testkit.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&value))
	return value
}

// execute runs statements.
func execute(t testing.TB, connString, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), connString)
	testkit.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is lost with it
	_, err = conn.Exec(t.Context(), sql)
	testkit.NoError(t, err)
}

// needsPrepared skips the test where the server has no prepared transactions.
func needsPrepared(t *testing.T, k *testkit.Kit) {
	t.Helper()
	if !query[bool](t, k.URL(k.Admin()), "SELECT current_setting('max_prepared_transactions')::int > 0") {
		t.Skip("the server has max_prepared_transactions = 0")
	}
}

// exists reports whether there is a database of that name.
func exists(t testing.TB, k *testkit.Kit, name string) bool {
	t.Helper()
	found, err := k.Exists(t.Context(), name)
	testkit.NoError(t, err)
	return found
}

// sqlTemplate is a template that a script builds.
func sqlTemplate(key, sql string) testkit.Template {
	return testkit.Template{Key: key + "\x00" + sql, Build: func(ctx context.Context, connString string) error {
		conn, err := pgx.Connect(ctx, connString)
		if err != nil {
			return err
		}
		defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
		_, err = conn.Exec(ctx, sql)
		return err
	}}
}

// ownTemplate is a template that no other process has, for tests that do things
// to it. It is dropped when the test ends.
func ownTemplate(t *testing.T, sql string) testkit.Template {
	t.Helper()
	tpl := sqlTemplate(t.Name()+rand.Text(), sql)
	k := openKit(t, nil)
	t.Cleanup(func() { drop(t, k, k.TemplateName(tpl)) })
	return tpl
}

// drop removes a template, if there is one and nobody else is just doing so.
func drop(t *testing.T, k *testkit.Kit, name string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	testkit.Eventually(t, name+" is dropped", func() bool {
		conn, err := pgx.Connect(ctx, k.URL(k.Admin()))
		testkit.NoError(t, err)
		defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
		var template bool
		if conn.QueryRow(ctx, "SELECT datistemplate FROM pg_database WHERE datname = $1", name).Scan(&template) == nil && template {
			_, _ = conn.Exec(ctx, "ALTER DATABASE "+name+" IS_TEMPLATE false") // the next statement tells
		}
		_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		return err == nil
	})
}

func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// stateDir returns an empty state directory, which goes once its server has.
func stateDir(t *testing.T) string {
	t.Helper()
	base := os.TempDir()
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		base = "/dev/shm" // a short path, and fast
	}
	dir, err := os.MkdirTemp(base, "pgdbm-k")
	testkit.NoError(t, err)
	t.Cleanup(func() {
		for _, pid := range postmasters(t, dir) {
			_ = kill(pid)
			testkit.Eventually(t, "the killed server is gone", func() bool { return !running(pid) })
		}
		testkit.NoError(t, os.RemoveAll(dir))
	})
	return dir
}

// postmasters returns the process ids of the servers below a state directory.
func postmasters(t *testing.T, dir string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "data", "postmaster.pid"))
	testkit.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has just stopped
		}
		first, _, _ := strings.Cut(string(content), "\n")
		if pid, err := strconv.Atoi(first); err == nil && running(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// running reports whether there is a process, one that ended and is not yet waited
// for included.
func running(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}
