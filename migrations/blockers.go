package migrations

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// watch looks, through the pool, at whom a file waits for, and how far it is with
// an index. The server tells that only while it waits and builds.
type watch struct {
	stop func()
	done chan struct{}

	mu      sync.Mutex
	blocked []Session // seen last
}

// The watch begins to look when a file has run this long, sooner when its
// lock_timeout is short, and looks so often.
const (
	watchAfter = 150 * time.Millisecond
	watchEvery = 250 * time.Millisecond
)

// watchBlockers watches the backend pid until stopped. It reports how far an index is that
// the backend builds, as events like e.
func (m *Migrator) watchBlockers(ctx context.Context, e Event, pid string, lockTimeout time.Duration) *watch {
	index := m.watchIndex(e, pid)
	first := watchAfter
	if lockTimeout > 0 {
		first = min(first, max(lockTimeout/4, 20*time.Millisecond))
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{done: make(chan struct{})}
	timer := time.AfterFunc(first, func() { // most files are through before
		defer close(w.done)
		for ; ctx.Err() == nil; _ = sleep(ctx, watchEvery) {
			rows, err := m.pool.Pgx().Query(ctx, "select "+sessionColumns+
				" from pg_catalog.pg_stat_activity where pid = any(pg_catalog.pg_blocking_pids($1::text::int))", pgx.QueryExecModeExec, pid)
			found := collectSessions(rows, err)
			index.report(ctx, found)
			if len(found) > 0 {
				if w.set(found) {
					m.log.InfoContext(ctx, "migration waits for a lock", "module", e.Module, "schema", e.Schema, "file", e.File, "holder", fmt.Sprint(found))
				}
			}
		}
	})
	w.stop = func() {
		if timer.Stop() {
			close(w.done)
		}
		cancel()
	}
	return w
}

// set remembers the sessions; it reports whether they are the first.
func (w *watch) set(found []Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.blocked == nil
	w.blocked = found
	return first
}

// end stops watching and returns the sessions that were waited for last.
func (w *watch) end() []Session {
	w.stop()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.blocked
}
