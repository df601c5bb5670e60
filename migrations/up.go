package migrations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// upRun is one call of Up that has something to do.
type upRun struct {
	m       *Migrator
	scope   scope
	session *session
	report  *Report
	done    int
	total   int
}

// Up applies what is pending: targets after what they depend on, files in the
// order of their versions, repeatable files last. Without scopes, everything.
//
// When nothing is pending it costs one query, or two when the database is newer
// than the files, for any number of schemas, and takes no lock. Otherwise it
// takes one connection out of the pool and closes it at the end.
//
// It stops at the first error: an [*MigrationError], or several joined ones for
// drift and order violations, which are found before anything runs. The report
// is never nil, and lists what was applied before. A cancelled ctx rolls the
// open transaction back and leaves nothing behind.
func (m *Migrator) Up(ctx context.Context, scopes ...Scope) (*Report, error) {
	started := time.Now()
	report := &Report{}
	defer func() { report.Duration = time.Since(started) }()
	targets, s, err := m.selected(scopes)
	if err != nil {
		return report, err
	}
	release, err := m.alone(ctx)
	if err != nil {
		return report, err
	}
	defer release()
	found, err := m.survey(ctx, targets, s)
	if err != nil {
		return report, err
	}
	m.warn(ctx, report, targets, found)
	m.mark(ctx, found.marked(targets), s)
	pending, files := found.pending(targets)
	if len(pending) == 0 {
		return report, nil
	}
	r := &upRun{m: m, scope: s, report: report, total: files}
	m.observe(ctx, Event{Kind: EventRunStarted, Total: files})
	err = m.eachLocked(ctx, pending, func(s *session, t *target) error {
		r.session = s
		return r.target(ctx, t)
	})
	m.observe(ctx, Event{Kind: EventRunFinished, Done: r.done, Total: r.total, Duration: time.Since(started), Err: err})
	return report, err
}

func (m *Migrator) warn(ctx context.Context, report *Report, targets []*target, found *survey) {
	for _, t := range targets {
		if d := found.decisions[t]; d != nil {
			for _, w := range d.warnings(t) {
				report.Warnings = append(report.Warnings, w)
				m.log.WarnContext(ctx, w)
			}
		}
	}
}

// alone waits until no other call of this process works.
func (m *Migrator) alone(ctx context.Context) (release func(), err error) {
	select {
	case m.running <- struct{}{}:
		return func() { <-m.running }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("migrations: %w", ctx.Err())
	}
}

// eachLocked calls work for each target, on one connection, under the lock of
// the target's schema.
func (m *Migrator) eachLocked(ctx context.Context, targets []*target, work func(*session, *target) error) error {
	if len(targets) == 0 {
		return nil
	}
	s, err := m.openSession(ctx)
	if err != nil {
		return fmt.Errorf("migrations: %w", during("opening a connection", err))
	}
	defer s.close(ctx)
	for _, t := range targets {
		err := s.reset(ctx)
		if err == nil {
			err = s.lock(ctx, t)
		}
		if err == nil {
			err = work(s, t)
			err = errors.Join(t.fail(err), s.unlock(ctx))
		}
		if err != nil {
			return t.fail(err)
		}
	}
	return nil
}

// target migrates one schema, whose lock is held.
func (r *upRun) target(ctx context.Context, t *target) error {
	if err := r.session.ensure(ctx, t); err != nil {
		return err
	}
	return r.tracked(ctx, t)
}

// tracked is target where the tracking table is there.
func (r *upRun) tracked(ctx context.Context, t *target) error {
	for again := true; again; {
		rows, err := readRecords(ctx, r.session.pgx, []*target{t}, false)
		if err != nil {
			return err
		}
		d, err := t.decide(rows[t], r.scope, r.m.cfg.OutOfOrder)
		if err != nil {
			return err
		}
		if again, err = r.files(ctx, t, d.pending); err != nil {
			return err
		}
		if !again {
			return r.session.mark(ctx, t, d.marks)
		}
	}
	return nil
}

// files runs the pending files. It reports again when a peer has applied one, so
// that the rows must be read anew.
func (r *upRun) files(ctx context.Context, t *target, list []pending) (again bool, err error) {
	for _, p := range list {
		if err := r.session.reset(ctx); err != nil {
			return false, err
		}
		started := time.Now()
		out, attempts, err := r.file(ctx, t, p)
		event := Event{
			Module: t.Module, Schema: t.Schema, File: p.File, Statements: p.Statements,
			Attempt: attempts, Duration: time.Since(started),
		}
		if out == applied {
			r.applied(ctx, t, p, event)
		}
		if err != nil {
			event.Kind, event.Err = EventFileFailed, err
			r.m.observe(ctx, event)
			return false, err
		}
		if out == skipped {
			event.Kind = EventFileSkipped
			r.m.observe(ctx, event)
			return true, nil
		}
	}
	return false, nil
}

func (r *upRun) applied(ctx context.Context, t *target, p pending, e Event) {
	r.done++
	r.total = max(r.total, r.done)
	r.report.Applied = append(r.report.Applied, Applied{
		Module: t.Module, Schema: t.Schema, File: p.File, Key: p.Key, Version: p.Version, Kind: p.Kind,
		Statements: p.Statements, Resumed: p.resume, Attempts: e.Attempt, OutOfOrder: p.outOfOrder, Duration: e.Duration,
	})
	e.Kind, e.Done, e.Total = EventFileApplied, r.done, r.total
	r.m.observe(ctx, e)
	level := slog.LevelInfo
	if r.m.quiet {
		level = slog.LevelDebug
	}
	r.m.log.LogAttrs(ctx, level, "migration applied", slog.String("module", t.Module), slog.String("schema", t.Schema),
		slog.String("file", p.File), slog.Int64("version", p.Version), slog.Duration("dur", e.Duration))
}

// file runs one file, again while somebody else's lock is in its way.
func (r *upRun) file(ctx context.Context, t *target, p pending) (out outcome, attempt int, err error) {
	for _, f := range t.Source.findings {
		if f.File == p.File && !r.m.quiet {
			r.m.log.WarnContext(ctx, f.String(), "module", t.Module, "schema", t.Schema)
		}
	}
	attempt, err = r.session.attempts(ctx, t, p.File, p.Statements, func(attempt int) error {
		if attempt > 1 && !p.Transactional { // how far it came is in its row
			if p, err = r.reread(ctx, t, p); err != nil {
				return err
			}
		}
		r.m.observe(ctx, Event{
			Kind: EventFileStarted, Module: t.Module, Schema: t.Schema, File: p.File,
			Statements: p.Statements, Attempt: attempt, Done: r.done, Total: r.total,
		})
		if p.Transactional {
			out, err = r.session.runTx(ctx, t, p)
		} else {
			out, err = r.session.runAuto(ctx, t, p)
		}
		return err
	})
	if _, ok := errors.AsType[*committedError](err); ok {
		out = applied
	}
	return out, attempt, err
}

// reread finds out where a no-transaction file that failed goes on.
func (r *upRun) reread(ctx context.Context, t *target, p pending) (pending, error) {
	rows, err := readRecords(ctx, r.session.pgx, []*target{t}, false)
	if err != nil {
		return p, t.failFile(p.File, during("reading how far it came", err))
	}
	i := slices.IndexFunc(rows[t], func(row Record) bool { return row.Key == p.Key && row.Status != StatusApplied })
	if i < 0 {
		return p, nil
	}
	p.resume, p.executed = 0, nil
	if err := p.resumeAt(rows[t][i]); err != nil {
		return p, t.failFile(p.File, err)
	}
	return p, nil
}
