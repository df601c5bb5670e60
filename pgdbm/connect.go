package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Connect waits until the server answers, trying as often as
// [Config.ConnectRetry] says, and then opens [Config.MinConns] connections. What
// cannot be cured by waiting, such as a wrong password, a missing database or a
// certificate that does not fit, is reported at once. When ctx ends, the error is
// ctx's and that of the last attempt.
func (p *Pool) Connect(ctx context.Context) error {
	if p.closed.Load() {
		return errClosed(nil)
	}
	retry := p.cfg.ConnectRetry
	failure := connectError{attempts: retry.Attempts}
	for failure.attempt = 1; ; failure.attempt++ {
		err := p.acquireError(ctx, p.probe(ctx))
		if err == nil {
			break
		}
		failure.ended = ctx.Err()
		if failure.ended == nil || failure.err == nil { // what the server said tells more than what ctx says
			failure.err = err
		}
		if failure.attempt >= retry.Attempts || !errors.Is(err, ErrUnavailable) || errors.Is(err, errOwnerClosed) || failure.ended != nil {
			return &failure
		}
		pause := retry.pause(failure.attempt)
		p.log.LogAttrs(ctx, slog.LevelWarn, "server unavailable, retrying",
			slog.Int("attempt", failure.attempt), slog.Duration("pause", pause), slog.String("error", err.Error()))
		if failure.ended = sleep(ctx, pause); failure.ended != nil {
			return &failure
		}
	}
	p.fill(ctx)
	if p.replica != nil {
		p.replica.connect(ctx)
	}
	p.log.LogAttrs(ctx, slog.LevelInfo, "pool opened", slog.Bool("pooler", p.isPooled()),
		slog.String("exec_mode", p.execMode()), slog.Int("max_conns", int(p.pgx.Config().MaxConns)))
	return nil
}

// connectError says why there is no connection.
type connectError struct {
	attempt, attempts int
	ended             error // why the context ended; nil when it did not
	err               error // of the last attempt that told something
}

func (e *connectError) Error() string {
	last := strings.TrimPrefix(e.err.Error(), "pgdbm: ")
	if e.ended == nil || errors.Is(e.err, e.ended) {
		return fmt.Sprintf("pgdbm: connect (attempt %d of %d): %s", e.attempt, e.attempts, last)
	}
	return fmt.Sprintf("pgdbm: connect (attempt %d of %d): %s; the last error was: %s", e.attempt, e.attempts, e.ended, last)
}

func (e *connectError) Unwrap() []error {
	if e.ended == nil {
		return []error{e.err}
	}
	return []error{e.ended, e.err}
}

// fill opens the connections that are always kept. One that cannot be opened is
// left to the pool, which tries again every minute.
func (p *Pool) fill(ctx context.Context) {
	if !p.owned {
		return
	}
	cfg := p.pgx.Config()
	conns := make([]*pgxpool.Conn, max(cfg.MinConns, cfg.MinIdleConns))
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			var err error
			if conns[i], err = p.pgx.Acquire(ctx); err != nil {
				p.log.LogAttrs(ctx, slog.LevelWarn, "fewer connections than wanted", slog.String("error", classify(err, "", "").Error()))
			}
		})
	}
	wg.Wait()
	for _, conn := range conns {
		if conn != nil {
			conn.Release()
		}
	}
}

// starting marks the context in which pgxpool opens connections by itself when
// it is made. [New] does not touch the network.
type starting struct{}

var errStarting = errors.New("pgdbm: the pool does not connect before it is used")

// hook completes pgx's configuration with what depends on the pool's state.
func (p *Pool) hook(pc *pgxpool.Config) {
	p.held = &holders{began: time.Now()}
	pc.ConnConfig.Tracer = chain(append(append([]pgx.QueryTracer{p.held}, p.monitor.before(p.cfg.Tracers)...), serviceTracer{p}))
	pc.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		if ctx.Value(starting{}) != nil {
			return errStarting
		}
		if p.isPooled() {
			adaptToPooler(cc)
		}
		if p.primary != nil {
			spread(cc)
		}
		return p.beforeConnect(ctx, cc)
	}
	pc.AfterConnect = p.afterConnect
}

// traceDirect has connections past the pooler traced as well.
func (p *Pool) traceDirect() {
	if p.direct != nil {
		p.direct.Tracer = chain(p.monitor.before(p.cfg.Tracers))
	}
}

// beforeConnect runs the hook of that name in the time that it has.
func (p *Pool) beforeConnect(ctx context.Context, cc *pgx.ConnConfig) error {
	if p.cfg.BeforeConnect == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cc.ConnectTimeout)
	defer cancel()
	if err := p.cfg.BeforeConnect(ctx, cc); err != nil {
		return within("BeforeConnect", classify(err, "", ""))
	}
	return nil
}

// afterConnect sets a new connection up. A server that has stopped answering
// must not keep it for ever.
func (p *Pool) afterConnect(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, conn.Config().ConnectTimeout)
	defer cancel()
	teachUntyped(conn)
	for i, sql := range p.cfg.OnConnect {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return within(fmt.Sprintf("OnConnect[%d]", i), classify(err, "", sql))
		}
	}
	if p.cfg.AfterConnect != nil {
		if err := p.cfg.AfterConnect(ctx, conn); err != nil {
			return within("AfterConnect", classify(err, "", ""))
		}
	}
	return p.noteRole(ctx, conn)
}

// Dedicated opens a connection outside the pool, past a pooler when
// [Config.DirectConnString] is set. The caller closes it. Without a
// DirectConnString it is one of the pool's, which will not get it back.
func (p *Pool) Dedicated(ctx context.Context) (*pgx.Conn, error) {
	if p.direct == nil {
		conn, err := p.acquire(ctx)
		if err != nil {
			return nil, err
		}
		holderOf(conn.Conn()).gone()
		return conn.Hijack(), nil
	}
	cc := p.direct.Copy()
	if err := p.beforeConnect(ctx, cc); err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return nil, classify(err, "", "")
	}
	if err := p.afterConnect(ctx, conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}
