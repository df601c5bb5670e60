package migrations

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// outcome is how a file ended without error.
type outcome uint8

const (
	applied outcome = iota + 1
	skipped         // a peer has applied it
)

// runTx runs a transactional file: the fence, the statements and the record of
// their success are one transaction.
func (s *session) runTx(ctx context.Context, t *target, p pending) (outcome, error) {
	var keys []int64
	if p.up.directives.exclusive {
		keys = append(keys, exclusiveKey)
	}
	status := StatusApplied
	if p.up.fn != nil { // should it end the transaction all the same, it has not finished
		status = StatusRunning
	}
	fence := t.fence(p.file, status, p, s.m.cfg, s.m.host)
	finish := func(xact string) request { return t.finish(p.file, xact) }
	out, err := s.inXact(ctx, t, p.up, t.claim(p, fence, s.m), finish, keys...)
	if e, ok := errors.AsType[*MigrationError](err); ok && p.up.fn != nil && errors.Is(err, ErrTxControl) {
		s.rollback(ctx)
		err = s.recordFailure(ctx, t, p.file, e)
	}
	return out, err
}

// claim are the requests that make a file's work ours: the fence, and before it,
// where the file is a checkpoint that a schema begins with, a look whether that
// has begun, and what the checkpoint stands for.
func (t *target) claim(p pending, fence request, m *Migrator) []request {
	if p.Kind != KindCheckpoint {
		return []request{fence}
	}
	look := request{sql: "select from " + t.tracked + " where module = $1 and version is not null limit 1", args: []any{t.Module}, keep: true}
	return []request{look, t.recordUnrun(p.instead, m), fence}
}

// inXact runs a script in one transaction. It begins with the claim, whose last
// request is the fence: it returns the backend's pid and the transaction's id, or
// no row when a peer has done the work; so do the requests before it, by a row. It
// ends with what finish returns and the new heads.
func (s *session) inXact(ctx context.Context, t *target, sc *script, claim []request, finish func(xact string) request, keys ...int64) (outcome, error) {
	statements, err := t.renderAll(sc)
	if err != nil {
		return 0, err
	}
	requests := s.head(t)
	if s.pooled || len(keys) > 0 { // locks to wait for come first
		requests = nil
		if err := s.begin(ctx, t, keys...); err != nil {
			return 0, t.failFile(sc.file, err)
		}
	}
	defer s.rollback(ctx) // when the transaction is still open
	s.dirty = true
	begun := len(requests)
	got, _, err := pipeline(ctx, s.conn, append(requests, claim...), nil)
	if sqlState(err) == "55P03" {
		err = fmt.Errorf("%w: longer than LockTimeout %s, for its row in the tracking table", ErrLockTimeout, s.m.cfg.LockTimeout)
		return 0, t.failFile(sc.file, err)
	}
	if err != nil {
		return 0, t.failFile(sc.file, during("recording it", err))
	}
	fence := got[len(got)-1].rows
	if len(fence) == 0 || slices.ContainsFunc(got[begun:len(got)-1], func(r response) bool { return len(r.rows) > 0 }) {
		return skipped, nil
	}
	pid, xact := fence[0][0], fence[0][1]
	if sc.fn != nil {
		err = s.runGo(ctx, t, sc, pid, xact, finish(xact))
	} else {
		err = s.runStatements(ctx, t, sc, statements, pid, xact, finish(xact))
	}
	if err != nil {
		return 0, err
	}
	if err := s.commit(ctx, xact); err != nil {
		return 0, t.failFile(sc.file, during("commit", err))
	}
	return applied, nil
}

// runStatements sends a script's statements and what ends its transaction in one
// round trip, one statement per message.
func (s *session) runStatements(ctx context.Context, t *target, sc *script, statements []rendered, pid, xact string, finish request) error {
	lock, timeout := s.m.timeouts(sc)
	requests := []request{t.local(lock, timeout)}
	for _, st := range statements {
		requests = append(requests, request{sql: st.sql})
	}
	ending, proof := s.ending(t, finish)
	proof += len(requests)
	requests = append(requests, ending...)
	w := s.m.watchBlockers(ctx, Event{Module: t.Module, Schema: t.Schema, File: sc.file, Statements: len(statements)}, pid, lock)
	defer w.stop() // an Observer may panic
	got, failed, err := pipeline(ctx, s.conn, requests, func(i int) {
		if i > 0 && i <= len(statements) {
			s.m.observe(ctx, Event{Kind: EventStatement, Module: t.Module, Schema: t.Schema, File: sc.file, Statement: i, Statements: len(statements)})
		}
	})
	blockers := w.end()
	switch {
	case err != nil:
		return t.failRequest(sc, statements, failed-1, err, blockers)
	case s.conn.TxStatus() != 'T' || got[proof].rows[0][0] != xact:
		return t.failFile(sc.file, fmt.Errorf("%w: the file ended the transaction that it ran in", ErrTxControl))
	}
	return nil
}

// ending are the requests that complete a transaction before its commit. The
// response of the one at proof is the transaction's id.
func (s *session) ending(t *target, finish request) (requests []request, proof int) {
	requests = s.ownRole() // the file may have changed it
	proof = len(requests)
	requests = append(requests, request{sql: "select pg_current_xact_id()", keep: true}, finish, request{sql: t.writeHeads()})
	if s.pooled { // what the file has set would reach the pooler's other clients
		requests = append(requests, request{sql: "reset all"})
	}
	return requests, proof
}

// failRequest wraps the failure of the i-th statement of a script, or, where there
// is none, of what records it.
func (t *target) failRequest(sc *script, statements []rendered, i int, err error, blockers []Session) *MigrationError {
	if i < 0 || i >= len(statements) {
		return t.failFile(sc.file, during("recording it", err))
	}
	e := t.failStatement(sc, i, statements[i], err)
	if isLockFailure(err) {
		e.Blockers = blockers
	}
	return e
}

// isLockFailure reports whether somebody else's lock made a statement fail.
func isLockFailure(err error) bool {
	state := sqlState(err)
	return state == "55P03" || state == "40P01"
}
