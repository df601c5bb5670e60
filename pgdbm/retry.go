package pgdbm

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// pause returns how long to wait after attempt n, counted from 1.
func (r RetryConfig) pause(n int) time.Duration {
	bound := min(float64(r.MaxDelay), float64(r.Delay)*math.Pow(r.Backoff, float64(n-1)))
	random := bound * max(0, r.Jitter)
	return time.Duration(bound - random*rand.Float64())
}

// fullJitter returns a random pause before attempt n+1: up to first × 2^(n-1),
// at most limit.
func fullJitter(first, limit time.Duration, n int) time.Duration {
	bound := limit
	if n < 30 {
		bound = min(limit, first<<(n-1))
	}
	return rand.N(bound) + 1
}

// sleep waits for d or the end of ctx, whichever comes first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// sqlState returns the SQLSTATE in err, "" when there is none.
func sqlState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}
