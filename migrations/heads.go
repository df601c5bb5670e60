package migrations

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// headMark begins the comment of a tracking table. JSON follows: module to head.
const headMark = "pgdbm1 "

// tracking is what the catalog knows of a schema's tracking table.
type tracking struct {
	exists bool
	heads  map[string]string // nil when the comment is not ours or unreadable
}

const headsQuery = `select n.nspname, coalesce(d.description, '')
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_description d on d.objoid = c.oid and d.classoid = 'pg_catalog.pg_class'::regclass and d.objsubid = 0
where c.relname = $1 and n.nspname = any($2) and c.relkind in ('r', 'p')`

// readHeads reads the heads of all targets' schemas with one catalog query.
func (m *Migrator) readHeads(ctx context.Context, targets []*target) (map[string]tracking, error) {
	schemas := lo.Uniq(lo.Map(targets, func(t *target, _ int) string { return t.Schema }))
	out := make(map[string]tracking, len(schemas))
	rows, err := m.pool.Pgx().Query(ctx, headsQuery, pgx.QueryExecModeExec, m.cfg.Table, schemas)
	if err != nil {
		return nil, pgdbm.Classify(err)
	}
	var schema, comment string
	_, err = pgx.ForEachRow(rows, []any{&schema, &comment}, func() error {
		out[schema] = tracking{exists: true, heads: parseHeads(comment)}
		return nil
	})
	return out, pgdbm.Classify(err)
}

func parseHeads(comment string) map[string]string {
	rest, ok := strings.CutPrefix(comment, headMark)
	if !ok {
		return nil
	}
	var heads map[string]string
	if json.Unmarshal([]byte(rest), &heads) != nil {
		return nil
	}
	return heads
}

// current reports whether the head says that nothing is left to do.
func (t *target) current(found tracking) bool {
	return len(t.files()) == 0 || found.heads[t.Module] == t.Source.head
}

// writeHeads returns the statement that rewrites the tracking table's comment
// from its rows; see headOf. Where the table belongs to another role, the
// comment stays what it was, and readers look at the rows.
func (t *target) writeHeads() string {
	const body = `do $pgdbm$
declare heads text;
begin
  lock table {t} in share update exclusive mode;
  select coalesce(pg_catalog.jsonb_object_agg(module, head)::text, '{}') into heads from (
    select module, count(*) || ':' || left(encode(sha256(convert_to(
      string_agg(key || ' ' || checksum || chr(10), '' order by key collate "C"), 'UTF8')), 'hex'), 16) as head
    from {t} where status = 'applied' group by module) x;
  execute format('comment on table {t} is %L', '{mark}' || heads);
exception when insufficient_privilege then null;
end $pgdbm$`
	return strings.NewReplacer("{t}", t.tracked, "{mark}", headMark).Replace(body)
}
