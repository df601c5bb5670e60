package pgdbm

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// ConfigFromEnv returns the configuration that the environment describes:
//
//   - DATABASE_URL, or DB_HOST, DB_PORT, DB_NAME and DB_USER
//   - DB_PASSWORD, which replaces the one in DATABASE_URL; without it libpq's
//     rules apply: the one in the URL, PGPASSWORD, the password file
//   - DB_SCHEMA
//   - DB_SSLMODE, DB_SSLROOTCERT, DB_SSLCERT, DB_SSLKEY, DB_SSLPASSWORD: the fields of TLS
//   - DB_MIN_CONNS, DB_MIN_IDLE_CONNS, DB_MAX_CONNS, DB_STATEMENT_CACHE, DB_CONNECT_ATTEMPTS: whole numbers
//   - DB_MAX_CONN_LIFETIME, DB_MAX_CONN_IDLE_TIME, DB_CONNECT_TIMEOUT, DB_ACQUIRE_TIMEOUT, DB_STATEMENT_TIMEOUT,
//     DB_LOCK_TIMEOUT, DB_IDLE_IN_TRANSACTION_TIMEOUT, DB_SLOW_QUERY, DB_WATCHDOG: durations such as 30s
//   - DB_APPLICATION_NAME, DB_POOLER (none, transaction), DB_DIRECT_URL, DB_REPLICA_URL
//
// With none of DATABASE_URL and DB_HOST set, the server is that of PGHOST or of
// PGSERVICE. What else libpq's variables say pgx reads by itself. The error joins
// all variables that cannot be read. The result is not validated: [New] does that.
func ConfigFromEnv() (Config, error) {
	var errs []error
	number := func(name string, bits int) int64 {
		s := os.Getenv(name)
		if s == "" {
			return 0
		}
		n, err := strconv.ParseUint(s, 10, bits)
		if err != nil {
			errs = append(errs, fmt.Errorf("pgdbm: config: %s must be a whole number of %d at most", name, uint64(1)<<bits-1))
			return 0
		}
		return int64(n)
	}
	duration := func(name string) time.Duration {
		s := os.Getenv(name)
		if s == "" {
			return 0
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("pgdbm: config: %s must be a duration with its unit, such as 30s or 1m30s", name))
		}
		return d
	}
	c := Config{
		ConnString:  os.Getenv("DATABASE_URL"),
		Password:    os.Getenv("DB_PASSWORD"),
		Schema:      os.Getenv("DB_SCHEMA"),
		ModuleRoles: os.Getenv("DB_MODULE_ROLES"),
		TLS: TLSConfig{
			Mode: os.Getenv("DB_SSLMODE"), RootCert: os.Getenv("DB_SSLROOTCERT"),
			Cert: os.Getenv("DB_SSLCERT"), Key: os.Getenv("DB_SSLKEY"), KeyPassword: os.Getenv("DB_SSLPASSWORD"),
		},
		MinConns:                 int32(number("DB_MIN_CONNS", 31)),
		MinIdleConns:             int32(number("DB_MIN_IDLE_CONNS", 31)),
		MaxConns:                 int32(number("DB_MAX_CONNS", 31)),
		StatementCache:           int(number("DB_STATEMENT_CACHE", 31)),
		ConnectRetry:             RetryConfig{Attempts: int(number("DB_CONNECT_ATTEMPTS", 31))},
		MaxConnLifetime:          duration("DB_MAX_CONN_LIFETIME"),
		MaxConnIdleTime:          duration("DB_MAX_CONN_IDLE_TIME"),
		ConnectTimeout:           duration("DB_CONNECT_TIMEOUT"),
		AcquireTimeout:           duration("DB_ACQUIRE_TIMEOUT"),
		StatementTimeout:         duration("DB_STATEMENT_TIMEOUT"),
		LockTimeout:              duration("DB_LOCK_TIMEOUT"),
		IdleInTransactionTimeout: duration("DB_IDLE_IN_TRANSACTION_TIMEOUT"),
		SlowQuery:                duration("DB_SLOW_QUERY"),
		Watchdog:                 duration("DB_WATCHDOG"),
		ApplicationName:          os.Getenv("DB_APPLICATION_NAME"),
		Pooler:                   PoolerMode(os.Getenv("DB_POOLER")),
		DirectConnString:         os.Getenv("DB_DIRECT_URL"),
		ReplicaConnString:        os.Getenv("DB_REPLICA_URL"),
	}
	if c.ConnString != "" {
		return c, errors.Join(errs...)
	}
	c.Host = cmp.Or(os.Getenv("DB_HOST"), os.Getenv("PGHOST"))
	c.Port = uint16(number("DB_PORT", 16))
	c.Database, c.User = os.Getenv("DB_NAME"), os.Getenv("DB_USER")
	if service := os.Getenv("PGSERVICE"); service != "" && c.Host == "" { // the rest may be in the service
		params := c.server()
		params["service"] = service
		c.ConnString, c.Port, c.Database, c.User = appendParams("", params), 0, "", ""
	}
	return c, errors.Join(errs...)
}
