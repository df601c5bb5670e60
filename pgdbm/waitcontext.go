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

	wait     time.Duration
	mu       sync.Mutex
	asked    bool
	deadline time.Time       // zero until somebody wants to know: reading the clock is not free
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
		c.timed, c.cancel = context.WithDeadline(c.Context, c.end())
	}
	return c.timed.Done()
}

func (c *waitContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end(), true
}

func (c *waitContext) end() time.Time {
	if c.deadline.IsZero() {
		c.deadline = time.Now().Add(c.wait)
	}
	return c.deadline
}

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
