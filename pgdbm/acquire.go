package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pauses between attempts to reach a server that is not there: short, so that
// a fail-over is over when it is over.
const (
	firstConnectPause = 50 * time.Millisecond
	maxConnectPause   = time.Second
)

// acquire takes a connection out of the pool, waiting for at most
// [Config.AcquireTimeout], also for a server that is not there: nothing was sent
// to it, so trying again is always safe.
func (p *Pool) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	return p.take(ctx, true)
}

// take is acquire. When it is not patient it tries once.
func (p *Pool) take(ctx context.Context, patient bool) (*pgxpool.Conn, error) {
	if p.closed.Load() {
		return nil, errClosed(nil)
	}
	if err := ctx.Err(); err != nil {
		return nil, classify(err, "", "")
	}
	conn, err := p.wait(ctx, patient)
	if !p.closed.Load() {
		return conn, err
	}
	if err == nil { // closed while it waited; a borrowed pool gives connections even so
		conn.Release()
	}
	return nil, errClosed(err)
}

func errClosed(err error) error {
	return &Error{Class: ErrUnavailable, Hint: "the pool is closed", Err: err}
}

var errOwnerClosed = errors.New("the pgx pool was closed by its owner")

// wait is take without the question whether p is closed.
func (p *Pool) wait(ctx context.Context, patient bool) (*pgxpool.Conn, error) {
	wait := p.cfg.AcquireTimeout
	if deadline, ok := ctx.Deadline(); wait < 0 || ok && time.Until(deadline) <= wait {
		conn, err := p.attempts(ctx, patient)
		return conn, p.acquireError(ctx, err)
	}
	if p.timer {
		bounded, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		conn, err := p.attempts(bounded, patient)
		return conn, p.acquireError(ctx, err)
	}
	bounded := &waitContext{Context: ctx, wait: wait}
	defer bounded.stop()
	conn, err := p.attempts(bounded, patient) //nolint:contextcheck // it is ctx, with a limit
	return conn, p.acquireError(ctx, err)
}

// attempts tries once or, patient, until it has a connection, ctx ends, or waiting
// cannot help.
func (p *Pool) attempts(ctx context.Context, patient bool) (*pgxpool.Conn, error) {
	conn, err := p.attempt(ctx)
	if err == nil {
		p.present(ctx)
		return conn, nil
	}
	n := 1
	for ; patient && mayPass(err) && ctx.Err() == nil && !p.closed.Load(); n++ {
		p.missed(ctx, err)
		if sleep(ctx, fullJitter(firstConnectPause, maxConnectPause, n)) != nil {
			break
		}
		var next error
		if conn, next = p.attempt(ctx); next == nil {
			p.present(ctx)
			return conn, nil
		}
		if ctx.Err() == nil { // otherwise the error before says more
			err = next
		}
	}
	if patient && mayPass(err) {
		err = &waited{attempts: n, err: err}
	}
	return nil, err
}

// attempt tries once. A pool that was never connected finds out first what is
// at the other end.
func (p *Pool) attempt(ctx context.Context) (*pgxpool.Conn, error) {
	if p.owned && p.pooled.Load() == nil {
		if err := p.probe(ctx); err != nil {
			return nil, err
		}
	}
	return p.pgx.Acquire(ctx)
}

// mayPass reports whether err, of taking a connection, is about a server that is
// not there, starting, stopping or full, or a pooler that says so.
func mayPass(err error) bool { return errors.Is(classify(err, "", ""), ErrUnavailable) }

// missed and present note the beginning and the end of the server's absence,
// whoever notices first.
func (p *Pool) missed(ctx context.Context, err error) {
	if p.absent.CompareAndSwap(0, time.Now().UnixNano()) {
		p.log.LogAttrs(ctx, slog.LevelWarn, "server unavailable, statements wait for it", slog.String("error", classify(err, "", "").Error()))
	}
}

func (p *Pool) present(ctx context.Context) {
	since := p.absent.Load()
	if since != 0 && p.absent.CompareAndSwap(since, 0) {
		p.log.LogAttrs(ctx, slog.LevelInfo, "server available again", slog.Duration("dur", time.Since(time.Unix(0, since))))
	}
}

// waited is why there is no connection after several attempts.
type waited struct {
	attempts int
	err      error // of the last one that told something
}

func (e *waited) Error() string { return e.err.Error() }
func (e *waited) Unwrap() error { return e.err }

// acquireError says what a wait that ran out was for: a connection of the pool
// ([ErrTimeout]), or an answer of the server ([ErrUnavailable]).
func (p *Pool) acquireError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if strings.HasSuffix(err.Error(), "closed pool") { // puddle's
		return &Error{Class: ErrUnavailable, Err: errOwnerClosed}
	}
	if w, ok := err.(*waited); ok { //nolint:errorlint // it is as attempts made it
		return p.waitedError(ctx, w)
	}
	classified := classify(err, "", "")
	e, ok := classified.(*Error) //nolint:errorlint // made here, or of a hook, and then not about time
	if !ok || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return classified
	}
	if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting {
		return classified
	}
	limit := fmt.Sprintf("within AcquireTimeout %s", p.cfg.AcquireTimeout)
	if ctx.Err() != nil {
		limit = "before the context ended"
	}
	s := p.pgx.Stat()
	used, most := s.AcquiredConns(), s.MaxConns()
	if used < most {
		e.Hint = fmt.Sprintf("no connection %s: %d of %d are in use, and the server does not answer", limit, used, most)
		if errors.Is(err, context.DeadlineExceeded) {
			e.Class = ErrUnavailable
		}
		return e
	}
	e.Hint = fmt.Sprintf("no connection %s: %d of %d are in use%s: raise MaxConns, or look for long transactions and rows that are not closed",
		limit, used, most, p.longest(ctx, used))
	return e
}

// waitedError says for how long a server was waited for, and which limit ended
// that: the context's error is among its causes.
func (p *Pool) waitedError(ctx context.Context, w *waited) error {
	e, ok := errors.AsType[*Error](classify(w.err, "", ""))
	if !ok || !errors.Is(e, ErrUnavailable) {
		return classify(w.err, "", "")
	}
	waited := *e // the hook's, perhaps
	limit := fmt.Sprintf("within AcquireTimeout %s", p.cfg.AcquireTimeout)
	if ctx.Err() != nil {
		limit = "before the context ended"
		waited.Err = &endedError{err: e.Err, ctx: ctx.Err()}
	}
	hint := fmt.Sprintf("no server %s (attempts: %d)", limit, w.attempts)
	if e.Hint != "" {
		hint = e.Hint + "; " + hint
	}
	waited.Hint = hint
	return &waited
}

// endedError is err with the reason why nobody waited any longer.
type endedError struct{ err, ctx error }

func (e *endedError) Error() string   { return e.err.Error() }
func (e *endedError) Unwrap() []error { return []error{e.ctx, e.err} }

// exhaustedEvery is how often the holders of an exhausted pool are logged.
const exhaustedEvery = 10 * time.Second

// longest says for how long one connection has been in use, and now and then
// logs which statements keep the pool exhausted.
func (p *Pool) longest(ctx context.Context, used int32) string {
	if p.held == nil {
		return ""
	}
	all := p.held.list(used)
	if len(all) == 0 {
		return ""
	}
	now := time.Now().UnixNano()
	if last := p.exhausted.Load(); now-last > int64(exhaustedEvery) && p.exhausted.CompareAndSwap(last, now) {
		p.log.LogAttrs(ctx, slog.LevelWarn, "no connection is free", slog.Int("in_use", int(used)), slog.String("held", describe(all)))
	}
	return ", the longest for " + all[0].age.Round(time.Millisecond).String()
}

// healthTimeout bounds Health where the context does not: who probes waits for
// an answer, not for better times.
const healthTimeout = 5 * time.Second

// Health asks the server for a sign of life, for readiness probes. It does not
// wait for a server that is not there, as statements do. Give it a context with a
// deadline; without one it takes 5 s at most.
//
// The error is [ErrUnavailable] when the server does not answer, or the pool is
// closed, and [ErrTimeout] when all connections are in use: then this process is
// busy, and the server may be well.
func (p *Pool) Health(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, healthTimeout)
		defer cancel()
	}
	conn, err := p.take(ctx, false)
	if err != nil {
		return within("health", err)
	}
	defer conn.Release()
	err = conn.Ping(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &Error{Class: ErrUnavailable, Hint: "the server does not answer", Err: err}
	}
	if err != nil {
		return within("health", classify(err, "", ""))
	}
	return nil
}
