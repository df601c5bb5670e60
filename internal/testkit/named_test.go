package testkit_test

import (
	"testing"

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
			variable: "DATABASE_URL", connString: "postgresql:///d?host=%2Frun%2Fx", admin: "",
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
	} {
		_, err := testkit.Open(t.Context(), map[string]string{variable: value})
		testkit.ErrorContains(t, err, "the server named by "+variable+" cannot be used", "unset it to use an embedded server")
		if err != nil && contains(err.Error(), "secret") {
			t.Errorf("the message has the password in it: %v", err)
		}
	}
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
	if name := k.TemplateName(shared); name == openKit(t, nil).TemplateName(shared) {
		t.Errorf("two databases to work from, whose locks are their own, share the template %s", name)
	}
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
	_, err = testkit.Open(t.Context(), map[string]string{"PGDBM_TEST_KEEP": "some"})
	testkit.ErrorContains(t, err, "PGDBM_TEST_KEEP=some is neither failed nor all")
}
