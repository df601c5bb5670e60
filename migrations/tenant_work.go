package migrations

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// verdict is what became of a tenant that did not fail.
type verdict uint8

const (
	migrated verdict = iota + 1
	current          // there was nothing to do any more
	gone             // it does not exist
	deferred         // somebody else is in the way
)

// worker migrates one tenant after the other on a connection of its own.
type worker struct {
	ts      *Tenants
	recycle int // schemas that a connection may serve; 0: any number
	s       *session
	served  int
}

// connectError is the error of a worker that has no connection.
type connectError struct{ error }

func (e connectError) Unwrap() error { return e.error }

// session returns the worker's connection. A backend keeps what it has learned of
// every table that it has touched, so it is exchanged for a new one in time.
func (w *worker) session(ctx context.Context) (*session, error) {
	if w.s != nil && w.recycle > 0 && w.served >= w.recycle {
		w.close(ctx)
	}
	if w.s == nil {
		s, err := w.ts.m.openSession(ctx)
		if err != nil {
			return nil, connectError{fmt.Errorf("migrations: %w", during("opening a connection", err))}
		}
		w.s, w.served = s, 0
	}
	w.served++
	return w.s, nil
}

func (w *worker) close(ctx context.Context) {
	if w.s != nil {
		w.s.close(ctx)
		w.s = nil
	}
}

// migrate brings a tenant up to date, unless it would have to wait.
func (w *worker) migrate(ctx context.Context, j *job) (verdict, error) {
	return w.retry(ctx, j, w.swift)
}

// wait brings a tenant up to date under its lock, for which it waits.
func (w *worker) wait(ctx context.Context, j *job) (verdict, error) {
	return w.retry(ctx, j, w.patient)
}

// retry does the work again when the connection was lost. How far it came is in
// the tenant's rows. Work that loses a second one may be the reason.
func (w *worker) retry(ctx context.Context, j *job, work func(context.Context, *session, *job) (verdict, error)) (verdict, error) {
	switch {
	case j.err != nil:
		return 0, j.err
	case j.done():
		return current, nil
	case !j.exists && !j.create:
		return gone, nil
	}
	for attempt := 1; ; attempt++ {
		s, err := w.session(ctx)
		if err != nil {
			return 0, err
		}
		v, err := work(ctx, s, j)
		if !s.conn.IsClosed() {
			return v, err
		}
		w.close(ctx)
		if err == nil || ctx.Err() != nil || attempt == 2 {
			return v, err
		}
	}
}

// swift runs the files that are pending according to the tenant's head, each in
// two round trips.
func (w *worker) swift(ctx context.Context, s *session, j *job) (verdict, error) {
	if err := s.reset(ctx); err != nil {
		return 0, err
	}
	oid, head, st := j.oid, j.head, j.state
	if !j.exists {
		var err error
		if oid, err = s.provision(ctx, j.target); err != nil {
			return 0, err
		}
		head = headOf(nil) // if it was us who made the table
		st = w.ts.known(head)
	} else if !j.alone {
		st = nil
	}
	if st == nil {
		return w.patient(ctx, s, j)
	}
	for _, step := range st.steps {
		v, err := s.step(ctx, j.target, oid, head, step)
		if v != migrated || err != nil {
			return v, err
		}
		j.files++
		head = step.head
	}
	if len(st.steps) < len(st.pending) {
		return w.patient(ctx, s, j)
	}
	return j.verdict(), nil
}

func (j *job) verdict() verdict {
	if j.files > 0 || !j.exists {
		return migrated
	}
	return current
}

// patient does what [Migrator.Up] does for a schema, but for creating one that has
// been dropped.
func (w *worker) patient(ctx context.Context, s *session, j *job) (v verdict, err error) {
	t := j.target
	if err := s.reset(ctx); err != nil {
		return 0, err
	}
	if err := s.lock(ctx, t); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(t.fail(err), s.unlock(ctx)) }()
	if !j.exists {
		if _, err := s.provision(ctx, t); err != nil {
			return 0, err
		}
	}
	r := &upRun{m: s.m, session: s, report: &Report{}}
	err = r.tracked(ctx, t)
	j.files += len(r.report.Applied)
	e, ok := errors.AsType[*MigrationError](err)
	if isGone(err) && (!ok || e.Statement == 0) {
		return gone, nil
	}
	return j.verdict(), err
}

// provision creates a tenant's schema and tracking table, each in a transaction
// of its own, and returns the table's oid. Unlike ensure it does not exclude who
// creates another schema.
func (s *session) provision(ctx context.Context, t *target) (oid uint32, err error) {
	err = s.create(ctx, t, t.key, "select from pg_catalog.pg_namespace where nspname = $1", []any{t.Schema},
		request{sql: "create schema " + sqltmpl.Quote(t.Schema)})
	if err == nil {
		err = s.create(ctx, t, t.key, "select where to_regclass($1) is not null", []any{t.tracked}, t.createTable()...)
	}
	if err != nil {
		return 0, during("creating the schema", err)
	}
	got, err := run(ctx, s.conn, "select coalesce(to_regclass($1)::oid, 0)", t.tracked)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(got.rows[0][0], 10, 32)
	return uint32(n), err
}

const lookAtComment = "select description from pg_catalog.pg_description where objoid = $1::oid and classoid = 'pg_catalog.pg_class'::regclass and objsubid = 0"

// step runs a file of nothing but statements: one round trip to find out whether
// the tenant is still what its head said, another one for everything else. The
// schema's lock is that of the transaction.
func (s *session) step(ctx context.Context, t *target, oid uint32, head string, st step) (verdict, error) {
	statements, err := t.renderAll(st.up)
	if err != nil {
		return 0, err
	}
	if err := s.reset(ctx); err != nil {
		return 0, err
	}
	defer s.rollback(ctx) // when the transaction is still open
	got, _, err := pipeline(ctx, s.conn, []request{
		{sql: beginSQL},
		{keep: true, sql: "select pg_backend_pid(), case when pg_try_advisory_xact_lock($1) then pg_current_xact_id()::text end", args: []any{fmt.Sprint(t.key)}},
		{keep: true, sql: lookAtComment, args: []any{fmt.Sprint(oid)}},
	}, nil)
	if err != nil {
		return 0, t.failFile(st.File, during("looking at the schema", err))
	}
	pid, xact := got[1].rows[0][0], got[1].rows[0][1]
	if xact == "" || len(got[2].rows) == 0 { // somebody works on it, or it was dropped
		return deferred, nil
	}
	if heads := parseHeads(got[2].rows[0][0]); len(heads) != 1 || heads[t.Module] != head {
		return deferred, nil
	}
	return s.stepClaimed(ctx, t, st, statements, pid, xact)
}

// stepClaimed runs the file in the transaction that has been begun, and commits.
func (s *session) stepClaimed(ctx context.Context, t *target, st step, statements []rendered, pid, xact string) (verdict, error) {
	fence := t.fence(st.file, StatusApplied, st.pending, s.m.cfg, s.m.host)
	lock, timeout := s.m.timeouts(st.up)
	requests := []request{t.local(lock, timeout)}
	if st.replaces != "" { // a peer's row stays, and ours conflicts with it
		requests = append(requests, request{
			sql:  "delete from " + t.tracked + " where module = $1 and key = $2 and checksum = $3",
			args: []any{t.Module, st.Key, st.replaces},
		})
	}
	requests = append(requests, request{sql: "insert into " + t.tracked + " " + fenceRow, args: fence.args})
	first := len(requests)
	for _, r := range statements {
		requests = append(requests, request{sql: r.sql})
	}
	requests = append(requests, s.ownRole()...) // the file may have changed it
	finish := len(requests)                     // which is for the transaction alone that began above
	requests = append(requests, t.finish(st.file, xact))
	commented := len(requests)
	requests = append(requests, request{sql: "comment on table " + t.tracked + " is '" + headMark + `{"` + t.Module + `": "` + st.head + `"}'`})
	if s.pooled { // what the file has set would reach the pooler's other clients
		requests = append(requests, request{sql: "reset all"})
	}
	commit := len(requests)
	requests = append(requests, request{sql: "commit"})
	if !s.pooled {
		requests = append(requests, s.afresh()...)
	}
	s.dirty = true
	w := s.m.watchBlockers(ctx, Event{Module: t.Module, Schema: t.Schema, File: st.File}, pid, lock)
	got, failed, err := pipeline(ctx, s.conn, requests, nil)
	blockers := w.end()
	state := sqlState(err)
	switch {
	case err == nil:
		s.dirty = false
	case failed > commit && !s.conn.IsClosed():
		return migrated, nil // the session is made anew before its next use
	case failed < first && isGone(err):
		return gone, nil
	case failed < first && state == "23505": // a row that did not finish, or of a peer without our lock
		return deferred, nil
	case failed == commented && state == "42501": // not our table; the server's rows are enough
		return deferred, nil
	case retryable(err):
		return deferred, nil
	case failed == commit:
		return 0, t.failFile(st.File, during("commit", err))
	default:
		return 0, t.failRequest(st.up, statements, failed-first, err, blockers)
	}
	if got[finish].affected != 1 {
		return 0, t.failFile(st.File, fmt.Errorf("%w: the file ended the transaction that it ran in", ErrTxControl))
	}
	return migrated, nil
}
