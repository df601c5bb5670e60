package migrations

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// DryRun runs what [Migrator.Up] would run, on the real data and under the real
// locks, and rolls it back: each target in a transaction of its own, behind what
// is pending of its dependencies. The report lists the files that would succeed.
//
// What cannot be rolled back is not run: a target's files end at the first
// no-transaction one, and a warning names it. Sequences keep the values that
// they were advanced to.
func (m *Migrator) DryRun(ctx context.Context, scopes ...Scope) (*Report, error) {
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
	found, err := m.survey(ctx, m.targets, scope{})
	if err != nil {
		return report, err
	}
	if s.to > 0 { // dependencies are taken whole
		narrowed, err := m.survey(ctx, targets, s)
		if err != nil {
			return report, err
		}
		maps.Copy(found.decisions, narrowed.decisions)
	}
	m.warn(ctx, report, targets, found)
	pending, _ := found.pending(targets)
	return report, m.eachLocked(ctx, pending, func(s *session, t *target) error { return s.dryRun(ctx, t, found, report) })
}

func (s *session) dryRun(ctx context.Context, t *target, found *survey, report *Report) error {
	if err := s.begin(ctx, t); err != nil {
		return err
	}
	defer s.rollback(ctx)
	s.dirty = true
	done := map[*target]bool{}
	var visit func(t *target, listed *Report) error
	visit = func(t *target, listed *Report) error {
		if done[t] {
			return nil
		}
		done[t] = true
		for _, dep := range t.DependsOn {
			if err := visit(t.deps[dep], nil); err != nil {
				return err
			}
		}
		return s.dryRunTarget(ctx, t, found, listed)
	}
	return visit(t, report)
}

// dryRunTarget runs a target's pending files in the open transaction. Report is
// nil for dependencies.
func (s *session) dryRunTarget(ctx context.Context, t *target, found *survey, report *Report) error {
	d := found.decisions[t]
	if d == nil || len(d.pending) == 0 {
		return nil
	}
	got, err := run(ctx, s.conn, "select from pg_catalog.pg_namespace where nspname = $1", t.Schema)
	if err == nil && len(got.rows) == 0 {
		err = exec(ctx, s.conn, request{sql: "create schema " + sqltmpl.Quote(t.Schema)})
	}
	if err != nil {
		return t.fail(err)
	}
	for i, p := range d.pending {
		if !p.Transactional {
			if report != nil {
				report.Warnings = append(report.Warnings, fmt.Sprintf("%s: not run: %s is a no-transaction file (%d pending files from there on)", t, p.File, len(d.pending)-i))
			}
			return nil
		}
		started := time.Now()
		if err := s.dryRunFile(ctx, t, p); err != nil {
			return err
		}
		if report != nil {
			report.Applied = append(report.Applied, Applied{
				Module: t.Module, Schema: t.Schema, File: p.File, Key: p.Key, Version: p.Version, Kind: p.Kind,
				Statements: p.Statements, Attempts: 1, OutOfOrder: p.outOfOrder, Duration: time.Since(started),
			})
		}
	}
	return nil
}

func (s *session) dryRunFile(ctx context.Context, t *target, p pending) error {
	statements, err := t.renderAll(p.up)
	if err != nil {
		return err
	}
	lock, timeout := s.m.timeouts(p.up)
	requests := []request{t.local(lock, timeout)}
	if p.up.fn != nil {
		if err := exec(ctx, s.conn, requests...); err != nil {
			return t.failFile(p.File, err)
		}
		if err := s.call(ctx, t, p.up); err != nil {
			return t.failGo(p.up, err, nil)
		}
	}
	for _, st := range statements {
		requests = append(requests, request{sql: st.sql})
	}
	requests = append(requests, s.ownRole()...)
	// What a commit would check.
	requests = append(requests, request{sql: "set constraints all immediate"}, request{sql: "set constraints all deferred"})
	_, failed, err := pipeline(ctx, s.conn, requests, nil)
	if err != nil {
		return t.failRequest(p.up, statements, failed-1, err, nil)
	}
	return nil
}
