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
	pgx   *pgxpool.Pool
	cfg   Config
	owned bool // false: somebody else closes pgx
	log   *slog.Logger
	texts *expander

	pooled  atomic.Pointer[bool] // behind a transaction pooler? nil: not known yet
	closing sync.Once
	closed  atomic.Bool
}

// New makes a pool without touching the network. The caller closes it.
//
// The error joins every mistake in cfg.
func New(cfg Config) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	pc, err := cfg.poolConfig()
	if err != nil {
		return nil, err
	}
	p := &Pool{cfg: cfg, owned: true, log: cfg.Logger, texts: newExpander()}
	if cfg.Pooler != PoolerAuto {
		p.pooled.Store(new(cfg.Pooler == PoolerTransaction))
	}
	p.hook(pc)
	if p.pgx, err = pgxpool.NewWithConfig(context.Background(), pc); err != nil {
		return nil, classify(err, "", "")
	}
	p.warnSecond()
	return p, nil
}

// Open is New and [Pool.Connect]. The caller closes the pool; on error there is
// none to close.
func Open(ctx context.Context, cfg Config) (*Pool, error) {
	p, err := New(cfg) //nolint:contextcheck // it does no I/O
	if err != nil {
		return nil, err
	}
	if err := p.Connect(ctx); err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	return p, nil
}

// Borrow wraps a pgx pool that somebody else owns and closes. Of cfg only Schema,
// AcquireTimeout, Pooler, DirectConnString and Logger apply: connections are made
// as pool's owner configured them, with the owner's limits on statements and
// locks. Behind a transaction pooler cfg's limits apply in transactions.
func Borrow(pool *pgxpool.Pool, cfg Config) (*Pool, error) {
	if pool == nil {
		return nil, errors.New("pgdbm: Borrow: the pool is nil")
	}
	if err := cfg.validateRest(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	p := &Pool{pgx: pool, cfg: cfg, log: cfg.Logger, texts: newExpander()}
	if cfg.Pooler != PoolerAuto {
		p.pooled.Store(new(cfg.Pooler == PoolerTransaction))
	}
	return p, nil
}

// hook completes pgx's configuration with what depends on the pool's state.
func (p *Pool) hook(pc *pgxpool.Config) {
	pc.ConnConfig.Tracer = p.cfg.tracer()
	pc.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		if p.isPooled() {
			adaptToPooler(cc)
		}
		return nil
	}
	if len(p.cfg.OnConnect) == 0 {
		return
	}
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		for i, sql := range p.cfg.OnConnect {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("OnConnect[%d]: %w", i, err)
			}
		}
		return nil
	}
}

// Connect waits until the server answers, trying as often as
// [Config.ConnectRetry] says. What cannot be cured by waiting, such as a wrong
// password or database, is reported at once.
func (p *Pool) Connect(ctx context.Context) error {
	retry := p.cfg.ConnectRetry
	for attempt := 1; ; attempt++ {
		err := p.probe(ctx)
		if err == nil {
			p.log.LogAttrs(ctx, slog.LevelInfo, "pool opened", slog.Bool("pooler", p.isPooled()),
				slog.Int("max_conns", int(p.pgx.Config().MaxConns)))
			return nil
		}
		if attempt >= retry.Attempts || !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return within(fmt.Sprintf("connect (attempt %d of %d)", attempt, retry.Attempts), err)
		}
		pause := fullJitter(retry.Delay, retry.MaxDelay, attempt)
		p.log.LogAttrs(ctx, slog.LevelWarn, "server unavailable, retrying",
			slog.Int("attempt", attempt), slog.Duration("pause", pause), slog.String("error", err.Error()))
		if sleep(ctx, pause) != nil {
			return within(fmt.Sprintf("connect (attempt %d of %d)", attempt, retry.Attempts), err)
		}
	}
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
	if err := b.validate(); err != nil {
		return nil, err
	}
	return &Manager{pool: p, binding: b.clone()}, nil
}

// Dedicated opens a connection outside the pool, past a pooler when
// [Config.DirectConnString] is set. The caller closes it. Without a
// DirectConnString it is one of the pool's, which will not get it back.
func (p *Pool) Dedicated(ctx context.Context) (*pgx.Conn, error) {
	if p.cfg.DirectConnString == "" {
		conn, err := p.acquire(ctx)
		if err != nil {
			return nil, err
		}
		return conn.Hijack(), nil
	}
	cc, err := pgx.ParseConfig(p.cfg.DirectConnString)
	if err != nil {
		return nil, parseError(err, Config{ConnString: p.cfg.DirectConnString})
	}
	cc.RuntimeParams["application_name"] = p.cfg.ApplicationName
	conn, err := pgx.ConnectConfig(ctx, cc)
	return conn, classify(err, "", "")
}

// Pgx returns the pgx pool, for libraries that take one. Templates are not
// expanded and errors not classified there.
func (p *Pool) Pgx() *pgxpool.Pool { return p.pgx }

// Logger returns the configured logger; it is never nil.
func (p *Pool) Logger() *slog.Logger { return p.log }

// Stat returns a snapshot of the pool's statistics.
func (p *Pool) Stat() *pgxpool.Stat { return p.pgx.Stat() }

// Health asks the server for a sign of life, for readiness probes. Give it a
// context with a deadline.
func (p *Pool) Health(ctx context.Context) error {
	conn, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return classify(conn.Ping(ctx), "", "")
}

// Close closes the pool, waiting for connections that are in use until ctx
// ends; the error then says how many are still out. From then on every statement
// fails with ErrUnavailable. A borrowed pgx pool itself stays open. Close may be
// called more than once.
func (p *Pool) Close(ctx context.Context) error {
	p.closed.Store(true)
	if !p.owned {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.closing.Do(func() {
			forget(p)
			p.pgx.Close()
		})
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pgdbm: close: %d connections are still in use (unclosed rows, an unfinished transaction or a missing Release): %w",
			p.pgx.Stat().AcquiredConns(), ctx.Err())
	}
}

// acquire takes a connection out of the pool, waiting for at most
// [Config.AcquireTimeout].
func (p *Pool) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if p.closed.Load() {
		return nil, errClosed()
	}
	conn, err := p.wait(ctx)
	if err == nil && p.closed.Load() { // while it waited; a borrowed pool gives connections even so
		conn.Release()
		return nil, errClosed()
	}
	return conn, err
}

func errClosed() error { return &Error{Class: ErrUnavailable, Hint: "the pool is closed"} }

// wait is acquire without the question whether p is closed.
func (p *Pool) wait(ctx context.Context) (*pgxpool.Conn, error) {
	wait := p.cfg.AcquireTimeout
	if deadline, ok := ctx.Deadline(); wait < 0 || ok && time.Until(deadline) <= wait {
		conn, err := p.pgx.Acquire(ctx)
		return conn, p.acquireError(ctx, err)
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	conn, err := p.pgx.Acquire(bounded)
	return conn, p.acquireError(ctx, err)
}

// acquireError says that a wait for the pool ran out, where it did.
func (p *Pool) acquireError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	classified := classify(err, "", "")
	if e, ok := errors.AsType[*Error](classified); ok && errors.Is(e.Class, ErrTimeout) && ctx.Err() == nil {
		s := p.pgx.Stat()
		e.Hint = fmt.Sprintf("no connection within AcquireTimeout %s: %d of %d are in use", p.cfg.AcquireTimeout, s.AcquiredConns(), s.MaxConns())
	}
	return classified
}
