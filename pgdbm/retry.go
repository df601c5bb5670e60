package pgdbm

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

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
