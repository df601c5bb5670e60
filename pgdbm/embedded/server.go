package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Origin says how [Start] came by a server.
type Origin string

// What [Start] may have done.
const (
	Started   Origin = "started new"            // a new data directory
	Restarted Origin = "restarted"              // the data directory of an earlier run
	Joined    Origin = "joined, it was running" // another process's server
)

// Server is a running PostgreSQL. It is safe for concurrent use.
//
// It holds one connection of its own, which keeps the server alive until Close
// or the end of this process.
type Server struct {
	inst     *instance
	origin   Origin
	lease    *lease
	process  *process // nil for the shared server
	owned    *os.File // the lock that proves the owner of a private server alive
	password string   // "" without TCP

	once     sync.Once
	closeErr error
}

// Start returns a server that answers: the shared one, or with
// [Config.Private] one of this process's own. The caller closes it; ctx bounds
// the start only, not the server's life. Several processes and goroutines may
// call it at once.
//
// The errors of a wrong configuration are joined. [ErrNoBinaries] means that
// there is no PostgreSQL to start. When ctx ended the start, the error is also
// ctx's.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if !supported {
		return nil, errors.New("embedded: this operating system is not supported: use a PostgreSQL server of your own")
	}
	begin := time.Now()
	start := startShared
	if cfg.Private {
		start = startPrivate
	}
	s, err := start(ctx, cfg)
	if err != nil {
		if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) { // a program that was killed does not say why
			err = fmt.Errorf("%w: %w", err, ended)
		}
		return nil, err
	}
	cfg.Logger.InfoContext(ctx, "embedded: server ready", "version", s.Version(), "origin", string(s.origin), "dur", time.Since(begin))
	return s, nil
}

// ConnString returns the URL of a database of the server, as its superuser. For
// a server with TCP it contains the password.
func (s *Server) ConnString(database string) string {
	if s.password != "" {
		return s.inst.tcpURL(database, s.password)
	}
	return s.inst.socketURL(database)
}

// Version returns the full version, like "15.18".
func (s *Server) Version() string { return s.inst.Bin.Version }

// Origin returns how Start came by the server.
func (s *Server) Origin() Origin { return s.origin }

// String describes the server to a person, without its password.
func (s *Server) String() string {
	return fmt.Sprintf("PostgreSQL %s from %s, %s", s.inst.Bin.Version, s.inst.Bin.Dir, s.origin)
}

// Log returns the path of the server's log file.
func (s *Server) Log() string { return s.inst.logFile() }

// Close ends the use of the server. The shared server goes on for its other
// clients and its idle time. A private server is stopped, for which ctx gives it
// 10 seconds at most before it is ended by force, and its files are removed.
// Closing twice is harmless.
func (s *Server) Close(ctx context.Context) error {
	s.once.Do(func() {
		s.lease.close()
		if s.process == nil {
			return
		}
		s.closeErr = errors.Join(s.process.stop(ctx), os.RemoveAll(s.inst.Dir), s.owned.Close())
	})
	return s.closeErr
}
