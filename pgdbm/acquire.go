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

// acquire takes a connection out of the pool, waiting for at most
// [Config.AcquireTimeout].
func (p *Pool) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if p.closed.Load() {
		return nil, errClosed(nil)
	}
	if err := ctx.Err(); err != nil {
		return nil, classify(err, "", "")
	}
	conn, err := p.wait(ctx)
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

// wait is acquire without the question whether p is closed.
func (p *Pool) wait(ctx context.Context) (*pgxpool.Conn, error) {
	wait := p.cfg.AcquireTimeout
	if deadline, ok := ctx.Deadline(); wait < 0 || ok && time.Until(deadline) <= wait {
		conn, err := p.pgx.Acquire(ctx)
		return conn, p.acquireError(ctx, err)
	}
	if p.timer {
		bounded, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		conn, err := p.pgx.Acquire(bounded)
		return conn, p.acquireError(ctx, err)
	}
	bounded := &waitContext{Context: ctx, deadline: time.Now().Add(wait)}
	defer bounded.stop()
	conn, err := p.pgx.Acquire(bounded) //nolint:contextcheck // it is ctx, with a limit
	return conn, p.acquireError(ctx, err)
}

// acquireError says what a wait that ran out was for: a connection of the pool
// ([ErrTimeout]), or an answer of the server ([ErrUnavailable]).
func (p *Pool) acquireError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if strings.HasSuffix(err.Error(), "closed pool") { // puddle's
		return &Error{Class: ErrUnavailable, Err: errOwnerClosed}
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

// Health asks the server for a sign of life, for readiness probes. Give it a
// context with a deadline; without one it takes 5 s at most.
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
	conn, err := p.acquire(ctx)
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
