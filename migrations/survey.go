package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/samber/lo"
)

// survey is what the database says about a set of targets, read without locks.
type survey struct {
	tracked   map[string]tracking   // by schema
	decisions map[*target]*decision // of the targets whose head is not ours
}

// survey reads the heads of all targets with one query, and the rows of those
// whose head is not the files'.
func (m *Migrator) survey(ctx context.Context, targets []*target, s scope) (*survey, error) {
	heads, err := m.readHeads(ctx, targets)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", during("reading the heads", err))
	}
	out := &survey{tracked: heads, decisions: map[*target]*decision{}}
	behind := lo.Filter(targets, func(t *target, _ int) bool { return !t.current(heads[t.Schema]) })
	rows, err := readRecords(ctx, m.pool.Pgx(), lo.Filter(behind, func(t *target, _ int) bool { return heads[t.Schema].exists }), false)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", during("reading the records", err))
	}
	var errs []error
	for _, t := range behind {
		d, err := t.decide(rows[t], s, m.cfg.OutOfOrder)
		errs = append(errs, err)
		out.decisions[t] = &d
	}
	return out, errors.Join(errs...)
}

// pending returns the targets with something to do, in order.
func (s *survey) pending(targets []*target) (list []*target, files int) {
	for _, t := range targets {
		if d := s.decisions[t]; d != nil && len(d.pending) > 0 {
			list = append(list, t)
			files += len(d.pending)
		}
	}
	return list, files
}

// marked returns the targets with nothing but a checkpoint to be recorded.
func (s *survey) marked(targets []*target) []*target {
	return lo.Filter(targets, func(t *target, _ int) bool {
		d := s.decisions[t]
		return d != nil && len(d.pending) == 0 && len(d.marks) > 0
	})
}

// warnings describes what is tolerated.
func (d *decision) warnings(t *target) []string {
	var out []string
	if len(d.newer) > 0 {
		out = append(out, fmt.Sprintf("%s: %d migrations of a newer version of the program are applied: %s", t, len(d.newer), versions(d.newer)))
	}
	for _, r := range d.orphans {
		out = append(out, fmt.Sprintf("%s: the repeatable migration %s is recorded, but there is no such file", t, r.Name))
	}
	return out
}
