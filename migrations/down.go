package migrations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/samber/lo"
)

// Down undoes what is applied of a module above version to, newest first: 0
// undoes everything. Each migration is undone by its down file, or, where the
// program does not have it, by the down SQL that was recorded when it was
// applied. Each runs in one transaction, in which its row disappears. Repeatable
// migrations stay. A lock in the way is waited for, as Up does.
//
// Nothing runs when one of them cannot be undone. The report lists what was, also
// with an error.
func (m *Migrator) Down(ctx context.Context, module string, to int64) (*Report, error) {
	started := time.Now()
	report := &Report{}
	defer func() { report.Duration = time.Since(started) }()
	if to < 0 {
		return report, fmt.Errorf("migrations: Down: %d is not a version", to)
	}
	targets, _, err := m.selected([]Scope{Only(module)})
	if err != nil {
		return report, err
	}
	release, err := m.alone(ctx)
	if err != nil {
		return report, err
	}
	defer release()
	heads, err := m.readHeads(ctx, targets)
	if err != nil {
		return report, fmt.Errorf("migrations: %w", during("reading the heads", err))
	}
	targets = lo.Filter(targets, func(t *target, _ int) bool { return heads[t.Schema].exists })
	slices.Reverse(targets)
	return report, m.eachLocked(ctx, targets, func(s *session, t *target) error { return s.down(ctx, t, to, report) })
}

// undo is a migration that is to be undone.
type undo struct {
	record Record
	script *script
}

func (s *session) down(ctx context.Context, t *target, to int64, report *Report) error {
	rows, err := readRecords(ctx, s.pgx, []*target{t}, true)
	if err != nil {
		return err
	}
	list, err := t.undos(rows[t], to)
	if err != nil {
		return err
	}
	for _, u := range list {
		if err := s.reset(ctx); err != nil {
			return err
		}
		started := time.Now()
		attempts, err := s.attempts(ctx, t, u.script.file, len(u.script.statements), func(int) error { return s.undo(ctx, t, u) })
		if err != nil {
			return err
		}
		r := u.record
		dur := time.Since(started)
		report.Applied = append(report.Applied, Applied{
			Module: t.Module, Schema: t.Schema, File: u.script.file, Key: r.Key, Version: r.Version, Kind: r.Kind,
			Statements: len(u.script.statements), Attempts: attempts, Duration: dur,
		})
		s.m.observe(ctx, Event{Kind: EventFileReverted, Module: t.Module, Schema: t.Schema, File: u.script.file, Duration: dur})
		s.m.log.LogAttrs(ctx, slog.LevelInfo, "migration reverted", slog.String("module", t.Module), slog.String("schema", t.Schema),
			slog.String("file", u.script.file), slog.Int64("version", r.Version), slog.Duration("dur", dur))
	}
	return nil
}

// undos returns what is to be undone, newest first.
func (t *target) undos(rows []Record, to int64) ([]undo, error) {
	var (
		out  []undo
		errs []error
	)
	c := t.downCheckpoint(rows, to)
	for _, r := range rows {
		if r.Version <= to {
			continue
		}
		var (
			sc  = &script{file: fmt.Sprintf("%d_%s (its row)", r.Version, r.Name)}
			err error
		)
		if !c.rowOnly(r) {
			sc, err = t.downScript(r)
		}
		errs = append(errs, err)
		out = append(out, undo{record: r, script: sc})
	}
	if 0 < to && to < c.first {
		errs = append(errs, t.fail(fmt.Errorf("the schema began with checkpoint %d and never had version %d; go down to 0 or stay at %d", c.first, to, c.first)))
	}
	slices.SortFunc(out, func(a, b undo) int {
		return cmp.Or(cmp.Compare(c.side(b.record), c.side(a.record)), cmp.Compare(b.record.Seq, a.record.Seq))
	})
	return out, errors.Join(errs...)
}

// downScript finds the script that undoes a migration.
func (t *target) downScript(r Record) (*script, error) {
	name := fmt.Sprintf("%d_%s", r.Version, r.Name)
	if r.Status != StatusApplied {
		return nil, t.fail(fmt.Errorf("%s did not finish (%d of %d statements); run Up first", name, r.Done, r.Statements))
	}
	for _, f := range t.files() {
		if f.Key == r.Key && f.down != nil {
			return checkDown(t, f.down)
		}
	}
	if r.Kind == KindGo {
		return nil, t.fail(fmt.Errorf("%s is a Go migration without a Down function here; give it one, or write a new migration that undoes it", name))
	}
	if r.DownSQL == "" {
		return nil, t.fail(fmt.Errorf("%s has no down file, neither here nor recorded; write %s.down.sql, or a new migration that undoes it", name, name))
	}
	var vars map[string]string
	if t.Source != nil {
		vars = t.Source.vars
	}
	l := newLinter(nil)
	sc := parseScript(name+".down.sql (recorded)", r.DownSQL, vars, l)
	if len(l.findings) > 0 {
		return nil, t.fail(&LoadError{Findings: l.findings})
	}
	return checkDown(t, sc)
}

func checkDown(t *target, sc *script) (*script, error) {
	if sc.directives.noTransaction {
		return nil, t.failFile(sc.file, errors.New("a down file cannot be a no-transaction one; drop without CONCURRENTLY, or undo it by a new migration"))
	}
	for _, st := range sc.statements {
		for _, ref := range st.tmpl.Refs() {
			if ref.Module != "" && ref.Module != t.Module && t.deps[ref.Module] == nil {
				return nil, t.failFile(sc.file, fmt.Errorf("%s names module %q, which is not a declared dependency", ref.Text, ref.Module))
			}
		}
	}
	return sc, nil
}

// undo runs a down script and removes the row in one transaction.
func (s *session) undo(ctx context.Context, t *target, u undo) error {
	fence := request{
		keep: true,
		sql:  "delete from " + t.tracked + " where module = $1 and key = $2 returning pg_backend_pid(), pg_current_xact_id()",
		args: []any{t.Module, u.record.Key},
	}
	_, err := s.inXact(ctx, t, u.script, []request{fence}, func(string) request { return request{sql: "select"} })
	return err
}
