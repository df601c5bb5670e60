package testkit

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	poolSize = 10  // connections of a test
	keepIdle = 2   // connections that a released database keeps
	maxUses  = 200 // tests that a database serves

	// lockTimeout ends a statement that waits for a lock its own test holds,
	// before go test ends everything with a page of stacks.
	lockTimeout = "30s"
)

// slot is a database that serves one test after another.
type slot struct {
	tpl    *template
	name   string
	pool   *pgxpool.Pool
	tracer *tracer

	uses    int
	facts   *facts // nil where databases are not recycled
	state   baseline
	touched []string // tables in which tests have had rows
}

// open makes the pool and one connection, and if the database may be recycled
// notes the state it is in.
func (s *slot) open(ctx context.Context) error {
	if err := s.connect(ctx); err != nil || !s.tpl.kit.recycle {
		return err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if s.facts, err = s.tpl.known.of(ctx, conn.Conn()); err != nil {
		return err
	}
	return s.note(ctx, conn.Conn())
}

// connect makes the pool, with one connection.
func (s *slot) connect(ctx context.Context) error {
	cfg, err := pgxpool.ParseConfig(s.tpl.kit.server.connString(s.name))
	if err != nil {
		return err
	}
	cfg.MaxConns = poolSize
	cfg.MinConns, cfg.MinIdleConns = 0, 0
	cfg.HealthCheckPeriod = time.Hour // a pool per database: nothing to wake up for
	cfg.ConnConfig.RuntimeParams["lock_timeout"] = lockTimeout
	if s.tpl.kit.env.logSQL {
		s.tracer = &tracer{}
		cfg.ConnConfig.Tracer = s.tracer
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	return s.pool.Ping(ctx)
}

// close ends the pool and reports whether all is closed. A connection that a test
// never gave back makes the pool wait for it: that is left to its own, and ended
// with the database.
func (s *slot) close(ctx context.Context) bool {
	if s.pool == nil {
		return true
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.pool.Close() // from now on it gives no connections
	}()
	if !s.returned(ctx) {
		return false
	}
	<-done
	return true
}

// returned reports whether all connections were given back. The pool counts one
// that was given back broken, or in a transaction, until it is closed. One that
// somebody is just opening counts too: it is about to be his.
func (s *slot) returned(ctx context.Context) bool {
	out := func() int32 {
		stat := s.pool.Stat()
		return stat.AcquiredConns() + stat.ConstructingConns()
	}
	for deadline := time.Now().Add(time.Second); out() > 0; {
		if time.Now().After(deadline) {
			return false
		}
		wait(ctx, time.Millisecond)
	}
	return true
}

// rename gives the database a new name, so that nobody who knows the old one
// reaches it again. No session may be on it.
func (s *slot) rename(ctx context.Context, name string) error {
	conn, err := s.tpl.kit.admin.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := left(ctx, conn, s.name, time.Second); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+s.name+" RENAME TO "+name, pgx.QueryExecModeExec); err != nil {
		return fmt.Errorf("pgdbmtest: rename: %w", err)
	}
	s.name = name
	return nil
}
