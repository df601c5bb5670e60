package testkit_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

func TestNamedServer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		env                         map[string]string
		variable, connString, admin string
	}{
		{env: map[string]string{}},
		{
			env:      map[string]string{"TEST_DATABASE_URL": "postgres://u:p%20w@h:1/main?sslmode=disable&dbname=x", "DATABASE_URL": "postgres://other/db"},
			variable: "TEST_DATABASE_URL", connString: "postgres://u:p%20w@h:1/d?sslmode=disable", admin: "x",
		},
		{
			env:      map[string]string{"TEST_DATABASE_URL": "postgres://u@h/main?options=-c%20work_mem%3D8MB&password=a+b&%64bname=x"},
			variable: "TEST_DATABASE_URL", connString: "postgres://u@h/d?options=-c%20work_mem%3D8MB&password=a+b", admin: "x",
		},
		{
			env:      map[string]string{"TEST_DATABASE_URL": "host=h user=u dbname=main"},
			variable: "TEST_DATABASE_URL", connString: "host=h user=u dbname=main dbname='d'", admin: "main",
		},
		{
			env:      map[string]string{"TEST_DB_PORT": "6543", "DATABASE_URL": "postgres://other/db"},
			variable: "TEST_DB_PORT", connString: "host='localhost' port='6543' user='postgres' password='postgres' dbname='d'", admin: "postgres",
		},
		{
			env: map[string]string{
				"TEST_DB_HOST": "h", "TEST_DB_USER": "u", "TEST_DB_PASSWORD": `it's \`, "TEST_DB_NAME": "n", "TEST_DB_SSLMODE": "require",
			},
			variable: "TEST_DB_HOST", connString: `host='h' port='5432' user='u' password='it\'s \\' sslmode='require' dbname='d'`, admin: "n",
		},
		{
			env:      map[string]string{"DATABASE_URL": "postgresql:///?host=/run/x", "PGHOST": "h"},
			variable: "DATABASE_URL", connString: "postgresql:///d?host=/run/x", admin: "",
		},
		{env: map[string]string{"PGHOST": "h"}, variable: "PGHOST", connString: "dbname='d'", admin: "postgres"},
		{env: map[string]string{"PGSERVICE": "s", "PGDATABASE": "m"}, variable: "PGSERVICE", connString: "dbname='d'", admin: "m"},
	} {
		variable, connString, admin := testkit.Named(row.env, "d")
		testkit.Equal(t, variable, row.variable)
		testkit.Equal(t, connString, row.connString)
		if row.admin != "" {
			testkit.Equal(t, admin, row.admin)
		}
		if row.variable == "TEST_DB_HOST" { // the quoting is what pgx reads
			cfg, err := pgx.ParseConfig(connString)
			testkit.NoError(t, err)
			testkit.Equal(t, cfg.Password, `it's \`)
			testkit.Equal(t, cfg.Database, "d")
		}
	}
}

// A server that was named is used or is an error; nothing else is tried.
func TestNamedServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for variable, value := range map[string]string{
		"TEST_DATABASE_URL": "postgres://u:secret@127.0.0.1:1/d?connect_timeout=2",
		"TEST_DB_PORT":      "1",
		"DATABASE_URL":      "host=/nowhere user=u password=secret",
		"TEST_DB_PASSWORD":  "secret", // of localhost:5432, which is nobody's or not ours
	} {
		_, err := testkit.Open(t.Context(), map[string]string{variable: value})
		testkit.ErrorContains(t, err, "the server named by "+variable+" cannot be used", "unset it to use an embedded server")
		if err != nil && contains(err.Error(), "secret") {
			t.Errorf("the message has the password in it: %v", err)
		}
	}
}

// What is wrong with an address is said without repeating it.
func TestNamedServerIsMisspelt(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"postgres://u:secret%zz@h/d", "postgres://u:secret@h:port/d", "host=h password='secret", "postgres://u:secret@127.0.0.1:1/d?connect_timeout=soon",
	} {
		_, err := testkit.Open(t.Context(), map[string]string{"TEST_DATABASE_URL": value})
		testkit.ErrorContains(t, err, "the server named by TEST_DATABASE_URL cannot be used")
		if err != nil && contains(err.Error(), "secret") {
			t.Errorf("the message has the password in it: %v", err)
		}
	}
}

// Something else may listen where the server should: it is not waited for.
func TestNamedServerIsNone(t *testing.T) {
	t.Parallel()
	for what, answer := range map[string]string{"says nothing": "", "speaks another protocol": "HTTP/1.1 400 Bad Request\r\n\r\n"} {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		testkit.NoError(t, err)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if answer != "" {
					_, _ = conn.Write([]byte(answer)) // the client may have gone
				}
				defer conn.Close() //nolint:errcheck // nothing is lost with it
			}
		}()
		_, port, err := net.SplitHostPort(l.Addr().String())
		testkit.NoError(t, err)
		_, err = testkit.OpenImpatient(t.Context(), map[string]string{"TEST_DB_HOST": "127.0.0.1", "TEST_DB_PORT": port}, 100*time.Millisecond)
		if err == nil {
			t.Errorf("a server that %s was used", what)
		}
		testkit.ErrorContains(t, err, "the server named by TEST_DB_HOST cannot be used")
		testkit.NoError(t, l.Close())
	}
}

// Advisory locks belong to a database. Processes that name different ones on one
// server must still see each other's.
func TestNamedServersAreOne(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	one, two := testkit.ConnString(t), testkit.ConnString(t)
	a, err := testkit.Open(t.Context(), map[string]string{"TEST_DATABASE_URL": one})
	testkit.NoError(t, err)
	t.Cleanup(a.Close)
	b, err := testkit.Open(t.Context(), map[string]string{"TEST_DATABASE_URL": two})
	testkit.NoError(t, err)
	t.Cleanup(b.Close)
	testkit.Equal(t, []string{a.Admin(), b.Admin()}, []string{k.Admin(), k.Admin()})
	testkit.Equal(t, a.Admin(), "postgres")
}

// libpq's variables, which pgx reads by itself, in processes of their own.
func TestNamedServerByLibpq(t *testing.T) {
	t.Parallel()
	switch os.Getenv(helperVariable) {
	case "database":
		d := testkit.New(t, testkit.Template{})
		testkit.Equal(t, query[string](t, d.ConnString(), "SELECT current_database()"), d.Name())
		t.Logf("on %s", d.Server())
		return
	case "skipped":
		testkit.New(t, testkit.Template{})
		t.Fatal("it was not skipped")
	}
	cfg, err := pgx.ParseConfig(testkit.ConnString(t))
	testkit.NoError(t, err)
	services := filepath.Join(t.TempDir(), "services")
	service := fmt.Sprintf("[ours]\nhost=%s\nport=%d\nuser=%s\n", cfg.Host, cfg.Port, cfg.User)
	testkit.NoError(t, os.WriteFile(services, []byte(service), 0o600))
	dir, unnamed := embeddedServer(t, "1s")
	unnamed = append(unnamed, "PGPASSWORD="+cfg.Password, "PGSERVICEFILE="+services)
	for _, row := range []struct {
		env  []string
		what string
		fail bool
		said string
	}{
		{[]string{"PGHOST=" + cfg.Host, fmt.Sprint("PGPORT=", cfg.Port), "PGUSER=" + cfg.User}, "database", false, "named by PGHOST"},
		{[]string{"PGSERVICE=ours"}, "database", false, "named by PGSERVICE"},
		{[]string{"PGHOST=127.0.0.1", "PGPORT=1"}, "database", true, "the server named by PGHOST cannot be used"},
		{[]string{"PGSERVICE=nobody's"}, "database", true, "the server named by PGSERVICE cannot be used"},
		{[]string{"DATABASE_URL=postgres://127.0.0.1:1/d"}, "database", true, "the server named by DATABASE_URL cannot be used"},
		{[]string{"PGDBM_TEST_SKIP=1", "PGHOST=127.0.0.1", "PGPORT=1"}, "skipped", false, "PGDBM_TEST_SKIP is set"},
	} {
		out, err := again(t, row.what, append(slices.Clone(unnamed), row.env...)...).CombinedOutput()
		if (err != nil) != row.fail {
			t.Errorf("%s: %v\n%s", row.env, err, out)
		}
		testkit.ErrorContains(t, errorOf(string(out)), row.said)
	}
	entries, err := os.ReadDir(dir) // where an embedded server would have been started
	testkit.NoError(t, err)
	testkit.Equal(t, len(entries), 0)
}

func TestNamedServerIsUsed(t *testing.T) {
	t.Parallel()
	url := testkit.ConnString(t) // a database that is not "postgres"
	k, err := testkit.Open(t.Context(), map[string]string{"TEST_DATABASE_URL": url})
	testkit.NoError(t, err)
	testkit.ErrorContains(t, errorOf(k.Server()), "named by TEST_DATABASE_URL")
	const others = `SELECT count(*) FROM pg_database WHERE datname NOT LIKE 'pgdbm\_%' AND NOT datistemplate`
	before := query[int](t, url, others)
	p := newProbe(t)
	d := k.New(p, testkit.Template{})
	testkit.Equal(t, query[string](t, d.ConnString(), "SELECT current_database()"), d.Name())
	if !testkit.Leased.MatchString(d.Name()) {
		t.Errorf("the database is called %s", d.Name())
	}
	testkit.Equal(t, query[int](t, url, others), before)
	p.end()
	shared := testkit.Template{Key: "built under a lock"}
	testkit.Equal(t, k.TemplateName(shared), openKit(t, nil).TemplateName(shared)) // both take their locks in postgres
	k.Close()
}

func TestNamedServerOfAnotherVersion(t *testing.T) {
	t.Parallel()
	url := testkit.ConnString(t)
	major := query[string](t, url, "SELECT (current_setting('server_version_num')::int / 10000)::text")
	k, err := testkit.Open(t.Context(), map[string]string{"TEST_DATABASE_URL": url, "PGDBM_PG_VERSION": major})
	testkit.NoError(t, err)
	k.Close()
	_, err = testkit.Open(t.Context(), map[string]string{"TEST_DATABASE_URL": url, "PGDBM_PG_VERSION": "99"})
	testkit.ErrorContains(t, err, "PGDBM_PG_VERSION=99, but the tests run on PostgreSQL "+major, "named by TEST_DATABASE_URL: unset one of the two")
}

func TestEnvironmentMistakes(t *testing.T) {
	t.Parallel()
	_, err := testkit.Open(t.Context(), map[string]string{"PGDBM_TEST_IDLE": "soon"})
	testkit.ErrorContains(t, err, "PGDBM_TEST_IDLE=soon is not a duration")
	_, err = testkit.Open(t.Context(), map[string]string{"PGDBM_TEST_DIR": "state"})
	testkit.ErrorContains(t, err, "PGDBM_TEST_DIR=state is not an absolute path")
	_, err = testkit.Open(t.Context(), map[string]string{"PGDBM_TEST_KEEP": "some"})
	testkit.ErrorContains(t, err, "PGDBM_TEST_KEEP=some is neither failed nor all")
}
