package testkit_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
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

// openKit opens a second kit of this process on the server that the tests use,
// in an environment of its own.
func openKit(t testing.TB, env map[string]string) *testkit.Kit {
	t.Helper()
	full := map[string]string{}
	for _, variable := range []string{
		"TEST_DATABASE_URL", "TEST_DB_HOST", "TEST_DB_PORT", "TEST_DB_USER", "TEST_DB_PASSWORD", "TEST_DB_NAME", "TEST_DB_SSLMODE",
		"DATABASE_URL", "PGHOST", "PGSERVICE", "PGDATABASE", "PGDBM_TEST_DIR", "PGDBM_TEST_IDLE",
	} {
		full[variable] = os.Getenv(variable)
	}
	maps.Copy(full, env)
	k, err := testkit.Open(t.Context(), full)
	testkit.NoError(t, err)
	return k
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

// exists reports whether there is a database of that name.
func exists(t testing.TB, k *testkit.Kit, name string) bool {
	t.Helper()
	return query[bool](t, k.URL(k.Admin()), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name)
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

func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}
