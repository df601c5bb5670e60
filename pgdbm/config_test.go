package pgdbm_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	var all []string
	joined := pgdbm.Config{Schema: "a-b"} // the mistakes that do not exclude each other, in one
	for _, test := range []struct {
		want string
		set  func(*pgdbm.Config)
		solo bool
	}{
		{"no server: set ConnString or Host, or use ConfigFromEnv", func(c *pgdbm.Config) { c.ConnString, c.Host = "", "" }, true},
		{"ConnString excludes Host, Port, Database and User: set one or the other", func(c *pgdbm.Config) { c.Host = "h" }, true},
		{"ConnString excludes Host, Port, Database and User: set one or the other", func(c *pgdbm.Config) { c.User = "u" }, true},
		{"Host is a URL: that is for ConnString", func(c *pgdbm.Config) { c.ConnString, c.Host = "", "postgres://h/hunter2" }, true},
		{`Host "h:5432" has a port in it: set Port`, func(c *pgdbm.Config) { c.ConnString, c.Host = "", "h:5432" }, true},
		{"MaxConns is -1: use 0 or a positive number", func(c *pgdbm.Config) { c.MaxConns = -1 }, true},
		{"MinConns is -2: use 0 or a positive number", func(c *pgdbm.Config) { c.MinConns = -2 }, true},
		{"MinIdleConns is -3: use 0 or a positive number", func(c *pgdbm.Config) { c.MinIdleConns = -3 }, true},
		{"MinConns (2) exceeds MaxConns (1): lower it, or raise MaxConns", func(c *pgdbm.Config) { c.MaxConns, c.MinConns = 1, 2 }, false},
		{"MinIdleConns (3) exceeds MaxConns (1): lower it, or raise MaxConns", func(c *pgdbm.Config) { c.MaxConns, c.MinIdleConns = 1, 3 }, false},
		{"StatementCache is -4: use 0 or a positive number", func(c *pgdbm.Config) { c.StatementCache = -4 }, false},
		{"ConnectRetry.Attempts is -5: use 0 or a positive number", func(c *pgdbm.Config) { c.ConnectRetry.Attempts = -5 }, false},
		{"MaxConnLifetime is -1s: use 0 or a positive duration", func(c *pgdbm.Config) { c.MaxConnLifetime = -time.Second }, false},
		{"MaxConnLifetimeJitter is -1s: use 0 or a positive duration", func(c *pgdbm.Config) { c.MaxConnLifetimeJitter = -time.Second }, false},
		{"MaxConnIdleTime is -1s: use 0 or a positive duration", func(c *pgdbm.Config) { c.MaxConnIdleTime = -time.Second }, false},
		{"ConnectTimeout is -1s: use 0 or a positive duration", func(c *pgdbm.Config) { c.ConnectTimeout = -time.Second }, false},
		{"SlowQuery is -1s: use 0 or a positive duration", func(c *pgdbm.Config) { c.SlowQuery = -time.Second }, false},
		{"ConnectRetry.Delay is -1s: use 0 or a positive duration", func(c *pgdbm.Config) { c.ConnectRetry.Delay = -time.Second }, true},
		{"ConnectRetry.MaxDelay is -1s: use 0 or a positive duration", func(c *pgdbm.Config) { c.ConnectRetry.MaxDelay = -time.Second }, true},
		{"ConnectRetry.Delay (2s) exceeds ConnectRetry.MaxDelay (1s)", func(c *pgdbm.Config) { c.ConnectRetry.Delay, c.ConnectRetry.MaxDelay = 2*time.Second, time.Second }, false},
		{"ConnectRetry.Backoff is 0.5: use 0 for the default, or a factor from 1 on", func(c *pgdbm.Config) { c.ConnectRetry.Backoff = .5 }, false},
		{"ConnectRetry.Backoff is NaN", func(c *pgdbm.Config) { c.ConnectRetry.Backoff = math.NaN() }, true},
		{"ConnectRetry.Jitter is 2: use 0 for the default, up to 1", func(c *pgdbm.Config) { c.ConnectRetry.Jitter = 2 }, false},
		{`TLS.Mode is "full": use disable, require, verify-ca or verify-full`, func(c *pgdbm.Config) { c.TLS.Mode = "full" }, false},
		{"TLS.Mode disable contradicts the certificate files: use verify-full", func(c *pgdbm.Config) { c.TLS.Mode, c.TLS.RootCert = "disable", "r" }, true},
		{"TLS.Mode prefer contradicts the certificate files: use verify-full", func(c *pgdbm.Config) { c.TLS.Mode, c.TLS.RootCert = "prefer", "r" }, true},
		{"ConnString has sslmode=disable, which contradicts the certificate files of TLS: remove it, or set TLS.Mode", func(c *pgdbm.Config) {
			c.ConnString, c.TLS.RootCert = "postgres://h/d?sslmode=disable", "r"
		}, true},
		{"DirectConnString has sslmode=prefer, which contradicts", func(c *pgdbm.Config) { c.DirectConnString, c.TLS.RootCert = "host=h sslmode='prefer'", "r" }, true},
		{`TLS.RootCert "system" is for TLS.Mode verify-full, not require`, func(c *pgdbm.Config) { c.TLS.Mode, c.TLS.RootCert = "require", "system" }, true},
		{"TLS.Cert needs TLS.Key", func(c *pgdbm.Config) { c.TLS.Cert = "c" }, false},
		{"TLS.Key needs TLS.Cert", func(c *pgdbm.Config) { c.TLS.Key = "k" }, true},
		{"TLS.KeyPassword needs TLS.Key", func(c *pgdbm.Config) { c.TLS.KeyPassword = "p" }, true},
		{`RuntimeParams has "", which is not a setting`, func(c *pgdbm.Config) { c.RuntimeParams = map[string]string{"": "x"} }, true},
		{`RuntimeParams has "work_mem", which is not a setting`, func(c *pgdbm.Config) { c.RuntimeParams = map[string]string{"work_mem": "1\x00"} }, true},
		{`RuntimeParams has "sslmode", which is not a setting of the server: it belongs in ConnString`, func(c *pgdbm.Config) { c.RuntimeParams = map[string]string{"sslmode": "x"} }, false},
		{`RuntimeParams has "pool_max_conns", which is not a setting of the server`, func(c *pgdbm.Config) { c.RuntimeParams = map[string]string{"pool_max_conns": "x"} }, true},
		{`RuntimeParams has "application_name" beside ApplicationName: keep one of them`, func(c *pgdbm.Config) {
			c.ApplicationName, c.RuntimeParams = "a", map[string]string{"application_name": "b"}
		}, true},
		{`RuntimeParams has "lock_timeout" beside LockTimeout: keep one of them`, func(c *pgdbm.Config) {
			c.LockTimeout, c.RuntimeParams = -1, map[string]string{"lock_timeout": "1s"}
		}, true},
		{"OnConnect[1] is empty: remove it", func(c *pgdbm.Config) { c.OnConnect = []string{"select 1", " "} }, false},
		{"Tracers[0] is nil: remove it", func(c *pgdbm.Config) { c.Tracers = []pgx.QueryTracer{nil} }, false},
		{`Pooler is "session": use "none" or "transaction", or nothing to find out`, func(c *pgdbm.Config) { c.Pooler = "session" }, false},
		{"OnConnect does not work behind a transaction pooler: use ALTER ROLE", func(c *pgdbm.Config) {
			c.Pooler, c.OnConnect = pgdbm.PoolerTransaction, []string{"select 1"}
		}, true},
	} {
		c := pgdbm.Config{ConnString: "postgres://h/d"}
		test.set(&c)
		err := c.Validate()
		testkit.ErrorContains(t, err, "pgdbm: config: "+test.want)
		if err != nil && (strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: more than that: %v", test.want, err)
		}
		if _, err := pgdbm.New(c); err == nil {
			t.Errorf("%s: New accepts it", test.want)
		}
		if !test.solo {
			test.set(&joined)
			all = append(all, test.want)
		}
	}
	testkit.ErrorContains(t, joined.Validate(), append(all, "no server", `schema "a-b"`)...)
}

// What is wrong with a connection string is said without repeating any of it.
func TestMalformedConnString(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://u:hunter2secret@h:port/d":                                  "the port is not a number",
		"host=h port=x password=hunter2secret":                                 "the port is not a number",
		"postgres://u:hunter2secret@h:1,i:2,j/d":                               "", // valid: the port of j is the default
		"postgres://u:hunter2secret@h:1/d?port=1,2":                            "could not match 2 port numbers to 1 hosts",
		"nonsense hunter2secret":                                               "it is neither a URL (postgres://…) nor a list of key=value",
		"password=my hunter2secret host=h":                                     "it is neither a URL (postgres://…) nor a list of key=value",
		"password='hunter2secret":                                              "it is neither a URL (postgres://…) nor a list of key=value",
		"postgres://u:hunter2secret%@h/d":                                      "it is not a valid URL: percent-encode",
		"postgres://h/d?hunter2secret":                                         "it is not a valid URL: percent-encode",
		"postgres://u:hunter2secret@h/d?sslmode=maybe":                         "sslmode is invalid: use disable, require, verify-ca or verify-full",
		"postgres://h/d?connect_timeout=hunter2secret":                         "invalid connect_timeout",
		"postgres://h/d?target_session_attrs=any%3Fpw=hunter2secret":           "it is not a valid URL",
		"postgres://h/d?target_session_attrs=hunter2secret":                    "unknown target_session_attrs value",
		"postgres://h/d?channel_binding=hunter2secret":                         "unknown channel_binding value",
		"postgres://h/d?require_auth=hunter2secret":                            "invalid require_auth",
		"postgres://h/d?min_protocol_version=hunter2secret":                    "invalid min_protocol_version",
		"postgres://h/d?pool_max_conns=hunter2secret":                          "cannot parse pool_max_conns",
		"postgres://h/d?pool_max_conns=0&password=hunter2secret":               "pool_max_conns too small",
		"postgres://h/d?default_query_exec_mode=hunter2secret":                 "invalid default_query_exec_mode",
		"postgres://h/d?statement_cache_capacity=hunter2secret":                "cannot parse statement_cache_capacity",
		"postgres://h/d?servicefile=/nowhere&service=s&password=hunter2secret": "read service file: /nowhere",
	} {
		pool, err := pgdbm.New(pgdbm.Config{ConnString: dsn})
		if want == "" {
			testkit.NoError(t, err)
			testkit.NoError(t, pool.Close(t.Context()))
			continue
		}
		testkit.ErrorContains(t, err, "pgdbm: config: ConnString: "+want)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", dsn, err)
		}
		_, err = pgdbm.New(pgdbm.Config{Host: "h", DirectConnString: dsn})
		testkit.ErrorContains(t, err, "pgdbm: config: DirectConnString: "+want)
	}
	_, err := pgdbm.New(pgdbm.Config{Host: "h,i", Port: 1, RuntimeParams: map[string]string{"x": "y"}, ConnectTimeout: 1, TLS: pgdbm.TLSConfig{Mode: "allow"}, Database: "d\x00"})
	testkit.ErrorContains(t, err, "pgdbm: config: Host, Port, Database and User: ")
}

func TestConfigFromEnv(t *testing.T) {
	for name, value := range map[string]string{
		"DATABASE_URL": "", "DB_HOST": "db", "DB_PORT": "5433", "DB_NAME": "d", "DB_USER": "u", "DB_PASSWORD": "p", "DB_SCHEMA": "s",
		"DB_SSLMODE": "verify-full", "DB_SSLROOTCERT": "r", "DB_SSLCERT": "c", "DB_SSLKEY": "k", "DB_SSLPASSWORD": "kp",
		"DB_MIN_CONNS": "1", "DB_MIN_IDLE_CONNS": "2", "DB_MAX_CONNS": "9", "DB_STATEMENT_CACHE": "77", "DB_CONNECT_ATTEMPTS": "3",
		"DB_MAX_CONN_LIFETIME": "3h", "DB_MAX_CONN_IDLE_TIME": "3m", "DB_CONNECT_TIMEOUT": "3s", "DB_ACQUIRE_TIMEOUT": "4s",
		"DB_STATEMENT_TIMEOUT": "2m", "DB_LOCK_TIMEOUT": "-1s", "DB_IDLE_IN_TRANSACTION_TIMEOUT": "5s", "DB_SLOW_QUERY": "250ms",
		"DB_APPLICATION_NAME": "app", "DB_POOLER": "transaction", "DB_DIRECT_URL": "postgres://direct/d",
		"DB_REPLICA_URL": "postgres://replica/d", "DB_WATCHDOG": "6s",
		"DB_MODULE_ROLES": "app_",
	} {
		t.Setenv(name, value)
	}
	c, err := pgdbm.ConfigFromEnv()
	testkit.NoError(t, err)
	testkit.Equal(t, c, pgdbm.Config{
		Host: "db", Port: 5433, Database: "d", User: "u", Password: "p", Schema: "s",
		TLS:      pgdbm.TLSConfig{Mode: "verify-full", RootCert: "r", Cert: "c", Key: "k", KeyPassword: "kp"},
		MinConns: 1, MinIdleConns: 2, MaxConns: 9, StatementCache: 77, ConnectRetry: pgdbm.RetryConfig{Attempts: 3},
		MaxConnLifetime: 3 * time.Hour, MaxConnIdleTime: 3 * time.Minute, ConnectTimeout: 3 * time.Second, AcquireTimeout: 4 * time.Second,
		StatementTimeout: 2 * time.Minute, LockTimeout: -time.Second, IdleInTransactionTimeout: 5 * time.Second, SlowQuery: 250 * time.Millisecond,
		ApplicationName: "app", Pooler: pgdbm.PoolerTransaction, DirectConnString: "postgres://direct/d",
		ReplicaConnString: "postgres://replica/d", Watchdog: 6 * time.Second,
		ModuleRoles: "app_",
	})
	testkit.NoError(t, c.Validate())

	t.Setenv("DATABASE_URL", "postgres://u@h/d")
	c, err = pgdbm.ConfigFromEnv()
	testkit.NoError(t, errors.Join(err, c.Validate()))
	testkit.Equal(t, []string{c.ConnString, c.Host, c.User}, []string{"postgres://u@h/d", "", ""})

	wrong := map[string]string{"DB_MAX_CONNS": "many", "DB_MIN_CONNS": "-1", "DB_CONNECT_ATTEMPTS": "99999999999", "DB_SLOW_QUERY": "soon", "DB_LOCK_TIMEOUT": "5"}
	for name, value := range wrong {
		t.Setenv(name, value)
	}
	_, err = pgdbm.ConfigFromEnv()
	for name := range wrong {
		testkit.ErrorContains(t, err, "pgdbm: config: "+name+" must be a ")
	}
}

func TestConfigFromLibpqsEnvironment(t *testing.T) {
	s := secure(t)
	for _, name := range []string{"DATABASE_URL", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "PGSERVICE"} {
		t.Setenv(name, "")
	}
	whoami := func() string {
		t.Helper()
		cfg, err := pgdbm.ConfigFromEnv()
		testkit.NoError(t, err)
		if strings.Contains(cfg.String(), "hunter2") {
			t.Errorf("the password shows: %s", cfg)
		}
		user, err := pgdbm.FetchValue[string](t.Context(), bind(t, open(t, cfg), ""), "select current_user")
		testkit.NoError(t, err)
		return user
	}
	port := fmt.Sprint(s.port)
	t.Run("PGHOST and PGPASSWORD", func(t *testing.T) {
		for name, value := range map[string]string{"PGHOST": "localhost", "PGPORT": port, "PGUSER": "plain", "PGDATABASE": "postgres", "PGPASSWORD": userPassword} {
			t.Setenv(name, value)
		}
		testkit.Equal(t, whoami(), "plain")
		t.Setenv("PGPASSWORD", "wrong")
		t.Setenv("DB_PASSWORD", userPassword)
		testkit.Equal(t, whoami(), "plain")
	})
	t.Run("PGSERVICE", func(t *testing.T) {
		t.Setenv("PGSERVICEFILE", file(t, "services", []byte("[shop]\nhost=localhost\nport="+port+"\ndbname=postgres\nuser=nobody\npassword="+userPassword+"\n")))
		t.Setenv("PGSERVICE", "shop")
		t.Setenv("DB_USER", "plain")
		testkit.Equal(t, whoami(), "plain")
	})
	t.Run("password file", func(t *testing.T) {
		t.Setenv("DATABASE_URL", "postgres://plain@localhost:"+port+"/postgres")
		escaped := strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(userPassword)
		t.Setenv("PGPASSFILE", file(t, "pgpass", []byte("localhost:"+port+":*:plain:"+escaped+"\n")))
		testkit.Equal(t, whoami(), "plain")
	})
}
