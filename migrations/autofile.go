package migrations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// runAuto runs a no-transaction file: each statement commits by itself, and the
// file's row says how far it came. A statement commits together with that, so that
// it is executed once whatever happens; only one that refuses to run in a
// transaction is recorded after it.
func (s *session) runAuto(ctx context.Context, t *target, p pending) (outcome, error) {
	if s.pooled {
		return 0, t.failFile(p.File, fmt.Errorf("%w: a no-transaction file needs a session of its own; set pgdbm.Config.DirectConnString to an address of the server itself", ErrPooled))
	}
	statements, err := t.renderAll(p.up)
	if err != nil {
		return 0, err
	}
	if p.up.directives.exclusive {
		unlock, err := s.lockExclusive(ctx, t)
		if err != nil {
			return 0, t.failFile(p.File, err)
		}
		defer unlock()
	}
	s.dirty = true
	got, _, err := pipeline(ctx, s.conn, []request{t.fence(p.file, StatusRunning, p, s.m.cfg, s.m.host)}, nil)
	if err != nil {
		return 0, t.failFile(p.File, during("recording it", err))
	}
	if len(got[0].rows) == 0 {
		return skipped, nil
	}
	for i := 0; i < p.resume && err == nil; i++ { // a new session lacks the settings of the old one
		if p.up.statements[i].sample.has(0, "set") {
			err = exec(ctx, s.conn, request{sql: statements[i].sql})
		}
	}
	for i := p.resume; i < len(statements) && err == nil; i++ {
		if err = s.runAlone(ctx, t, p.file, i, statements[i], got[0].rows[0][0]); err == nil && needsAutocommit(p.up.statements[i].sample) != "" {
			err = exec(ctx, s.conn, s.recordDone(t, p.file, i+1)...)
		}
	}
	if err == nil {
		err = s.finishAuto(ctx, t, p.file)
	}
	if err != nil {
		failure := t.failFile(p.File, err)
		return 0, s.recordFailure(ctx, t, p.file, failure)
	}
	return applied, nil
}

func (s *session) lockExclusive(ctx context.Context, t *target) (unlock func(), err error) {
	key := fmt.Sprint(exclusiveKey)
	err = s.m.poll(ctx, t, func() (bool, error) {
		got, err := run(ctx, s.conn, "select pg_try_advisory_lock($1)", key)
		return err == nil && got.rows[0][0] == "t", err
	}, func(waited time.Duration) []Session { return s.waiting(ctx, t, exclusiveKey, waited) })
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		if !s.conn.IsClosed() {
			_, _ = run(ctx, s.conn, "select pg_advisory_unlock($1)", key)
		}
	}, err
}

// runAlone runs the i-th statement in autocommit.
func (s *session) runAlone(ctx context.Context, t *target, f *file, i int, st rendered, pid string) error {
	lock, timeout := s.m.timeouts(f.up)
	if slices.ContainsFunc(f.up.statements[i].sample.list, isConcurrently) {
		lock = 0 // it would count the wait for old transactions, and leave an invalid index
	}
	settings := t.local(lock, timeout)
	err := exec(ctx, s.conn, request{
		sql:  "select set_config('lock_timeout', $1, false), set_config('statement_timeout', $2, false), set_config('search_path', $3, false)",
		args: settings.args[:3],
	})
	if err != nil {
		return err
	}
	x, isIndex, err := s.inspectIndex(ctx, st)
	if err != nil {
		return t.failStatement(f.up, i, st, err)
	}
	switch {
	case isIndex && x.same:
		return nil
	case isIndex && x.invalid:
		s.m.log.WarnContext(ctx, "dropping an invalid index that an earlier failure has left", "module", t.Module, "schema", t.Schema, "file", f.File, "index", x.name)
		s.m.observe(ctx, Event{Kind: EventIndexDropped, Module: t.Module, Schema: t.Schema, File: f.File, Statement: i + 1, Statements: len(f.up.statements)})
		if err := exec(ctx, s.conn, request{sql: "drop index concurrently if exists " + x.name}); err != nil {
			return t.failStatement(f.up, i, st, during("dropping the invalid index "+x.name, err))
		}
	}
	event := Event{Module: t.Module, Schema: t.Schema, File: f.File, Statement: i + 1, Statements: len(f.up.statements)}
	w := s.m.watchBlockers(ctx, event, pid, lock)
	err = s.sendAlone(ctx, t, f, i, st)
	blockers := w.end()
	if err == nil && isIndex {
		if x, _, err = s.inspectIndex(ctx, st); err == nil && x.invalid {
			err = errors.New("the server reports success, but the index is invalid; run the migration again to build it anew")
		}
	}
	if err != nil {
		e := t.failStatement(f.up, i, st, err)
		if isLockFailure(err) {
			e.Blockers = blockers
		}
		return e
	}
	event.Kind = EventStatement
	s.m.observe(ctx, event)
	return nil
}

// sendAlone sends the i-th statement and, where it can run in a transaction, what
// records it: without a Sync in between, the server commits both or neither.
func (s *session) sendAlone(ctx context.Context, t *target, f *file, i int, st rendered) error {
	requests := []request{{sql: st.sql}}
	if needsAutocommit(f.up.statements[i].sample) == "" {
		requests = append(requests, s.recordDone(t, f, i+1)...)
	}
	_, failed, err := pipeline(ctx, s.conn, requests, nil)
	if failed > 0 && failed < len(requests) {
		return during("recording it", err)
	}
	return err
}

// recordDone are the requests that record that the first n statements have been
// executed.
func (s *session) recordDone(t *target, f *file, n int) []request {
	hashes := make([]string, n)
	for i := range hashes {
		hashes[i] = f.up.statements[i].hash
	}
	return append(s.ownRole(), request{
		sql:  "update " + t.tracked + " set statements_done = $3, statement_hashes = $4 where module = $1 and key = $2",
		args: []any{t.Module, f.Key, fmt.Sprint(n), textArray(hashes)},
	})
}

// finishAuto records success: the row and the heads in one implicit transaction.
func (s *session) finishAuto(ctx context.Context, t *target, f *file) error {
	return exec(ctx, s.conn, t.finish(f, ""), request{sql: t.writeHeads()})
}

// recordFailure writes why a file failed into its row, and returns the failure.
// The connection may be gone with the context; then it takes another one.
func (s *session) recordFailure(ctx context.Context, t *target, f *file, failure *MigrationError) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	conn := s.conn
	if conn.IsClosed() {
		other, err := s.m.pool.Dedicated(ctx)
		if err != nil {
			return errors.Join(failure, t.fail(during("recording the failure", err)))
		}
		defer func() { _ = other.Close(ctx) }()
		conn = other.PgConn()
	}
	err := exec(ctx, conn, request{
		sql: "update " + t.tracked + ` set status = 'failed', error = $3, sqlstate = nullif($4, ''), finished_at = clock_timestamp(),
  duration_ms = 1000 * extract(epoch from clock_timestamp() - started_at) where module = $1 and key = $2 and status = 'running'`,
		args: []any{t.Module, f.Key, reason(failure.Err), failure.SQLState},
	})
	if err != nil {
		return errors.Join(failure, t.fail(during("recording the failure", err)))
	}
	_ = exec(ctx, conn, request{sql: t.writeHeads()}) // for whoever looks; the row is what counts
	return failure
}
