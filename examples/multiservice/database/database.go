// Package database finds the application's PostgreSQL: the one that the
// environment names, else a private one that starts by itself.
package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// Database is a server that answers, or will, and how to reach it.
type Database struct {
	Config pgdbm.Config

	server *embedded.Server // nil: somebody else's
}

// Open returns the server that the environment names; see
// [pgdbm.ConfigFromEnv]. Without one it starts a private server. The caller
// closes the database, which ends that server and removes its files.
func Open(ctx context.Context, log *slog.Logger) (*Database, error) {
	cfg, err := pgdbm.ConfigFromEnv()
	if err != nil {
		return nil, err
	}
	if cfg.ConnString != "" || cfg.Host != "" {
		cfg.Logger = log
		return &Database{Config: cfg}, nil
	}
	server, err := embedded.Start(ctx, embedded.Config{Private: true, Logger: log})
	if errors.Is(err, embedded.ErrNoBinaries) {
		err = fmt.Errorf("%w\n  export DATABASE_URL=postgres://user:password@host/database", err)
	}
	if err != nil {
		return nil, err
	}
	return &Database{pgdbm.Config{ConnString: server.ConnString("postgres"), Logger: log}, server}, nil
}

// String says which server it is and how it was found.
func (d *Database) String() string {
	switch {
	case d.server != nil:
		return d.server.String() + ", private"
	case d.Config.ConnString != "":
		return "the PostgreSQL that DATABASE_URL names"
	default:
		return "the PostgreSQL on " + d.Config.Host
	}
}

// Psql is a command that opens a private server's database; "" for a server of
// somebody else.
func (d *Database) Psql() string {
	if d.server == nil {
		return ""
	}
	return "psql '" + d.Config.ConnString + "'"
}

// Close ends a private server and removes its files.
func (d *Database) Close(ctx context.Context) error {
	if d.server == nil {
		return nil
	}
	return d.server.Close(ctx)
}
