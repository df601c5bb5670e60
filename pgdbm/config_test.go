package pgdbm_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestValidateJoinsAllMistakes(t *testing.T) {
	t.Parallel()
	err := pgdbm.Config{
		Schema: "a-b", MaxConns: 1, MinConns: 2, SlowQuery: -1, Pooler: "session", OnConnect: []string{"select 1"},
		TLS: pgdbm.TLSConfig{Mode: "full", Cert: "c"},
	}.Validate()
	for _, want := range []string{
		"no server: set ConnString or Host", `schema "a-b"`, "MinConns (2) exceeds MaxConns (1)", "SlowQuery must not be negative",
		`TLS.Mode "full"`, "TLS.Cert and TLS.Key go together", `Pooler "session"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	err = pgdbm.Config{ConnString: "postgres://h/d", Host: "h"}.Validate()
	if err == nil || !strings.Contains(err.Error(), "ConnString excludes Host") {
		t.Errorf("got %v", err)
	}
}

func TestPasswordsNeverShow(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:hunter2secret@h:5432/d?sslmode=disable",
		"postgresql://u:hunter2secret@[::1]/d",
		"postgres://u:p@ss/hunter2secret@h/d",
		"postgres://h/d?user=u&password=hunter2secret&x=1",
		"postgres://h/d?sslpassword=hunter2secret",
		"host=h password=hunter2secret dbname=d",
		"host=h password = 'hunter2secret with spaces' dbname=d",
		`host=h password='it\'s hunter2secret' dbname=d`,
		"host=h PASSWORD=hunter2secret",
		"postgres://u:hunter2secret@h:notaport/d",
	} {
		c := pgdbm.Config{
			ConnString: dsn, DirectConnString: dsn, Password: secret,
			TLS: pgdbm.TLSConfig{KeyPassword: secret}, RuntimeParams: map[string]string{"password": secret},
		}
		var logged strings.Builder
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "config", c, "pointer", &c)
		encoded, err := json.Marshal(map[string]any{"c": c, "p": &c})
		if err != nil {
			t.Fatal(err)
		}
		_, newErr := pgdbm.New(pgdbm.Config{ConnString: dsn, MaxConns: 1, RuntimeParams: map[string]string{}, TLS: pgdbm.TLSConfig{Cert: "/nowhere", Key: "/nowhere"}})
		for where, text := range map[string]string{
			"Mask": pgdbm.Mask(dsn), "%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", &c), "%#v": fmt.Sprintf("%#v", c),
			"%s": c.String(), "log": logged.String(), "json": string(encoded), "New": fmt.Sprint(newErr),
		} {
			if strings.Contains(text, "hunter2") || text == "" {
				t.Errorf("%s of %s: %s", where, dsn, text)
			}
		}
	}
	if got, want := pgdbm.Mask("postgres://bob:x@h/d?sslmode=require"), "postgres://bob:xxxxx@h/d?sslmode=require"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMalformedConnStringIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://u:hunter2secret@h:port/d", "host=h port=x password=hunter2secret", "nonsense hunter2secret", "postgres://u:hunter2secret@h/d?sslmode=maybe"} {
		_, err := pgdbm.New(pgdbm.Config{ConnString: dsn})
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.HasPrefix(err.Error(), "pgdbm: config: connection string: ") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

func TestConfigReachesTheServer(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{
		ApplicationName: "my-app", StatementTimeout: 7 * time.Second, LockTimeout: -1, Schema: "shop",
		RuntimeParams: map[string]string{"work_mem": "5MB"}, OnConnect: []string{"set enable_seqscan to off"},
		MaxConns: 3,
	})
	m := bind(t, pool, "")
	if m.Schema() != "shop" {
		t.Errorf("default schema %q", m.Schema())
	}
	for name, want := range map[string]string{
		"application_name": "my-app", "statement_timeout": "7s", "lock_timeout": "0",
		"idle_in_transaction_session_timeout": "1min", "work_mem": "5MB", "enable_seqscan": "off",
	} {
		got, err := pgdbm.FetchValue[string](t.Context(), m, "select current_setting($1)", name)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	if n := pool.Stat().MaxConns(); n != 3 {
		t.Errorf("MaxConns %d", n)
	}
}

func TestConfigFromEnv(t *testing.T) {
	for name, value := range map[string]string{
		"DATABASE_URL": "", "DB_HOST": "db", "DB_PORT": "5433", "DB_NAME": "d", "DB_USER": "u", "DB_PASSWORD": "p", "DB_SCHEMA": "s",
		"DB_SSLMODE": "verify-full", "DB_MAX_CONNS": "9", "DB_SLOW_QUERY": "250ms", "DB_STATEMENT_TIMEOUT": "2m", "DB_POOLER": "transaction",
	} {
		t.Setenv(name, value)
	}
	c, err := pgdbm.ConfigFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	if c.Host != "db" || c.Port != 5433 || c.Database != "d" || c.User != "u" || c.Password != "p" || c.Schema != "s" || c.TLS.Mode != "verify-full" ||
		c.MaxConns != 9 || c.SlowQuery != 250*time.Millisecond || c.StatementTimeout != 2*time.Minute || c.Pooler != pgdbm.PoolerTransaction {
		t.Errorf("got %v", c)
	}
	t.Setenv("DATABASE_URL", "postgres://u@h/d")
	if c, err = pgdbm.ConfigFromEnv(); err != nil || c.ConnString != "postgres://u@h/d" || c.Host != "" || c.Validate() != nil {
		t.Errorf("got %v, %v", c, err)
	}
	for name, value := range map[string]string{"DB_MAX_CONNS": "many", "DB_SLOW_QUERY": "soon"} {
		t.Setenv(name, value)
		if _, err := pgdbm.ConfigFromEnv(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		t.Setenv(name, "")
	}
}

func TestFieldsInsteadOfConnString(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{ConnString: testkit.ConnString(t)})
	cc := pool.Pgx().Config().ConnConfig
	byFields, err := pgdbm.Open(t.Context(), pgdbm.Config{
		Host: cc.Host, Port: cc.Port, Database: cc.Database, User: cc.User, Password: cc.Password, TLS: pgdbm.TLSConfig{Mode: "disable"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = byFields.Close(t.Context()) }()
	if err := byFields.Health(t.Context()); err != nil {
		t.Error(err)
	}
}
