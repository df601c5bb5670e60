package migrations

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// EventIndexProgress reports, while an index is being built, its Phase with Done of
// Total, Duration so far, and the Sessions that it waits for.
const EventIndexProgress EventKind = "index progress"

// building is how far the server is with an index.
type building struct {
	phase       string
	done, total int
}

const progressQuery = `select phase, lockers_done, lockers_total, blocks_done, blocks_total, tuples_done, tuples_total
from pg_catalog.pg_stat_progress_create_index where pid = $1::text::int`

// indexProgress asks how far a backend is with an index. ok is false when it builds
// none, or we may not know.
func (m *Migrator) indexProgress(ctx context.Context, pid string) (p building, ok bool) {
	var lockersDone, lockers, blocksDone, blocks, tuplesDone, tuples int
	err := m.pool.Pgx().QueryRow(ctx, progressQuery, pgx.QueryExecModeExec, pid).Scan(
		&p.phase, &lockersDone, &lockers, &blocksDone, &blocks, &tuplesDone, &tuples)
	switch { // the server leaves in place what the phases before have counted
	case err != nil:
		return p, false
	case strings.HasPrefix(p.phase, "waiting"):
		p.done, p.total = lockersDone, lockers
	case strings.Contains(p.phase, "tuples"):
		p.done, p.total = tuplesDone, tuples
	default:
		p.done, p.total = blocksDone, blocks
	}
	return p, true
}
