package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/samber/lo"
)

// Status is the state of one target.
type Status struct {
	Module  string
	Schema  string
	Tracked bool     // the schema has a tracking table
	Current bool     // nothing is pending, and nothing wrong
	Version int64    // the highest that is applied; 0: none
	Applied int      // migrations recorded as applied
	Pending []string // files, in the order in which they would run
	Newer   []Record // applied by a newer version of the program
	Failed  []Record // no-transaction files that did not finish
	Err     error    // drift, unknown rows, order violations, joined; nil when there are none
}

// Status returns the state of every target, in the order of migration. It reads
// only, takes no lock, creates nothing, and works on a standby. What is wrong
// with a target is in its Err.
func (m *Migrator) Status(ctx context.Context) ([]Status, error) {
	found, err := m.readHeads(ctx, m.targets)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", during("reading the heads", err))
	}
	tracked := lo.Filter(m.targets, func(t *target, _ int) bool { return found[t.Schema].exists })
	rows, err := readRecords(ctx, m.pool.Pgx(), tracked, false)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", during("reading the records", err))
	}
	return lo.Map(m.targets, func(t *target, _ int) Status {
		d, err := t.decide(rows[t], scope{}, m.cfg.OutOfOrder)
		return Status{
			Module: t.Module, Schema: t.Schema, Tracked: found[t.Schema].exists, Current: err == nil && len(d.pending) == 0,
			Version: d.head, Applied: d.applied, Newer: d.newer, Failed: d.failed, Err: err,
			Pending: lo.Map(d.pending, func(p pending, _ int) string { return p.File }),
		}
	}), nil
}

// Verify returns nil when nothing is pending and nothing wrong: for readiness
// probes, and for programs that must not migrate themselves. It costs what a
// start of [Migrator.Up] with nothing to do costs. A database that is newer than
// the files passes.
//
// The error is of class [ErrPending], [ErrDrift], [ErrOutOfOrder] or
// [ErrUnknownApplied], or several of them.
func (m *Migrator) Verify(ctx context.Context, scopes ...Scope) error {
	targets, s, err := m.selected(scopes)
	if err != nil {
		return err
	}
	found, err := m.survey(ctx, targets, s)
	if found == nil {
		return err
	}
	errs := []error{err}
	for _, t := range targets {
		d := found.decisions[t]
		if d == nil || len(d.pending) == 0 {
			continue
		}
		files := lo.Map(d.pending, func(p pending, _ int) string { return p.File })
		errs = append(errs, t.fail(fmt.Errorf("%w: %s; run Up", ErrPending, strings.Join(files, ", "))))
	}
	return errors.Join(errs...)
}

// History returns the tracking tables' rows: those of one schema in the order of
// their application, schemas in the order of migration. It reads only and takes
// no lock.
func (m *Migrator) History(ctx context.Context, scopes ...Scope) ([]Record, error) {
	targets, _, err := m.selected(scopes)
	if err != nil {
		return nil, err
	}
	found, err := m.readHeads(ctx, targets)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", during("reading the heads", err))
	}
	tracked := lo.Filter(targets, func(t *target, _ int) bool { return found[t.Schema].exists })
	rows, err := readRecords(ctx, m.pool.Pgx(), tracked, true)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", during("reading the records", err))
	}
	return lo.FlatMap(tracked, func(t *target, _ int) []Record { return rows[t] }), nil
}
