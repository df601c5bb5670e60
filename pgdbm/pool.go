package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pool is the one connection pool that all modules of a process share. It is
// safe for concurrent use.
type Pool struct {
	pgx    *pgxpool.Pool
	cfg    *Config // a pointer, so that %#v does not print passwords
	owned  bool    // false: somebody else closes pgx
	log    *slog.Logger
	texts  *expander
	direct *pgx.ConnConfig   // past a pooler; nil: none is configured
	limits map[string]string // settings that bound what a session does
	held   *holders          // nil for a borrowed pool
	roles  *moduleRoles      // nil: modules have none
	timer  bool              // each wait for a connection needs one from the start

	monitor *monitor // nil: nothing is counted or logged as slow

	statementLimit time.Duration // of a statement outside a transaction behind a pooler

	dog     *watchdog // nil for none
	replica *replica  // nil for none
	primary *Pool     // of a replica's pool

	pooled     atomic.Pointer[bool] // behind a transaction pooler? nil: not known yet
	generation atomic.Int64         // of connections; see renew
	renewed    atomic.Int64         // when that was last raised, in Unix nanoseconds
	absent     atomic.Int64         // since when the server is; 0: it is there
	exhausted  atomic.Int64         // when it was last logged
	retired    atomic.Int64         // connections, for MaxSchemasPerConn
	closing    sync.Once
	closed     atomic.Bool
	ended      chan struct{} // closed with the pool
}

// New makes a pool without touching the network; it reads the files of cfg.TLS.
// The caller closes it.
//
// The error joins all mistakes that [Config.Validate] finds, or says what is wrong
// with a file or a connection string.
func New(cfg Config) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := newPool(cfg)
	p.monitor = newMonitor(*p.cfg)
	if err := p.own(); err != nil {
		return nil, err
	}
	var err error
	if p.replica, err = newReplica(p); err != nil {
		p.pgx.Close()
		return nil, err
	}
	p.monitor.planOn(p.pgx)
	p.warnSecond()
	return p, nil
}

// own makes the pgx pool.
func (p *Pool) own() error {
	cert, err := p.cfg.TLS.load(p.log)
	if err != nil {
		return err
	}
	field := "ConnString"
	if p.primary != nil {
		field = "ReplicaConnString"
	}
	pc, err := p.cfg.poolConfig(cert, field)
	var directErr error
	p.direct, directErr = p.cfg.directConfig(cert)
	if err := errors.Join(err, directErr); err != nil {
		return err
	}
	if p.isPooled() {
		if err := worksPooled(pc.ConnConfig.DefaultQueryExecMode); err != nil {
			return err
		}
	}
	p.owned, p.timer = true, asksFirst(p.cfg.Tracers...)
	p.limitBy(p.cfg.limits(pc.ConnConfig.RuntimeParams))
	p.traceDirect()
	p.hook(pc)
	p.watchFitness(pc)
	if p.cfg.Watchdog > 0 {
		p.dog = newWatchdog(p, p.cfg.Watchdog)
		p.dog.hook(pc)
	}
	if p.pgx, err = pgxpool.NewWithConfig(context.WithValue(context.Background(), starting{}, true), pc); err != nil {
		return classify(err, "", "")
	}
	return nil
}

func newPool(cfg Config) *Pool {
	cfg = cfg.withDefaults()
	p := &Pool{cfg: &cfg, log: cfg.Logger, texts: newExpander(), roles: newModuleRoles(cfg.ModuleRoles), ended: make(chan struct{})}
	if cfg.Pooler != PoolerAuto {
		p.pooled.Store(new(cfg.Pooler == PoolerTransaction))
	}
	return p
}

// Open is New and [Pool.Connect]. The caller closes the pool; on error there is
// none to close.
func Open(ctx context.Context, cfg Config) (*Pool, error) {
	p, err := New(cfg) //nolint:contextcheck // it does no I/O
	if err != nil {
		return nil, err
	}
	if err := p.Connect(ctx); err != nil {
		_ = p.Close(ctx) // nothing is in use; what ends late does so by itself
		return nil, err
	}
	return p, nil
}

// Borrow wraps a pgx pool that somebody else owns and closes. Of cfg only Schema,
// ModuleRoles, AcquireTimeout, Pooler, Logger and, for connections past a pooler,
// DirectConnString with what belongs to it apply: the pool's connections are made
// as its owner configured them, with the owner's limits on statements and locks.
// Behind a transaction pooler cfg's limits apply.
// Statements are counted and slow ones logged if the owner's configuration has a
// tracer made by [NewTracer].
func Borrow(pool *pgxpool.Pool, cfg Config) (*Pool, error) {
	if pool == nil {
		return nil, errors.New("pgdbm: Borrow: the pool is nil")
	}
	if err := cfg.validateRest(); err != nil {
		return nil, err
	}
	p := newPool(cfg)
	p.pgx, p.monitor = pool, monitorOf(pool)
	p.limitBy(p.cfg.limits(cfg.RuntimeParams))
	p.timer = asksFirst(pool.Config().ConnConfig.Tracer)
	cert, err := p.cfg.TLS.load(p.log)
	if err != nil {
		return nil, err
	}
	if p.direct, err = p.cfg.directConfig(cert); err != nil {
		return nil, err
	}
	p.monitor.planOn(pool)
	p.traceDirect()
	return p, nil
}

// Manager binds a schema for life; "" binds [Config.Schema]. In its SQL,
// {{tables.x.t}} names the schema x literally.
func (p *Pool) Manager(schema string) (*Manager, error) {
	if schema == "" {
		schema = p.cfg.Schema
	}
	return p.Bind(Binding{Schema: schema})
}

// Bind makes the manager of a module. It copies b.
func (p *Pool) Bind(b Binding) (*Manager, error) {
	if err := errors.Join(b.validate(), p.admits(b.ExecMode)); err != nil {
		return nil, err
	}
	binding := b.clone()
	var err error
	if binding.role, err = p.roles.of(binding); err != nil {
		return nil, err
	}
	binding.counters = p.monitor.countersOf(binding)
	return &Manager{pool: p, binding: binding}, nil
}

// Pgx returns the pgx pool, for libraries that take one. Templates are not
// expanded and errors not classified there.
func (p *Pool) Pgx() *pgxpool.Pool { return p.pgx }

// Logger returns the configured logger; it is never nil.
func (p *Pool) Logger() *slog.Logger { return p.log }

// String says whose connections to which database these are.
func (p *Pool) String() string { return "pgdbm: pool of " + p.database() }

// Stat returns a snapshot of the pool's statistics.
func (p *Pool) Stat() *pgxpool.Stat { return p.pgx.Stat() }

// Close closes the pool, waiting for connections that are in use until ctx
// ends; the error then says how many are still out, for how long, and what ran on
// them last. From then on every statement fails with ErrUnavailable. A borrowed
// pgx pool itself stays open. Close may be called more than once.
func (p *Pool) Close(ctx context.Context) error {
	if !p.closed.Swap(true) {
		close(p.ended)
	}
	p.monitor.planOff(p.pgx)
	if !p.owned {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.closing.Do(func() {
			forget(p)
			p.release()
		})
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	used := p.pgx.Stat().AcquiredConns()
	held := p.held.list(used)
	if p.replica != nil {
		n := p.replica.pool.pgx.Stat().AcquiredConns()
		used, held = used+n, append(held, p.replica.pool.held.list(n)...)
	}
	if used == 0 {
		return fmt.Errorf("pgdbm: close: the server has not yet confirmed the end of its connections: %w", ctx.Err())
	}
	return fmt.Errorf("pgdbm: close: %d connections are still in use (unclosed rows, an unfinished transaction or a missing Release): %s: %w",
		used, describe(held), ctx.Err())
}

// untilClosed returns a context that ends with ctx or with the pool.
func (p *Pool) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel()
		wait.Wait()
	}
}

// release ends what the pool owns, waiting for connections that are in use.
func (p *Pool) release() {
	if p.dog != nil {
		p.dog.end()
	}
	if p.replica != nil {
		p.replica.pool.closed.Store(true)
		p.replica.pool.release()
	}
	p.pgx.Close()
}
