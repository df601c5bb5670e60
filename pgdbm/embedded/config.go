package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

const (
	minVersion        = 14
	defaultSharedIdle = time.Minute
	defaultOwnerIdle  = 3 * time.Second
	startTimeout      = time.Minute
)

// Config says which server to start. The zero value is the shared test server
// of the newest PostgreSQL that is installed.
type Config struct {
	// Version is the wanted major version, 14 or newer. 0 takes that of an
	// existing DataDir, else the one that PGDBM_PG_VERSION names, else the
	// newest that is installed.
	Version int

	// Private starts a server of this process's own, durable, that
	// [Server.Close] stops and removes. False joins or starts the shared one.
	Private bool

	// TCP makes a private server listen on a free port of 127.0.0.1 as well,
	// with a random password for the user postgres. Without it the server
	// listens only on a Unix socket that nobody else can reach.
	TCP bool

	// DataDir keeps a private server's data in this directory, which is made
	// if it does not exist and is never removed. Empty keeps the data with the
	// server's other files, which are removed by [Server.Close].
	DataDir string

	// Dir is the state directory: locks, logs, sockets and data. It must be
	// this user's own, and its path short enough for a socket below it. Empty
	// takes the first suitable of /dev/shm/pgdbm-<uid> (for the shared
	// server), pgdbm-<uid> in the directory for temporary files, and
	// /var/tmp/pgdbm-<uid>.
	Dir string

	// Idle is how long the server stays without a client: any client for the
	// shared server (default 1 minute), its owner for a private one (default
	// 3 seconds; an owner that is alive always counts). At least 1 second.
	// The shared server keeps the value of the process that started it.
	Idle time.Duration

	// Settings are server settings, added to or replacing the defaults. Shared
	// servers with different settings are different servers.
	Settings map[string]string

	// Logger receives what is done and how long it took. Nil is silent.
	Logger *slog.Logger

	patience time.Duration // with a shared server that runs and does not answer
}

// withDefaults returns the configuration with its defaults filled in, or an
// error that joins all its mistakes.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("embedded: "+format, args...))
	}
	if c.Version != 0 && c.Version < minVersion {
		bad("Version %d is too old: %d or newer", c.Version, minVersion)
	}
	if c.TCP && !c.Private {
		bad("TCP needs Private: the shared server listens on its socket only")
	}
	if c.DataDir != "" && !c.Private {
		bad("DataDir needs Private: the shared server keeps its data in Dir")
	}
	if c.DataDir != "" && !filepath.IsAbs(c.DataDir) {
		bad("DataDir %q is not an absolute path", c.DataDir)
	}
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		bad("Dir %q is not an absolute path", c.Dir)
	}
	if c.Idle == 0 {
		c.Idle = defaultSharedIdle
		if c.Private {
			c.Idle = defaultOwnerIdle
		}
	}
	if c.Idle < time.Second {
		bad("Idle %s is too short: 1s or longer", c.Idle)
	}
	c.patience = cmp.Or(c.patience, 10*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}
