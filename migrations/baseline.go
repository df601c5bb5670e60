package migrations

import (
	"context"
	"fmt"
	"slices"

	"github.com/samber/lo"
)

// Baseline records the versioned migrations of a module up to a version as
// applied without running them: for a schema that was made by other means. It
// takes over what other tools or people have done, so check the schema first.
//
// It refuses a schema in which the module has a record already, and a version
// that no file has. The report lists what was recorded.
func (m *Migrator) Baseline(ctx context.Context, module string, to int64) (*Report, error) {
	report := &Report{}
	targets, _, err := m.selected([]Scope{Only(module)})
	if err != nil {
		return report, err
	}
	for _, t := range targets {
		if !slices.ContainsFunc(t.files(), func(f *file) bool { return f.Version > 0 && f.Version == to }) {
			return report, fmt.Errorf("migrations: Baseline: module %s has no version %d", module, to)
		}
	}
	release, err := m.alone(ctx)
	if err != nil {
		return report, err
	}
	defer release()
	return report, m.eachLocked(ctx, targets, func(s *session, t *target) error { return s.baseline(ctx, t, to, report) })
}

func (s *session) baseline(ctx context.Context, t *target, to int64, report *Report) error {
	if err := s.ensure(ctx, t); err != nil {
		return err
	}
	if err := s.begin(ctx, t); err != nil {
		return err
	}
	defer s.rollback(ctx)
	rows, err := readRecords(ctx, s.pgx, []*target{t}, false)
	if err != nil {
		return err
	}
	if n := lo.CountBy(rows[t], func(r Record) bool { return r.Kind != KindAudit }); n > 0 {
		return fmt.Errorf("Baseline: %d migrations are recorded already; a baseline is for a schema without any", n)
	}
	files := lo.Filter(t.files(), func(f *file, _ int) bool { return f.Version > 0 && f.Version <= to })
	if err := exec(ctx, s.conn, t.recordUnrun(files, s.m), request{sql: t.writeHeads()}); err != nil {
		return during("recording the baseline", err)
	}
	if err := s.commitPlain(ctx); err != nil {
		return during("commit", err)
	}
	for _, f := range files {
		report.Applied = append(report.Applied, Applied{
			Module: t.Module, Schema: t.Schema, File: f.File, Key: f.Key, Version: f.Version, Kind: KindBaseline,
		})
	}
	return nil
}
