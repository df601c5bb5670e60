package pgdbm

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config describes a pool. Its zero value needs only a server: ConnString, or
// Host and what goes with it. A field that is set wins over ConnString; what
// neither sets falls back to libpq's environment variables (PGHOST, PGUSER,
// PGPASSWORD, PGSSLMODE, …) and password file, as in every pgx program, and then
// to the default.
type Config struct {
	// ConnString is a PostgreSQL URL or keyword/value string, of several hosts if
	// need be (see target_session_attrs). It excludes Host, Port, Database and
	// User. pgx's own parameters (pool_health_check_period, …) work in it.
	ConnString string

	Host     string // name, address or the directory of a Unix socket; several, separated by commas, are tried in order
	Port     uint16 // default 5432
	Database string
	User     string
	Password string // for one that changes see BeforeConnect

	// Schema is the schema that [Pool.Manager] binds when it is called with "".
	Schema string

	// ModuleRoles gives each module a database role of its own, and is what the
	// roles' names begin with, such as "app_"; their schemas follow. A role changes
	// the rows of its module's schema, reads those of the declared dependencies, and
	// reaches nothing else: a statement that does is [ErrPermission]. package module
	// creates the roles when it migrates.
	//
	// The role is sent with each statement, in the same round trip, and is gone with
	// its transaction: a statement outside of one runs in one of its own. Managers of
	// no module, of which [Pool.Manager] makes some, and connections of
	// [Manager.Acquire] have the role that connects. Default: none.
	ModuleRoles string

	MaxConns              int32         // default: the greater of 4 and the number of CPUs
	MinConns              int32         // kept open; opened by [Pool.Connect], then in the background; default 0
	MinIdleConns          int32         // kept free for the next who needs one; default 0
	MaxConnLifetime       time.Duration // default 1 h
	MaxConnLifetimeJitter time.Duration // random addition to MaxConnLifetime, in whole seconds; default a tenth of it
	MaxConnIdleTime       time.Duration // default 30 min

	// AcquireTimeout bounds the wait for a connection of the pool, opening one
	// included, and for a server that is not there: until then a statement tries
	// again. Default 30 s; negative waits as long as the context allows.
	AcquireTimeout time.Duration

	// ConnectTimeout bounds opening a connection to one host, and each of the
	// hooks that run then. Default 10 s.
	ConnectTimeout time.Duration

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

	// BeforeConnect is called before each connection is opened and may change
	// what it is opened with: a password that expires (tokens of a cloud, of
	// Vault), cc.DialFunc, certificates of another kind. An error is that of the
	// connection.
	BeforeConnect func(ctx context.Context, cc *pgx.ConnConfig) error

	// AfterConnect is called with each new connection, after OnConnect. It is the
	// place to register types, with conn.LoadTypes and conn.TypeMap. Behind a
	// transaction pooler it must not change the session. An error closes the
	// connection and is returned to whoever wanted it; of a type that a migration
	// is yet to make none should be returned.
	AfterConnect func(ctx context.Context, conn *pgx.Conn) error

	// Pooler says whether a transaction pooler such as PgBouncer stands between
	// this pool and the server. The default finds out in [Pool.Connect].
	Pooler PoolerMode

	// Watchdog is how long a server may leave probes without an answer until it is
	// given up: what waits for it fails, and further connections go to the other
	// hosts of ConnString. It takes a connection of its own and is for servers
	// that freeze or vanish without hanging up; through a transaction pooler it is
	// off. 3 s is a good value; default 0, none.
	Watchdog time.Duration

	// DirectConnString reaches the server past the pooler, for what does not
	// work through one: migrations without a transaction, LISTEN. Password, TLS
	// and all that concerns a session apply to it too. Default: ConnString.
	DirectConnString string

	// ReplicaConnString leads to a streaming standby, or to several of which each
	// connection takes one, for [Manager.Replica]. Password, TLS, MaxConns and all
	// that concerns a session apply to it too; its pool is one of its own. Default:
	// none, reads go to the primary.
	ReplicaConnString string

	// StatementCache is the number of prepared statements (behind a pooler:
	// descriptions of statements) kept on each connection; default 512 (pgx's). Each
	// schema has its own: where more are in use than are kept, a statement takes
	// three round trips. A larger cache takes memory of the server for each
	// statement, and of this process; the alternative is [Binding].ExecMode.
	StatementCache int

	// MaxSchemasPerConn is how many schemas a connection serves: with the managers
	// of more it is closed when it is released, and the pool opens another. A server
	// process keeps some 13 kB for each table that it ever touched and gives nothing
	// back. Only the schemas that managers are bound to count. Behind a transaction
	// pooler, whose connections to the server are not ours, and on a borrowed pool it
	// does not apply. Default 500; negative: no limit.
	MaxSchemasPerConn int

	Logger  *slog.Logger      // nil logs nothing; at debug level also every statement, without its arguments
	Tracers []pgx.QueryTracer // called in this order; each may implement pgx's further tracer interfaces

	// SlowQuery is the duration from which a statement is logged as slow, with its
	// SQL but without its arguments. 0 logs none.
	SlowQuery time.Duration

	// SlowQueryPlan logs the plan of slow statements too. In the background, one
	// at a time and each text once in 10 minutes, they are planned for unknown
	// arguments but not run, on a connection of the pool that is not needed
	// otherwise.
	SlowQueryPlan bool

	// History is how many statements [Pool.Metrics] remembers, without their
	// arguments; default 100, negative for none.
	History int

	// NoMetrics turns off what [Pool.Metrics] returns. Counting costs a fraction
	// of a microsecond for each statement and allocates nothing.
	NoMetrics bool
}

// TLSConfig says how connections are encrypted. Its zero value leaves the
// decision to ConnString and pgx (sslmode=prefer: encrypted where the server
// can, without looking at its certificate). It does not apply to Unix sockets.
type TLSConfig struct {
	// Mode is disable, require (encrypted, with whoever answers; with RootCert the
	// same as the next), verify-ca (the server's certificate is signed by RootCert)
	// or verify-full (and is for the host's name). The default with RootCert or
	// Cert is the sslmode of ConnString if it has one, else verify-full.
	Mode string

	// RootCert is a file with the authorities that may sign the server's
	// certificate, in PEM form. "system", and for verify-full the default, are
	// those of the operating system.
	RootCert string

	// Cert and Key are files with the client's certificate, followed by those
	// between it and its authority, and with its key, in PEM form. They are read
	// again for each connection, so replacing them is enough to renew them.
	Cert string
	Key  string

	KeyPassword string // of an encrypted Key
}

// RetryConfig says how [Pool.Connect] waits for a server that is not there yet.
type RetryConfig struct {
	Attempts int           // default 6, which is 3 to 6 s; 1 does not retry
	Delay    time.Duration // before the second attempt; default 200 ms
	Backoff  float64       // factor from one delay to the next; default 2, and 1 keeps them equal
	MaxDelay time.Duration // default 5 s, or Delay if that is longer
	Jitter   float64       // part of each delay that is random, up to 1; default 0.5, and negative is none
}

// PoolerMode is the value of [Config.Pooler].
type PoolerMode string

// The pooler modes.
const (
	PoolerAuto        PoolerMode = ""
	PoolerNone        PoolerMode = "none"
	PoolerTransaction PoolerMode = "transaction"
)

const (
	defaultApplicationName = "pgdbm"
	defaultSSLMode         = "verify-full" // when TLS is asked for
)

// withDefaults fills in what the documentation of the fields promises, except
// what ConnString may say as well: see [Config.poolConfig] for that.
func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.AcquireTimeout, 30*time.Second)
	def(&c.ConnectRetry.Delay, 200*time.Millisecond)
	def(&c.ConnectRetry.MaxDelay, max(5*time.Second, c.ConnectRetry.Delay))
	if c.ConnectRetry.Attempts == 0 {
		c.ConnectRetry.Attempts = 6
	}
	if c.MaxSchemasPerConn == 0 {
		c.MaxSchemasPerConn = defaultMaxSchemasPerConn
	}
	if c.History == 0 {
		c.History = 100
	}
	if c.ConnectRetry.Backoff == 0 {
		c.ConnectRetry.Backoff = 2
	}
	if c.ConnectRetry.Jitter == 0 {
		c.ConnectRetry.Jitter = 0.5
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// limit is a setting by which the server bounds what a session does.
type limit struct {
	setting string
	field   string
	of      func(Config) time.Duration
	def     time.Duration
}

var limits = []limit{
	{"statement_timeout", "StatementTimeout", func(c Config) time.Duration { return c.StatementTimeout }, time.Minute},
	{"lock_timeout", "LockTimeout", func(c Config) time.Duration { return c.LockTimeout }, 5 * time.Second},
	{"idle_in_transaction_session_timeout", "IdleInTransactionTimeout", func(c Config) time.Duration { return c.IdleInTransactionTimeout }, time.Minute},
}
