package pgdbmtest_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

// unnamed is an environment that names no server.
var unnamed = []string{
	"TEST_DATABASE_URL=", "TEST_DB_HOST=", "TEST_DB_PORT=", "TEST_DB_USER=", "TEST_DB_PASSWORD=", "TEST_DB_NAME=", "TEST_DB_SSLMODE=",
	"DATABASE_URL=", "PGHOST=", "PGSERVICE=", "PGDATABASE=",
}

func (s scenarios) testEnvironment(t *testing.T) {
	t.Helper()
	t.Run("named servers", func(t *testing.T) {
		t.Parallel()
		s.testNamedServers(t)
	})
	t.Run("a directory of its own", func(t *testing.T) {
		t.Parallel()
		s.testDirectory(t)
	})
	for name, test := range map[string]struct {
		env    string
		tests  string
		passed bool
		want   []string // regular expressions
		not    []string
	}{
		"nothing":          {"X=", "TestServer", true, []string{`TestServer/#00 `}, []string{`testkit`, `sql: `, `psql`}},
		"VERBOSE":          {"TEST_DB_VERBOSE=1", "TestServer", true, []string{`scenarios_test.go:\d+: .*database pgdbm_t_\d+_\d+ \(use 1\) on PostgreSQL`}, []string{`sql: `}},
		"VERBOSE off":      {"TEST_DB_VERBOSE=false", "TestServer", true, nil, []string{`\(use 1\)`}},
		"LOG_SQL":          {"TEST_DB_LOG_SQL=1", "TestServer", true, []string{`sql: insert into "catalog"."products" \(name, stock\) values \(\$1, \$2\)`}, []string{`not in the log`}},
		"leak":             {"X=", "TestLeak", true, []string{`scenarios_test.go:\d+: .*still open at the end of the test`, `who left me open`}, nil},
		"STRICT":           {"PGDBM_TEST_STRICT=1", "TestLeak", false, []string{`still open at the end of the test`, `who left me open`, `--- FAIL: TestLeak`}, nil},
		"SKIP":             {"PGDBM_TEST_SKIP=1", "TestServer", true, []string{`PGDBM_TEST_SKIP is set`, `--- SKIP: TestServer/#00`}, []string{`database`}},
		"KEEP nothing":     {"PGDBM_TEST_KEEP=", "TestFails", false, nil, []string{`psql`}},
		"KEEP failed":      {"PGDBM_TEST_KEEP=failed", "TestFails", false, []string{`scenarios_test.go:\d+: .*kept for you:\n +psql '`, `DROP DATABASE pgdbm_kept_`}, nil},
		"KEEP no passed":   {"PGDBM_TEST_KEEP=failed", "TestServer", true, nil, []string{`psql`}},
		"KEEP all":         {"PGDBM_TEST_KEEP=all", "TestServer", true, []string{`(?s)DROP DATABASE pgdbm_kept_.*DROP DATABASE pgdbm_kept_`}, nil},
		"KEEP misspelt":    {"PGDBM_TEST_KEEP=some", "TestServer", false, []string{`PGDBM_TEST_KEEP=some is neither failed nor all`}, nil},
		"IDLE misspelt":    {"PGDBM_TEST_IDLE=soon", "TestServer", false, []string{`PGDBM_TEST_IDLE=soon is not a duration`}, nil},
		"unreachable":      {"TEST_DATABASE_URL=postgres://u:hidden@127.0.0.1:1/d", "TestServer", false, []string{`the server named by TEST_DATABASE_URL cannot be used`}, []string{`hidden`}},
		"unreachable part": {"TEST_DB_PORT=1", "TestServer", false, []string{`the server named by TEST_D(B_PORT|ATABASE_URL) cannot be used`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := []string{test.env}
			if name == "unreachable part" {
				env = append(slices.Clone(unnamed), test.env)
			}
			passed, said := s.run(t, env, test.tests)
			testkit.Equal(t, passed, test.passed)
			for _, want := range test.want {
				testkit.Equal(t, want+": "+found(said, want), want+": found")
			}
			for _, not := range test.not {
				testkit.Equal(t, not+": "+found(said, not), not+": not found")
			}
			if t.Failed() {
				t.Log(said)
			}
			dropKept(t, said)
		})
	}
	t.Run("RECYCLE", func(t *testing.T) {
		t.Parallel()
		for value, want := range map[string]int{"off": 2, "on": 1} {
			_, said := s.run(t, append(slices.Clone(unnamed), "PGDBM_TEST_RECYCLE="+value), "TestServer")
			names := regexp.MustCompile(`database pgdbm_t_\w+`).FindAllString(said, -1)
			if slices.Sort(names); len(names) != 2 || len(slices.Compact(names)) != want && !strings.Contains(said, "pg14") {
				t.Errorf("%s: want %d databases:\n%s", value, want, said)
			}
		}
	})
}

// dropKept drops the databases that the output says were kept.
func dropKept(t *testing.T, said string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`DROP DATABASE (\w+)`).FindAllStringSubmatch(said, -1) {
		execute(t, pgdbmtest.New(t), "drop database "+m[1])
	}
}

func found(text, expression string) string {
	if regexp.MustCompile(expression).MatchString(text) {
		return "found"
	}
	return "not found"
}

// testNamedServers names a server with a password in every way.
func (s scenarios) testNamedServers(t *testing.T) {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Config{
		Private: true, TCP: true, Settings: map[string]string{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"},
	})
	if errors.Is(err, embedded.ErrNoBinaries) {
		t.Skip("a second server needs PostgreSQL's programs, which are not installed here")
	}
	testkit.NoError(t, err)
	t.Cleanup(func() { testkit.NoError(t, server.Close(context.Background())) })
	u, err := url.Parse(server.ConnString("postgres"))
	testkit.NoError(t, err)
	port := u.Port()

	const password = `it's a \ "secret"`
	conn, err := pgx.Connect(t.Context(), u.String())
	testkit.NoError(t, err)
	_, err = conn.Exec(t.Context(), `create role tester superuser login password 'it''s a \ "secret"'; alter role postgres password 'postgres'`)
	testkit.NoError(t, err)
	_, err = conn.Exec(t.Context(), "create database main")
	testkit.NoError(t, err)
	testkit.NoError(t, conn.Close(t.Context()))
	u.User = url.UserPassword("tester", password)
	u.Path = "/main"

	parts := []string{"TEST_DB_HOST=127.0.0.1", "TEST_DB_PORT=" + port, "TEST_DB_USER=tester", "TEST_DB_PASSWORD=" + password, "TEST_DB_NAME=main"}
	for name, test := range map[string]struct {
		env    []string
		passed bool
		want   string
	}{
		"TEST_DATABASE_URL":  {[]string{"TEST_DATABASE_URL=" + u.String(), "TEST_DB_PORT=1", "DATABASE_URL=postgres://127.0.0.1:1/x", "PGHOST=127.0.0.1", "PGPORT=1"}, true, " as tester,"},
		"TEST_DB_*":          {append(parts, "TEST_DB_SSLMODE=disable", "DATABASE_URL=postgres://127.0.0.1:1/x"), true, " as tester,"},
		"TEST_DB_SSLMODE":    {append(parts, "TEST_DB_SSLMODE=require"), false, "server refused TLS connection"},
		"defaults":           {[]string{"TEST_DB_PORT=" + port}, true, " as postgres,"},
		"wrong password":     {append(parts, "TEST_DB_PASSWORD=wrong"), false, "the server named by TEST_DB_HOST cannot be used"},
		"no such database":   {append(parts, "TEST_DB_NAME=nowhere"), true, " as tester,"}, // it is made from another then
		"DATABASE_URL":       {[]string{"DATABASE_URL=" + u.String(), "PGHOST=127.0.0.1", "PGPORT=1"}, true, " as tester,"},
		"PGHOST":             {[]string{"PGHOST=127.0.0.1", "PGPORT=" + port, "PGUSER=tester", "PGPASSWORD=" + password, "PGSSLMODE=disable"}, true, " as tester,"},
		"keyword and values": {[]string{"TEST_DATABASE_URL=host=127.0.0.1 port=" + port + " user=postgres password=postgres sslmode=disable"}, true, " as postgres,"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passed, said := s.run(t, append(slices.Clone(unnamed), test.env...), "TestServer")
			if passed != test.passed || !strings.Contains(said, test.want) || passed && !strings.Contains(said, "port "+port+" ") || strings.Contains(said, "secret") {
				t.Errorf("passed %v, want %v, %q:\n%s", passed, test.passed, test.want, said)
			}
		})
	}
}

// testDirectory starts a shared server elsewhere, which stops by itself.
func (s scenarios) testDirectory(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pt") // short, for the socket in it
	testkit.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	testkit.NoError(t, os.Chmod(dir, 0o755)) // the server's user passes through
	passed, said := s.run(t, append(slices.Clone(unnamed), "PGDBM_TEST_DIR="+dir, "PGDBM_TEST_IDLE=1s"), "TestServer")
	if strings.Contains(said, embedded.ErrNoBinaries.Error()) {
		t.Skip("a second server needs PostgreSQL's programs, which are not installed here")
	}
	if !passed || !strings.Contains(said, "socket in "+dir+"/pg") {
		t.Errorf("passed %v:\n%s", passed, said)
	}
	testkit.Eventually(t, "the server runs on without a client", func() bool {
		sockets, err := filepath.Glob(filepath.Join(dir, "pg*", "*", "s", ".s.PGSQL.*[0-9]"))
		return err == nil && len(sockets) == 0
	})
}
