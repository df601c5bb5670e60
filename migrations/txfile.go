package migrations

import (
	"context"
	"fmt"
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
	statements, err := t.renderAll(p.up)
	if err != nil {
		return 0, err
	}
	var keys []int64
	if p.up.directives.exclusive {
		keys = append(keys, exclusiveKey)
	}
	if err := s.begin(ctx, t, keys...); err != nil {
		return 0, t.failFile(p.File, err)
	}
	defer s.rollback(ctx) // when the transaction is still open
	s.dirty = true

	got, _, err := pipeline(ctx, s.conn, []request{t.fence(p.file, StatusApplied, p, s.m.cfg, s.m.host)}, nil)
	if err != nil {
		return 0, t.failFile(p.File, during("recording it", err))
	}
	if len(got[0].rows) == 0 {
		return skipped, nil
	}
	pid, xact := got[0].rows[0][0], got[0].rows[0][1]
	if err := s.runStatements(ctx, t, p.file, statements, pid, xact); err != nil {
		return 0, err
	}
	if err := s.commit(ctx, xact); err != nil {
		return 0, t.failFile(p.File, during("commit", err))
	}
	return applied, nil
}

// runStatements sends a file's statements and the completion of its row in one
// round trip, one statement per message.
func (s *session) runStatements(ctx context.Context, t *target, f *file, statements []rendered, pid, xact string) error {
	lock, timeout := s.m.timeouts(f.up)
	requests := []request{t.local(lock, timeout)}
	for _, st := range statements {
		requests = append(requests, request{sql: st.sql})
	}
	n := len(requests)
	requests = append(requests, s.closing(t, f, xact)...)

	w := s.m.watchBlockers(ctx, t, f.File, pid, lock)
	got, failed, err := pipeline(ctx, s.conn, requests, func(i int) {
		if i > 0 && i < n {
			s.m.observe(ctx, Event{Kind: EventStatement, Module: t.Module, Schema: t.Schema, File: f.File, Statement: i, Statements: len(statements)})
		}
	})
	blockers := w.end()
	switch i := failed - 1; {
	case err != nil && i >= 0 && i < len(statements):
		e := t.failStatement(f.up, i, statements[i], err)
		if isLockFailure(err) {
			e.Blockers = blockers
		}
		return e
	case err != nil:
		return t.failFile(f.File, during("recording it", err))
	case s.conn.TxStatus() != 'T' || got[n+closingUpdate].affected != 1:
		return t.failFile(f.File, fmt.Errorf("%w: the file ended the transaction that it ran in", ErrTxControl))
	}
	return nil
}

// closingUpdate is the index in closing of the UPDATE that proves that the
// transaction is still the one with the fence.
const closingUpdate = 2

// closing are the requests that end a file's transaction, before COMMIT.
func (s *session) closing(t *target, f *file, xact string) []request {
	requests := append(s.ownRole(), t.finish(f, xact), request{sql: t.writeHeads()}) // the file may have changed the role
	if s.pooled {                                                                    // what the file has set would reach the pooler's other clients
		requests = append(requests, request{sql: "reset all"})
	}
	return requests
}

// isLockFailure reports whether somebody else's lock made a statement fail.
func isLockFailure(err error) bool {
	state := sqlState(err)
	return state == "55P03" || state == "40P01"
}
