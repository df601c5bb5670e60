package migrations

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Status of a [Record]. Running and failed occur only for no-transaction files, and
// for Go functions that ended their transaction themselves.
const (
	StatusApplied = "applied"
	StatusRunning = "running"
	StatusFailed  = "failed"
)

// Record is a row of a tracking table.
type Record struct {
	Module     string
	Schema     string
	Key        string
	Version    int64 // 0 when repeatable
	Name       string
	Kind       Kind
	Seq        int64 // order of application
	Checksum   string
	Algorithm  string // of Checksum
	Status     string // StatusApplied, StatusRunning or StatusFailed; "audit" of KindAudit
	Statements int
	Done       int // statements that have been executed
	StartedAt  time.Time
	FinishedAt time.Time     // zero when it has not finished
	Duration   time.Duration // to the millisecond
	OutOfOrder bool
	Error      string // of the last failure
	SQLState   string
	AppliedBy  string // database role
	AppVersion string
	Host       string
	DownSQL    string // as it was when the migration was applied

	hashes []string // of the statements that have been executed
}

// createTable returns the statements that create the tracking table.
func (t *target) createTable() []request {
	return []request{
		{sql: `create table ` + t.tracked + ` (
  module           text        not null,
  key              text        not null,
  version          bigint,
  name             text        not null,
  kind             text        not null,
  seq              bigint      generated always as identity,
  checksum         text        not null,
  checksum_algo    text        not null,
  status           text        not null,
  statements_total integer     not null default 0,
  statements_done  integer     not null default 0,
  statement_hashes text[]      not null default '{}',
  started_at       timestamptz not null default clock_timestamp(),
  finished_at      timestamptz,
  duration_ms      bigint,
  out_of_order     boolean     not null default false,
  error            text,
  sqlstate         text,
  applied_by       text        not null default current_user,
  app_version      text,
  host             text,
  down_sql         text,
  primary key (module, key)
)`},
		{sql: `comment on table ` + t.tracked + ` is '` + headMark + `{"` + t.Module + `": "` + headOf(nil) + `"}'`}, // whose it is, before anything is applied
	}
}

// recordColumns are what readRecords scans, in the order of Record.
const recordColumns = `module, key, coalesce(version, 0), name, kind, seq, checksum, checksum_algo, status,
statements_total, statements_done, statement_hashes, started_at, finished_at, coalesce(duration_ms, 0), out_of_order,
coalesce(error, ''), coalesce(sqlstate, ''), applied_by, coalesce(app_version, ''), coalesce(host, '')`

// querier is what records are read through: the pool or one connection.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// schemasPerQuery bounds the length of one query.
const schemasPerQuery = 200

// readRecords reads the rows of all targets, whose tables must exist, with one
// query for every 200 schemas. Down SQL is read only when asked for.
func readRecords(ctx context.Context, db querier, targets []*target, downSQL bool) (map[*target][]Record, error) {
	out := map[*target][]Record{}
	byName := map[string]*target{}
	for _, t := range targets {
		byName[t.String()] = t
	}
	down := "''"
	if downSQL {
		down = "coalesce(down_sql, '')"
	}
	for chunk := range slices.Chunk(targets, schemasPerQuery) {
		var parts []string
		for _, t := range chunk { // names have passed validation and hold no quotes
			parts = append(parts, fmt.Sprintf("select '%s' as schema, %s, %s from %s where module = '%s'",
				t.Schema, recordColumns, down, t.tracked, t.Module))
		}
		rows, err := db.Query(ctx, strings.Join(parts, "\nunion all\n")+"\norder by schema, seq", pgx.QueryExecModeExec)
		if err != nil {
			return nil, pgdbm.Classify(err)
		}
		var (
			r        Record
			finished *time.Time
			millis   int64
		)
		_, err = pgx.ForEachRow(rows, []any{
			&r.Schema, &r.Module, &r.Key, &r.Version, &r.Name, &r.Kind, &r.Seq, &r.Checksum, &r.Algorithm, &r.Status,
			&r.Statements, &r.Done, &r.hashes, &r.StartedAt, &finished, &millis, &r.OutOfOrder,
			&r.Error, &r.SQLState, &r.AppliedBy, &r.AppVersion, &r.Host, &r.DownSQL,
		}, func() error {
			row := r
			row.Duration = time.Duration(millis) * time.Millisecond
			if finished != nil {
				row.FinishedAt = *finished
			}
			row.hashes = slices.Clone(r.hashes)
			t := byName[row.Module+"@"+row.Schema]
			out[t] = append(out[t], row)
			return nil
		})
		if err != nil {
			return nil, pgdbm.Classify(err)
		}
	}
	return out, nil
}

// fenceRow is the row that a fence inserts.
const fenceRow = `(module, key, version, name, kind, checksum, checksum_algo, status,
  statements_total, statements_done, statement_hashes, out_of_order, app_version, host, down_sql)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, nullif($13, ''), nullif($14, ''), $15)`

// fence returns the statement that inserts a file's row: the first one of its
// transaction. It returns a row exactly if the file is to be run by us; peers
// that run the same file block in it until we commit, and then get none.
func (t *target) fence(f *file, status string, p pending, cfg Config, host string) request {
	var version any
	if f.Version > 0 {
		version = fmt.Sprint(f.Version)
	}
	var down any
	if f.down != nil && f.down.fn == nil {
		down = f.down.text
	}
	return request{
		keep: true,
		sql: `insert into ` + t.tracked + ` as t ` + fenceRow + `
on conflict (module, key) do update set
  name = excluded.name, kind = excluded.kind, checksum = excluded.checksum, checksum_algo = excluded.checksum_algo,
  status = excluded.status, statements_total = excluded.statements_total, statements_done = excluded.statements_done,
  statement_hashes = excluded.statement_hashes, started_at = clock_timestamp(), finished_at = null, duration_ms = null,
  out_of_order = excluded.out_of_order, error = null, sqlstate = null, applied_by = current_user,
  app_version = excluded.app_version, host = excluded.host, down_sql = excluded.down_sql
where t.status <> 'applied' or excluded.kind = 'repeatable' and t.checksum <> excluded.checksum
returning pg_backend_pid(), pg_current_xact_id()`,
		args: []any{
			t.Module, f.Key, version, f.Name, string(f.Kind), f.Checksum, checksumAlgorithm, status,
			fmt.Sprint(len(f.up.statements)), fmt.Sprint(p.resume), textArray(p.hashes()), fmt.Sprint(p.outOfOrder),
			cfg.AppVersion, host, down,
		},
	}
}

// finish returns the statement that completes a file's row, provided that the
// transaction is still the one that began with the fence.
func (t *target) finish(f *file, xact string) request {
	hashes := make([]string, len(f.up.statements))
	for i, st := range f.up.statements {
		hashes[i] = st.hash
	}
	return request{
		sql: `update ` + t.tracked + ` set status = 'applied', statements_done = statements_total, statement_hashes = $3,
  finished_at = clock_timestamp(), duration_ms = 1000 * extract(epoch from clock_timestamp() - started_at), error = null, sqlstate = null
where module = $1 and key = $2 and ($4 = '' or pg_current_xact_id()::text = $4)`,
		args: []any{t.Module, f.Key, textArray(hashes), xact},
	}
}

// exec runs requests whose results do not matter, outside of a transaction.
func exec(ctx context.Context, conn *pgconn.PgConn, requests ...request) error {
	_, _, err := pipeline(ctx, conn, requests, nil)
	return err
}

// textArray renders hex strings as a PostgreSQL array.
func textArray(hex []string) string { return "{" + strings.Join(hex, ",") + "}" }
