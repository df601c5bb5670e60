package migrations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/samber/lo"
)

// Resolution says how [Migrator.Resolve] repairs what is recorded of a migration.
type Resolution string

// The resolutions.
const (
	// ResolveApplied records a pending or failed migration as applied without
	// running it: you have done its work by hand.
	ResolveApplied Resolution = "applied"

	// ResolveRetry forgets what a failed no-transaction file has executed, so that
	// the next run starts it over: you have undone that.
	ResolveRetry Resolution = "retry"

	// ResolveForget removes the record of a migration that the program does not
	// have, the cure of [ErrUnknownApplied] where the file is gone for good.
	ResolveForget Resolution = "forget"

	// ResolveAccept takes the checksum of an applied file that was edited, the cure
	// of [ErrDrift] where the edit is right. The file does not run.
	ResolveAccept Resolution = "accept"
)

// Resolve repairs what is recorded of a migration, under the lock of the schema.
// It changes records only, never what the migration did. key is that of a
// [Record], or a version ("42").
//
// Each repair leaves a record of kind [KindAudit] in the tracking table, which
// [Migrator.History] returns: its Name says what was done to which key, AppliedBy
// by whom, StartedAt when, and Error, Checksum and DownSQL what it was before.
//
// Where the module has several schemas, it is resolved in each that has something to
// resolve; for one of them alone, use a Migrator of that target. When there is
// nothing to resolve anywhere, the error says what to do instead.
func (m *Migrator) Resolve(ctx context.Context, module, key string, how Resolution) error {
	targets, _, err := m.selected([]Scope{Only(module)})
	if err != nil {
		return err
	}
	if !slices.Contains([]Resolution{ResolveApplied, ResolveRetry, ResolveForget, ResolveAccept}, how) {
		return fmt.Errorf("migrations: Resolve: there is no resolution %q (have applied, retry, forget, accept)", how)
	}
	if key, err = parseKey(key); err != nil {
		return err
	}
	release, err := m.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	heads, err := m.readHeads(ctx, targets)
	if err != nil {
		return fmt.Errorf("migrations: %w", during("reading the heads", err))
	}
	var refusals []error
	err = m.eachLocked(ctx, targets, func(s *session, t *target) error {
		refusal, err := s.resolve(ctx, t, heads[t.Schema].exists, key, how)
		if refusal != "" {
			refusals = append(refusals, t.fail(fmt.Errorf("Resolve: %s", refusal)))
		}
		return err
	})
	if err == nil && len(refusals) == len(targets) {
		err = errors.Join(refusals...)
	}
	return err
}

// parseKey understands the key of a record and a version.
func parseKey(key string) (string, error) {
	digits := strings.TrimPrefix(key, "v:")
	if version, err := strconv.ParseInt(digits, 10, 64); err == nil && version > 0 {
		return versionKey(version), nil
	}
	if name, ok := strings.CutPrefix(key, "r:"); ok && name != "" {
		return key, nil
	}
	return "", fmt.Errorf("migrations: Resolve: key %q: write a version, such as 42, or the key of a record, such as %s or r:views", key, versionKey(42))
}

// resolve repairs one schema. The refusal says why there is nothing to repair.
func (s *session) resolve(ctx context.Context, t *target, tracked bool, key string, how Resolution) (refusal string, err error) {
	if how == ResolveApplied {
		if err := s.ensure(ctx, t); err != nil {
			return "", err
		}
	} else if !tracked {
		return "nothing is recorded in this schema; run Up", nil
	}
	if err := s.begin(ctx, t); err != nil {
		return "", err
	}
	defer s.rollback(ctx)
	rows, err := readRecords(ctx, s.pgx, []*target{t}, true)
	if err != nil {
		return "", err
	}
	r := repair{target: t, key: key, rows: rows[t]}
	r.file, _ = lo.Find(t.files(), func(f *file) bool { return f.Key == key })
	if i := slices.IndexFunc(r.rows, func(row Record) bool { return row.Key == key }); i >= 0 {
		r.row = &r.rows[i]
	}
	change, refusal := r.plan(how, s.m)
	if refusal != "" {
		return refusal, nil
	}
	if err := exec(ctx, s.conn, change, r.audit(how, s.m), request{sql: t.writeHeads()}); err != nil {
		return "", during("recording it", err)
	}
	if err := s.commitPlain(ctx); err != nil {
		return "", during("commit", err)
	}
	s.m.log.LogAttrs(ctx, slog.LevelWarn, "migration resolved", slog.String("module", t.Module), slog.String("schema", t.Schema),
		slog.String("key", key), slog.String("how", string(how)), slog.String("before", r.before()))
	return "", nil
}

// audit returns the statement that records a repair.
func (r repair) audit(how Resolution, m *Migrator) request {
	row := lo.FromPtr(r.row)
	return request{
		sql: `insert into ` + r.tracked + ` (module, key, name, kind, checksum, checksum_algo, status, statements_total, statements_done,
  finished_at, duration_ms, error, sqlstate, app_version, host, down_sql)
values ($1, 'a:' || to_char(clock_timestamp() at time zone 'UTC', 'YYYYMMDDHH24MISSUS'), $2, '` + string(KindAudit) + `', $3, $4, '` + string(KindAudit) + `', $5, $6,
  clock_timestamp(), 0, $7, nullif($8, ''), nullif($9, ''), nullif($10, ''), nullif($11, ''))`,
		args: []any{
			r.Module, string(how) + " " + r.key, row.Checksum, row.Algorithm, strconv.Itoa(row.Statements), strconv.Itoa(row.Done),
			r.before(), row.SQLState, m.cfg.AppVersion, m.host, row.DownSQL,
		},
	}
}

// before says what a migration was before its repair.
func (r repair) before() string {
	if r.row == nil {
		return "was pending"
	}
	by := fmt.Sprintf("%s, %s, by %s", r.row.Name, r.row.Kind, r.row.AppliedBy)
	if r.row.AppVersion != "" {
		by += " with " + r.row.AppVersion
	}
	if r.row.Status == StatusApplied {
		return fmt.Sprintf("was applied at %s (%s)", r.row.FinishedAt.UTC().Format(time.RFC3339), by)
	}
	return strings.TrimSuffix(fmt.Sprintf("was %s at %d of %d since %s (%s): %s", r.row.Status, r.row.Done, r.row.Statements,
		r.row.StartedAt.UTC().Format(time.RFC3339), by, r.row.Error), ": ")
}
