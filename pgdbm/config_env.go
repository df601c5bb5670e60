package pgdbm

import (
	"cmp"
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
//   - DB_SCHEMA, DB_SSLMODE, DB_SSLROOTCERT, DB_SSLCERT, DB_SSLKEY
//   - DB_MIN_CONNS, DB_MAX_CONNS
//   - DB_ACQUIRE_TIMEOUT, DB_STATEMENT_TIMEOUT, DB_LOCK_TIMEOUT, DB_SLOW_QUERY: durations such as 30s
//   - DB_APPLICATION_NAME, DB_POOLER (none, transaction), DB_DIRECT_URL
//
// With none of DATABASE_URL and DB_HOST set, Host is PGHOST. The result is not
// validated: [New] does that.
func ConfigFromEnv() (Config, error) {
	var err error
	number := func(name string, bits int) (n int64) {
		if s := os.Getenv(name); s != "" && err == nil {
			if n, err = strconv.ParseInt(s, 10, bits); err != nil || n < 0 {
				err = fmt.Errorf("pgdbm: config: %s must be a whole number", name)
			}
		}
		return n
	}
	duration := func(name string) (d time.Duration) {
		if s := os.Getenv(name); s != "" && err == nil {
			if d, err = time.ParseDuration(s); err != nil {
				err = fmt.Errorf("pgdbm: config: %s must be a duration such as 30s or 1m30s", name)
			}
		}
		return d
	}
	c := Config{
		ConnString: os.Getenv("DATABASE_URL"),
		Password:   os.Getenv("DB_PASSWORD"),
		Schema:     os.Getenv("DB_SCHEMA"),
		TLS: TLSConfig{
			Mode: os.Getenv("DB_SSLMODE"), RootCert: os.Getenv("DB_SSLROOTCERT"),
			Cert: os.Getenv("DB_SSLCERT"), Key: os.Getenv("DB_SSLKEY"),
		},
		MinConns:         int32(number("DB_MIN_CONNS", 32)),
		MaxConns:         int32(number("DB_MAX_CONNS", 32)),
		AcquireTimeout:   duration("DB_ACQUIRE_TIMEOUT"),
		StatementTimeout: duration("DB_STATEMENT_TIMEOUT"),
		LockTimeout:      duration("DB_LOCK_TIMEOUT"),
		SlowQuery:        duration("DB_SLOW_QUERY"),
		ApplicationName:  os.Getenv("DB_APPLICATION_NAME"),
		Pooler:           PoolerMode(os.Getenv("DB_POOLER")),
		DirectConnString: os.Getenv("DB_DIRECT_URL"),
	}
	if c.ConnString == "" {
		c.Host = cmp.Or(os.Getenv("DB_HOST"), os.Getenv("PGHOST"))
		c.Port = uint16(number("DB_PORT", 17))
		c.Database, c.User = os.Getenv("DB_NAME"), os.Getenv("DB_USER")
	}
	return c, err
}
