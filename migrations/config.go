package migrations

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// Config says how a [Migrator] works. The zero value is useful.
type Config struct {
	// Table is the name of the tracking table in every schema. Default
	// "pgdbm_migrations".
	Table string

	// LockTimeout bounds the wait for another run on the same schema to end.
	// Default 5 min.
	LockTimeout time.Duration

	// StatementLockTimeout is the server's lock_timeout in files without the
	// directive lock-timeout: how long a statement may wait for a lock, while
	// everybody else queues behind it. Default 2 s; negative waits for ever.
	// When it runs out, the file is rolled back and tried again.
	StatementLockTimeout time.Duration

	// StatementTimeout is the server's statement_timeout in files without the
	// directive statement-timeout. Default 0: none.
	StatementTimeout time.Duration

	// Retries bounds the attempts at a file that fails with a lock timeout, a
	// deadlock or a serialization failure, or because another session created the
	// same object at the same time; RetryTime bounds their duration.
	// Defaults 10 and 2 min; negative Retries means one attempt only.
	Retries   int
	RetryTime time.Duration

	// OutOfOrder lets pending files run although a later version has been
	// applied. The directive out-of-order does so for one file.
	OutOfOrder bool

	// AppVersion is recorded with every migration that this run applies.
	AppVersion string

	// Observer is told what happens; nil tells nobody.
	Observer Observer

	// Logger takes what the run logs; nil means the pool's.
	Logger *slog.Logger
}

const defaultTable = "pgdbm_migrations"

// validate reports every mistake.
func (c Config) validate() error {
	var errs []error
	if c.Table != "" && !sqltmpl.ValidName(c.Table) {
		errs = append(errs, fmt.Errorf("migrations: config: Table %q: names are a letter or _ followed by up to 62 letters, digits or _", c.Table))
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"LockTimeout", c.LockTimeout}, {"StatementTimeout", c.StatementTimeout}, {"RetryTime", c.RetryTime}} {
		if d.d < 0 {
			errs = append(errs, fmt.Errorf("migrations: config: %s must not be negative", d.name))
		}
	}
	return errors.Join(errs...)
}

// withDefaults fills in what the documentation of the fields promises.
func (c Config) withDefaults(log *slog.Logger) Config {
	if c.Table == "" {
		c.Table = defaultTable
	}
	if c.LockTimeout == 0 {
		c.LockTimeout = 5 * time.Minute
	}
	switch {
	case c.StatementLockTimeout == 0:
		c.StatementLockTimeout = 2 * time.Second
	case c.StatementLockTimeout < 0:
		c.StatementLockTimeout = 0 // the server's "never"
	}
	switch {
	case c.Retries == 0:
		c.Retries = 10
	case c.Retries < 0:
		c.Retries = 1
	}
	if c.RetryTime == 0 {
		c.RetryTime = 2 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = log
	}
	return c
}
