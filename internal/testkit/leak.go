package testkit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// leaks reports the sessions that a test has left open on its database, with
// their last statements, and whether there are any. Idle connections of pool
// are none. Those that are about to leave have that long to do so.
func (k *kit) leaks(ctx context.Context, tb TB, s *slot, pool *pgxpool.Pool, patience time.Duration) bool {
	tb.Helper()
	own := []uint32{}
	if pool != nil {
		for _, conn := range pool.AcquireAllIdle(ctx) {
			own = append(own, conn.Conn().PgConn().PID())
			defer conn.Release()
		}
	}
	const query = `SELECT pid, coalesce(state, ''), coalesce(query, ''), coalesce(application_name, '') FROM pg_stat_activity
		WHERE datname = $1 AND backend_type = 'client backend' AND pid <> ALL ($2::int4[])`
	var found []string
	for deadline := time.Now().Add(patience); ; {
		rows, err := k.admin.Query(ctx, query, s.name, own)
		if err != nil {
			return true
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			var pid int32
			var state, last, app string
			err := row.Scan(&pid, &state, &last, &app)
			return fmt.Sprintf("pid %d %s, %s, last statement: %s", pid, app, state, strings.Join(strings.Fields(last), " ")), err
		})
		if err != nil {
			return true
		}
		if len(found) == 0 || time.Now().After(deadline) {
			break
		}
		wait(ctx, time.Millisecond)
	}
	if len(found) == 0 {
		return false
	}
	report := tb.Logf
	if k.env.strict {
		report = tb.Errorf
	}
	report("pgdbmtest: %d connections to %s are still open at the end of the test: close them, or the rows they come from\n  %s",
		len(found), s.name, strings.Join(found, "\n  "))
	return true
}

// wait sleeps, until ctx ends at most.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
