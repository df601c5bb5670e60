package testkit_test

import (
	"context"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

var keptLine = regexp.MustCompile(`kept for you:\s+psql '(.*)'\s+DROP DATABASE (\w+);`)

// kept returns the address and the name of the database that a test kept.
func kept(t *testing.T, said string) (address, name string) {
	t.Helper()
	m := keptLine.FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("nothing was kept: %s", said)
	}
	return strings.ReplaceAll(m[1], `'\''`, "'"), m[2]
}

// withPassword returns the address with the password that another one has, which a
// person would be asked for.
func withPassword(t *testing.T, address, other string) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(other)
	testkit.NoError(t, err)
	if cfg.Password == "" {
		return address
	}
	if u, err := url.Parse(address); err == nil && u.Scheme != "" {
		u.User = url.UserPassword(cfg.User, cfg.Password)
		return u.String()
	}
	return address + " password='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(cfg.Password) + "'"
}

func TestKeep(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		keep string
		fail bool
		kept bool
	}{{"", true, false}, {"failed", false, false}, {"failed", true, true}, {"all", false, true}} {
		k := openKit(t, map[string]string{"PGDBM_TEST_KEEP": row.keep})
		p := newProbe(t)
		d := k.New(p, testkit.Template{})
		execute(t, d.ConnString(), "CREATE TABLE evidence ()")
		if row.fail {
			p.Errorf("failed")
		}
		p.end()
		testkit.Equal(t, keptLine.MatchString(p.said()), row.kept)
		if row.kept {
			address, name := kept(t, p.said())
			k.Sweep(t.Context())
			openKit(t, nil).Sweep(t.Context()) // another process
			testkit.Equal(t, query[int](t, withPassword(t, address, d.Address()), "SELECT count(*) FROM evidence"), 0)
			execute(t, k.URL(k.Admin()), "DROP DATABASE "+name)
		}
	}
}

// What a failed test has left open does not keep its database from being kept.
func TestKeepWithOpenEnds(t *testing.T) {
	t.Parallel()
	k := openKit(t, nil)
	needsPrepared(t, k)
	p := newProbe(t)
	d := k.New(p, testkit.Template{})
	d.Keep()
	conn, err := pgx.Connect(t.Context(), d.ConnString())
	testkit.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // the database's end ends it
	for _, sql := range []string{
		"CREATE TABLE evidence (id int)", "INSERT INTO evidence VALUES (1)",
		"BEGIN", "INSERT INTO evidence VALUES (2)", "PREPARE TRANSACTION '" + d.Name() + "'", "BEGIN", "INSERT INTO evidence VALUES (3)",
	} {
		_, err := conn.Exec(t.Context(), sql)
		testkit.NoError(t, err)
	}
	p.end()
	testkit.ErrorContains(t, errorOf(p.said()), "1 prepared transactions were rolled back")
	address, name := kept(t, p.said())
	testkit.Equal(t, query[string](t, withPassword(t, address, d.Address()), "SELECT string_agg(id::text, ',') FROM evidence"), "1")
	execute(t, k.URL(k.Admin()), "DROP DATABASE "+name)
}

// A log is read by more people than may know the password.
func TestKeepDoesNotLogThePassword(t *testing.T) {
	t.Parallel()
	cfg, err := pgx.ParseConfig(testkit.ConnString(t))
	testkit.NoError(t, err)
	const secret = "it's a se%c@r/e:t"
	password := cfg.Password // of the server, which may ask for it
	if password == "" {
		password = secret
	}
	host := url.Values{"host": {cfg.Host}, "port": {strings.TrimSpace(strings.Split(query[string](t, cfg.ConnString(), "SHOW port"), "\n")[0])}, "application_name": {"x"}}
	byUser := url.URL{Scheme: "postgres", User: url.UserPassword(cfg.User, password), Path: "/" + cfg.Database, RawQuery: strings.ReplaceAll(host.Encode(), "+", "%20")}
	host.Set("password", password)
	byParameter := url.URL{Scheme: "postgresql", User: url.User(cfg.User), Path: "/" + cfg.Database, RawQuery: strings.ReplaceAll(host.Encode(), "+", "%20")}
	byKeyword := "host='" + cfg.Host + "' port=" + host.Get("port") + " password = '" + strings.ReplaceAll(password, "'", `\'`) + "' user=" + cfg.User + " dbname=" + cfg.Database
	for _, named := range []string{byUser.String(), byParameter.String(), byKeyword} {
		k, err := testkit.Open(t.Context(), map[string]string{"TEST_DATABASE_URL": named, "PGDBM_TEST_KEEP": "all", "TEST_DB_VERBOSE": "1"})
		testkit.NoError(t, err)
		p := newProbe(t)
		d := k.New(p, testkit.Template{})
		p.end()
		address, name := kept(t, p.said())
		if contains(p.said(), password) || contains(p.said(), url.PathEscape(password)) || contains(p.said(), url.UserPassword("", password).String()) || contains(p.said(), "password=") {
			t.Errorf("the password is in it: %s", p.said())
		}
		if contains(k.Server(), password) || contains(d.Server(), password) {
			t.Error("the description of the server has the password in it")
		}
		testkit.ErrorContains(t, errorOf(p.said()), "the password is left out here: psql asks for it")
		shown, err := pgx.ParseConfig(address)
		testkit.NoError(t, err)
		testkit.Equal(t, []string{shown.Host, shown.User, shown.Database, shown.Password}, []string{cfg.Host, cfg.User, name, ""})
		execute(t, k.URL(k.Admin()), "DROP DATABASE "+name)
		k.Close()
	}
}

// The embedded server stops when nobody uses it. What was kept is still there
// when the next test starts it again.
func TestKeptDatabaseOutlivesTheServer(t *testing.T) {
	t.Parallel()
	if os.Getenv(helperVariable) != "" {
		d := testkit.New(t, testkit.Template{})
		execute(t, d.ConnString(), "CREATE TABLE evidence AS SELECT 42 AS answer")
		t.Fatal("on purpose")
	}
	dir, env := embeddedServer(t, "1s")
	out, err := again(t, "fail", append(env, "PGDBM_TEST_KEEP=failed")...).CombinedOutput()
	if err == nil {
		t.Fatalf("it did not fail: %s", out)
	}
	address, _ := kept(t, string(out))
	testkit.ErrorContains(t, errorOf(string(out)), "if the server has stopped by then (see PGDBM_TEST_IDLE), any test starts it again")
	testkit.Eventually(t, "the server stops", func() bool { return len(postmasters(t, dir)) == 0 })

	next := map[string]string{}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		next[name] = value
	}
	k := openKit(t, next)
	k.Sweep(t.Context())
	testkit.Equal(t, query[int](t, address, "SELECT answer FROM evidence"), 42)
}
