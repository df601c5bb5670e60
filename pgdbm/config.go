package pgdbm

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config describes a pool. Its zero value needs only a server: ConnString, or
// Host and what goes with it. What neither sets falls back to libpq's
// environment variables (PGHOST, PGUSER, PGSSLMODE, …), as in every pgx program.
type Config struct {
	// ConnString is a PostgreSQL URL or keyword/value string. It excludes Host,
	// Port, Database and User; Password and the TLS fields complete it.
	ConnString string

	Host     string // name, address or the directory of a Unix socket
	Port     uint16 // default 5432
	Database string
	User     string
	Password string

	// Schema is the schema that [Pool.Manager] binds when it is called with "".
	Schema string

	MaxConns              int32         // default: the greater of 4 and the number of CPUs
	MinConns              int32         // kept open when idle; default 0
	MaxConnLifetime       time.Duration // default 1 h
	MaxConnLifetimeJitter time.Duration // random addition to MaxConnLifetime; default a tenth of it
	MaxConnIdleTime       time.Duration // default 30 min

	// AcquireTimeout bounds the wait for a connection of the pool, opening one
	// included. Default 30 s; negative waits as long as the context allows.
	AcquireTimeout time.Duration

	TLS TLSConfig

	// Limits that the server enforces: on one statement (default 60 s), on the
	// wait for a lock (default 5 s), on an open transaction that does nothing
	// (default 60 s). Negative leaves the server's setting.
	StatementTimeout         time.Duration
	LockTimeout              time.Duration
	IdleInTransactionTimeout time.Duration

	ConnectRetry RetryConfig

	ApplicationName string            // default "pgdbm"
	RuntimeParams   map[string]string // further server settings of every connection

	// OnConnect are statements that run on every new connection. Behind a
	// transaction pooler they are refused: the connection is not ours.
	OnConnect []string

	// Pooler says whether a transaction pooler such as PgBouncer stands between
	// this pool and the server. The default finds out in [Pool.Connect].
	Pooler PoolerMode

	// DirectConnString reaches the server past the pooler, for what does not
	// work through one: migrations without a transaction, LISTEN. Default: ConnString.
	DirectConnString string

	// StatementCache is the number of prepared statements kept on each
	// connection; default 512 (pgx's).
	StatementCache int

	Logger  *slog.Logger      // nil logs nothing
	Tracers []pgx.QueryTracer // called in this order; each may implement pgx's further tracer interfaces

	// SlowQuery is the duration from which a statement is logged as slow, with its
	// SQL but without its arguments. 0 logs none.
	SlowQuery time.Duration
}

// TLSConfig says how connections are encrypted. Its zero value leaves the
// decision to ConnString and pgx (sslmode=prefer).
type TLSConfig struct {
	Mode        string // disable, require, verify-ca or verify-full; default verify-full when a file below is set
	RootCert    string // file with the authorities that may sign the server's certificate
	Cert        string // file with the client's certificate
	Key         string // file with the client's key
	KeyPassword string
}

// RetryConfig says how [Pool.Connect] waits for a server that is not there yet.
type RetryConfig struct {
	Attempts int           // default 5; 1 does not retry
	Delay    time.Duration // before the second attempt; default 200 ms
	MaxDelay time.Duration // default 5 s; the delay doubles up to it, each drawn at random up to its bound
}

// PoolerMode is the value of [Config.Pooler].
type PoolerMode string

// The pooler modes.
const (
	PoolerAuto        PoolerMode = ""
	PoolerNone        PoolerMode = "none"
	PoolerTransaction PoolerMode = "transaction"
)

// Validate reports every mistake at once.
func (c Config) Validate() error {
	return errors.Join(c.validateServer(), c.validateRest())
}

func (c Config) validateServer() error {
	if c.ConnString == "" && c.Host == "" {
		return errors.New("pgdbm: config: no server: set ConnString or Host, or use ConfigFromEnv")
	}
	if c.ConnString != "" && (c.Host != "" || c.Port != 0 || c.Database != "" || c.User != "") {
		return errors.New("pgdbm: config: ConnString excludes Host, Port, Database and User: set one or the other")
	}
	return nil
}

// validateRest is Validate without the question which server it is.
func (c Config) validateRest() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("pgdbm: config: "+format, args...)) }

	if c.Schema != "" {
		if err := ValidateSchema(c.Schema); err != nil {
			errs = append(errs, err)
		}
	}
	if c.MaxConns < 0 || c.MinConns < 0 {
		wrong("MaxConns and MinConns must not be negative")
	}
	if c.MaxConns > 0 && c.MinConns > c.MaxConns {
		wrong("MinConns (%d) exceeds MaxConns (%d)", c.MinConns, c.MaxConns)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"MaxConnLifetime", c.MaxConnLifetime},
		{"MaxConnLifetimeJitter", c.MaxConnLifetimeJitter},
		{"MaxConnIdleTime", c.MaxConnIdleTime},
		{"SlowQuery", c.SlowQuery},
		{"ConnectRetry.Delay", c.ConnectRetry.Delay},
		{"ConnectRetry.MaxDelay", c.ConnectRetry.MaxDelay},
	} {
		if d.d < 0 {
			wrong("%s must not be negative", d.name)
		}
	}
	if c.ConnectRetry.Attempts < 0 || c.StatementCache < 0 {
		wrong("ConnectRetry.Attempts and StatementCache must not be negative")
	}
	switch c.TLS.Mode {
	case "", "disable", "allow", "prefer", "require", "verify-ca", "verify-full":
	default:
		wrong("TLS.Mode %q: use disable, require, verify-ca or verify-full", c.TLS.Mode)
	}
	if c.TLS.Mode == "disable" && (c.TLS.RootCert != "" || c.TLS.Cert != "" || c.TLS.Key != "") {
		wrong("TLS.Mode disable contradicts the certificate files")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		wrong("TLS.Cert and TLS.Key go together")
	}
	switch c.Pooler {
	case PoolerAuto, PoolerNone, PoolerTransaction:
	default:
		wrong("Pooler %q: use %q or %q, or nothing to find out", c.Pooler, PoolerNone, PoolerTransaction)
	}
	if c.Pooler == PoolerTransaction && len(c.OnConnect) > 0 {
		wrong("OnConnect does not work behind a transaction pooler")
	}
	return errors.Join(errs...)
}

const defaultApplicationName = "pgdbm"

// withDefaults fills in what the documentation of the fields promises.
func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.MaxConnLifetime, time.Hour)
	def(&c.MaxConnLifetimeJitter, c.MaxConnLifetime/10)
	def(&c.MaxConnIdleTime, 30*time.Minute)
	def(&c.AcquireTimeout, 30*time.Second)
	def(&c.StatementTimeout, time.Minute)
	def(&c.LockTimeout, 5*time.Second)
	def(&c.IdleInTransactionTimeout, time.Minute)
	def(&c.ConnectRetry.Delay, 200*time.Millisecond)
	def(&c.ConnectRetry.MaxDelay, 5*time.Second)
	if c.ConnectRetry.Attempts == 0 {
		c.ConnectRetry.Attempts = 5
	}
	if c.ApplicationName == "" {
		c.ApplicationName = defaultApplicationName
	}
	if c.TLS.Mode == "" && (c.TLS.RootCert != "" || c.TLS.Cert != "") {
		c.TLS.Mode = "verify-full"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
