package pgdbm

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// waitContext is context.WithDeadline for [pgxpool.Pool.Acquire] without its
// timer, which costs more than all else that this package adds to a statement,
// and which nobody needs while a connection is free. The pool asks first whether
// the caller's context has ended, without waiting; whoever asks a second time is
// going to wait, and gets the timer.
type waitContext struct {
	context.Context // the caller's

	deadline time.Time
	mu       sync.Mutex
	asked    bool
	timed    context.Context // nil until somebody waits
	cancel   context.CancelFunc
}

func (c *waitContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked {
		c.asked = true
		return c.Context.Done()
	}
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.Context, c.deadline)
	}
	return c.timed.Done()
}

func (c *waitContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *waitContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed != nil {
		return c.timed.Err()
	}
	return c.Context.Err()
}

// stop ends the wait.
func (c *waitContext) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}

// asksFirst reports whether somebody else's tracers see the context before the
// pool asks: what they derive from it would never end.
func asksFirst(tracers ...pgx.QueryTracer) bool {
	return slices.ContainsFunc(tracers, func(t pgx.QueryTracer) bool {
		_, ok := t.(pgxpool.AcquireTracer)
		return ok
	})
}
