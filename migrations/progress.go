package migrations

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// EventIndexProgress reports, while an index is being built, its Phase with Done of
// Total, Duration so far, and the Sessions that it waits for.
const EventIndexProgress EventKind = "index progress"

// indexWatch tells the observer how far a backend is with an index.
type indexWatch struct {
	m       *Migrator
	event   Event // what is known beforehand
	pid     string
	started time.Time
	seen    building
	waited  int // number of sessions that it waited for when it was seen
}

// building is how far the server is with an index.
type building struct {
	phase       string
	done, total int
}

func (m *Migrator) watchIndex(e Event, pid string) *indexWatch {
	e.Kind = EventIndexProgress
	return &indexWatch{m: m, event: e, pid: pid, started: time.Now()}
}

// report tells what has changed since the last time. The backend waits for sessions.
func (w *indexWatch) report(ctx context.Context, sessions []Session) {
	if w.m.cfg.Observer == nil {
		return
	}
	b, ok := w.look(ctx)
	if !ok || b == w.seen && len(sessions) == w.waited {
		return
	}
	w.seen, w.waited = b, len(sessions)
	e := w.event
	e.Phase, e.Done, e.Total, e.Duration, e.Sessions = b.phase, b.done, b.total, time.Since(w.started), sessions
	w.m.observe(ctx, e)
}

const progressQuery = `select phase, lockers_done, lockers_total, blocks_done, blocks_total, tuples_done, tuples_total
from pg_catalog.pg_stat_progress_create_index where pid = $1::text::int`

// look asks how far the backend is. ok is false when it builds no index, or we may
// not know.
func (w *indexWatch) look(ctx context.Context) (b building, ok bool) {
	var lockersDone, lockers, blocksDone, blocks, tuplesDone, tuples int
	err := w.m.pool.Pgx().QueryRow(ctx, progressQuery, pgx.QueryExecModeExec, w.pid).Scan(
		&b.phase, &lockersDone, &lockers, &blocksDone, &blocks, &tuplesDone, &tuples)
	switch { // the server leaves in place what the phases before have counted
	case err != nil:
		return b, false
	case strings.HasPrefix(b.phase, "waiting"):
		b.done, b.total = lockersDone, lockers
	case strings.Contains(b.phase, "tuples"):
		b.done, b.total = tuplesDone, tuples
	default:
		b.done, b.total = blocksDone, blocks
	}
	return b, true
}
