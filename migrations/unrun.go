package migrations

import (
	"context"
	"encoding/json"
	"log/slog"
)

// unrun is a row of a migration that was not run, as the server reads it.
type unrun struct {
	Key        string  `json:"key"`
	Version    *int64  `json:"version"`
	Name       string  `json:"name"`
	Kind       Kind    `json:"kind"`
	Checksum   string  `json:"checksum"`
	Statements int     `json:"statements"`
	Down       *string `json:"down"`
}

// recordUnrun returns the statement that records migrations as applied without
// running them, in their order. Those that are recorded stay as they are.
func (t *target) recordUnrun(files []*file, m *Migrator) request {
	rows := make([]unrun, len(files))
	for i, f := range files {
		rows[i] = unrun{Key: f.Key, Name: f.Name, Kind: KindBaseline, Checksum: f.Checksum, Statements: f.Statements}
		if f.Version > 0 {
			rows[i].Version = &f.Version
		}
		if f.Kind == KindCheckpoint { // what is before it does not count, see tailName
			rows[i].Kind = KindCheckpoint
		}
		if f.down != nil && f.down.fn == nil {
			rows[i].Down = &f.down.text
		}
	}
	list, err := json.Marshal(rows)
	if err != nil {
		panic(err) // strings and numbers can be encoded
	}
	return request{
		sql: `insert into ` + t.tracked + ` (module, key, version, name, kind, checksum, checksum_algo, status, statements_total,
  finished_at, duration_ms, app_version, host, down_sql)
select $1, key, version, name, kind, checksum, $3, 'applied', statements, clock_timestamp(), 0, nullif($4, ''), nullif($5, ''), down
from pg_catalog.jsonb_to_recordset($2) as x (key text, version bigint, name text, kind text, checksum text, statements int, down text)
order by version
on conflict (module, key) do nothing`,
		args: []any{t.Module, string(list), checksumAlgorithm, m.cfg.AppVersion, m.host},
	}
}

// mark records checkpoints in schemas that are up to date. That makes later starts
// cheaper, and nothing depends on it: on a standby, or without the right to write,
// it is left alone.
func (m *Migrator) mark(ctx context.Context, targets []*target, scope scope) {
	err := m.eachLocked(ctx, targets, func(s *session, t *target) error {
		rows, err := readRecords(ctx, s.pgx, []*target{t}, false)
		if err != nil {
			return err
		}
		d, err := t.decide(rows[t], scope, m.cfg.OutOfOrder)
		if err != nil || len(d.pending) > 0 {
			return err
		}
		return s.mark(ctx, t, d.marks)
	})
	if err != nil {
		m.log.LogAttrs(ctx, slog.LevelInfo, "checkpoints not recorded", slog.String("error", err.Error()))
	}
}

// mark records checkpoints whose versions have been applied one by one.
func (s *session) mark(ctx context.Context, t *target, checkpoints []*file) error {
	if len(checkpoints) == 0 {
		return nil
	}
	if err := s.reset(ctx); err != nil {
		return err
	}
	// Together they are one transaction.
	if err := exec(ctx, s.conn, t.recordUnrun(checkpoints, s.m), request{sql: t.writeHeads()}); err != nil {
		return during("recording a checkpoint", err)
	}
	for _, f := range checkpoints {
		s.m.log.LogAttrs(ctx, slog.LevelInfo, "checkpoint recorded, not run: what it stands for is applied",
			slog.String("module", t.Module), slog.String("schema", t.Schema), slog.String("file", f.File))
	}
	return nil
}
