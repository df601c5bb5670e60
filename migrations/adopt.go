package migrations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Adoption says what [Migrator.Adopt] takes over.
type Adoption struct {
	// Tool is what has migrated the schema so far.
	Tool Tool

	// Table is the tool's tracking table: "table", looked for in the module's
	// schema and then in public, or "schema.table". Default: the name that the tool
	// gives it.
	Table string

	// Module is the module_name in a table of Python's pgdbm. Default: the module's
	// name, or, when the table has no rows of that name, its schema's. Other tools
	// have no modules.
	Module string

	// DryRun only looks: the report lists what would be recorded.
	DryRun bool
}

// Adopt records as applied, without running them, the migrations that another tool
// has applied, as its own tracking table says: for a team that changes tools and
// keeps its files and its database. The tool's table is only read; drop it when
// nobody runs the tool any more.
//
// The rows are of [KindBaseline], in the order in which the tool applied them, with
// its times and roles where it records them. Checksums are those of the files as
// they are now. All rows are written in one transaction under the schema's lock, and
// the report lists them.
//
// Nothing is written when the two do not fit together, and the error names every
// reason: a version that has no file ([ErrUnknownApplied]), also one that is newer
// than all files, which its program must adopt; a file that the tool has not
// applied below one that it has ([ErrOutOfOrder], unless Config.OutOfOrder or the
// file's directive allows it to run later); a migration that failed half-way; a
// version that is no integer; a table that looks like another tool's. Without a
// table the error is of class [pgdbm.ErrUndefined]. Repeatable files stay pending.
//
// Once the module has records of its own, Adopt changes nothing. It then succeeds,
// also without a table, unless the tool has applied something that is not recorded
// here. So a program may call it at every start, before [Migrator.Up].
func (m *Migrator) Adopt(ctx context.Context, module string, from Adoption) (*Report, error) {
	started := time.Now()
	report := &Report{}
	defer func() { report.Duration = time.Since(started) }()
	if _, ok := tools[from.Tool]; !ok {
		return report, fmt.Errorf("migrations: Adopt: there is no tool %q (have %s)", from.Tool, toolNames())
	}
	if from.Module != "" && from.Tool != ToolPgdbm {
		return report, fmt.Errorf("migrations: Adopt: Module is for tables of %s; those of %s have no modules", ToolPgdbm, from.Tool)
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
	return report, m.eachLocked(ctx, targets, func(s *session, t *target) error { return s.adopt(ctx, t, from, report) })
}

// adopted is a file that another tool has applied.
type adopted struct {
	*file
	foreign
}

// edited reports whether the file is not the one that was applied, as far as the
// tool's checksum tells.
func (a adopted) edited() bool {
	return a.sum != "" && a.sum != checksum(strings.TrimSpace(a.up.text))
}

func (s *session) adopt(ctx context.Context, t *target, from Adoption, report *Report) error {
	list, h, err := s.adoptable(ctx, t, from)
	if err == nil && len(list) > 0 && !from.DryRun {
		list, h, err = s.recordAdopted(ctx, t, from)
	}
	if err != nil {
		return err
	}
	report.Warnings = append(report.Warnings, h.warnings...)
	for _, w := range h.warnings {
		s.m.log.WarnContext(ctx, w)
	}
	for _, a := range list {
		report.Applied = append(report.Applied, Applied{
			Module: t.Module, Schema: t.Schema, File: a.File, Key: a.Key, Version: a.Version, Kind: KindBaseline,
		})
	}
	if len(list) > 0 && !from.DryRun {
		s.m.log.LogAttrs(ctx, slog.LevelInfo, "migrations adopted", slog.String("module", t.Module), slog.String("schema", t.Schema),
			slog.String("table", h.table), slog.String("tool", string(from.Tool)), slog.Int("files", len(list)))
	}
	return nil
}

// recordAdopted writes the records in one transaction. It looks once more: behind
// a pooler, the lock begins with the transaction.
func (s *session) recordAdopted(ctx context.Context, t *target, from Adoption) ([]adopted, history, error) {
	if err := s.ensure(ctx, t); err != nil {
		return nil, history{}, err
	}
	if err := s.begin(ctx, t); err != nil {
		return nil, history{}, err
	}
	defer s.rollback(ctx)
	list, h, err := s.adoptable(ctx, t, from)
	if err != nil || len(list) == 0 {
		return nil, h, err
	}
	var requests []request
	for _, a := range list {
		recorded := *a.file
		recorded.Kind = KindBaseline
		requests = append(requests, t.fence(&recorded, StatusApplied, pending{file: &recorded}, s.m.cfg, s.m.host), t.finish(a.file, ""), request{
			sql: "update " + t.tracked + ` set applied_by = coalesce(nullif($3, ''), applied_by), duration_ms = nullif($5, '')::bigint,
  finished_at = coalesce(nullif($4, '')::timestamptz, finished_at),
  started_at = coalesce(nullif($4, '')::timestamptz - coalesce(nullif($5, '')::bigint, 0) * interval '1 millisecond', started_at)
where module = $1 and key = $2`,
			args: []any{t.Module, a.Key, a.by, a.at, a.millis},
		})
	}
	got, _, err := pipeline(ctx, s.conn, append(requests, request{sql: t.writeHeads()}), nil)
	if err != nil {
		return nil, h, during("recording what "+string(from.Tool)+" has applied", err)
	}
	return list, h, during("commit", s.commit(ctx, got[0].rows[0][1]))
}

// adoptable finds out what is to be recorded. It only reads.
func (s *session) adoptable(ctx context.Context, t *target, from Adoption) ([]adopted, history, error) {
	own, err := s.ownRecords(ctx, t)
	if err != nil {
		return nil, history{}, err
	}
	h, err := s.foreignHistory(ctx, t, from)
	if errors.Is(err, pgdbm.ErrUndefined) && len(own) > 0 {
		return nil, h, nil // adopted, and the table dropped; or never another tool's
	}
	if err != nil {
		return nil, h, err
	}
	if len(own) > 0 {
		return nil, history{}, t.sameHistory(own, h, from.Tool)
	}
	list, err := t.match(h, from.Tool, s.m.cfg.OutOfOrder)
	for _, a := range list {
		if a.edited() {
			h.warnings = append(h.warnings, fmt.Sprintf("%s: %s was edited after %s had applied it", t, a.File, from.Tool))
		}
	}
	return list, h, err
}

// ownRecords returns the module's rows, none when there is no tracking table.
func (s *session) ownRecords(ctx context.Context, t *target) ([]Record, error) {
	got, err := run(ctx, s.conn, "select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2",
		t.Schema, s.m.cfg.Table)
	if err != nil || len(got.rows) == 0 {
		return nil, err
	}
	rows, err := readRecords(ctx, s.pgx, []*target{t}, false)
	return lo.Filter(rows[t], func(r Record, _ int) bool { return r.Kind != KindAudit }), err
}

// sameHistory reports what another tool has applied beyond our records.
func (t *target) sameHistory(own []Record, h history, tool Tool) error {
	have := map[int64]bool{}
	for _, r := range own {
		have[r.Version] = have[r.Version] || r.Status == StatusApplied
	}
	missing := map[int64]string{}
	for _, r := range h.rows {
		if !have[r.version] {
			missing[r.version] = r.label
		}
	}
	for _, f := range t.files() {
		if f.Version > 0 && f.Version <= h.below && !have[f.Version] {
			missing[f.Version] = fmt.Sprint(f.Version)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	labels := lo.Map(slices.Sorted(maps.Keys(missing)), func(v int64, _ int) string { return missing[v] })
	return t.fail(fmt.Errorf("Adopt: the module has records of its own, but not of what %s has applied according to %s: %s; a schema must have one tool",
		tool, h.table, strings.Join(labels, ", ")))
}

// match finds the files of what another tool has applied, in the order in which it
// did. The error joins all that does not fit.
func (t *target) match(h history, tool Tool, outOfOrder bool) ([]adopted, error) {
	var (
		errs   []error
		list   []adopted
		files  = map[int64]*file{}
		done   = map[int64]bool{}
		head   = h.below
		newest int64
	)
	for _, r := range h.rows {
		done[r.version] = true
		head = max(head, r.version)
	}
	for _, f := range t.files() {
		if f.Version == 0 {
			continue
		}
		if f.Kind == KindCheckpoint && !done[f.Version] { // of no use to a schema that is not new
			done[f.Version] = true
			continue
		}
		files[f.Version] = f
		newest = max(newest, f.Version)
		if f.Version <= h.below && !done[f.Version] {
			list = append(list, adopted{file: f})
		}
	}
	for _, r := range h.rows {
		f := files[r.version]
		switch {
		case f == nil && r.version > newest:
			errs = append(errs, t.fail(fmt.Errorf("%w: %s has applied %s, which is newer than all files; adopt with the version of the program that has it",
				ErrUnknownApplied, tool, r.label)))
		case f == nil:
			errs = append(errs, t.fail(fmt.Errorf("%w: %s has applied %s, but there is no such file; restore it", ErrUnknownApplied, tool, r.label)))
		case r.name != "" && r.name != f.Name:
			errs = append(errs, t.failFile(f.File, fmt.Errorf("%w: %s has applied another file of this version, %s; restore its name", ErrUnknownApplied, tool, r.label)))
		default:
			list = append(list, adopted{file: f, foreign: r})
		}
	}
	for _, f := range t.files() {
		if f.Version > h.below && f.Version < head && !done[f.Version] && !outOfOrder && !f.up.directives.outOfOrder {
			errs = append(errs, t.failFile(f.File, fmt.Errorf(
				"%w: %s has not applied it, although it has applied version %d; apply it with %s first, or allow it to run later with -- pgdbm:out-of-order or Config.OutOfOrder",
				ErrOutOfOrder, tool, head, tool)))
		}
	}
	return list, errors.Join(errs...)
}
