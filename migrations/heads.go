package migrations

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// headMark begins the comment of a tracking table. JSON follows: module to head,
// and, with failedMark behind the module's name, the key of a file that failed.
const (
	headMark   = "pgdbm1 "
	failedMark = " failed"
)

// tailName is the name of another head of a module with a checkpoint, without what
// that stands for.
// Schemas differ in that: in old ones it ran, in new ones it did not, and it may
// not even be recorded when its files were gone by then.
func tailName(module string, checkpoint int64) string {
	return fmt.Sprintf("%s from %d", module, checkpoint)
}

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
	switch {
	case len(t.files()) == 0:
		return true
	case found.heads[t.Module+failedMark] != "": // which the heads leave out
		return false
	case found.heads[t.Module] == t.Source.head:
		return true
	}
	c := t.Source.newest()
	return c != nil && len(t.below(c.Version)) == 0 && found.heads[tailName(t.Module, c.Version)] == t.Source.tail
}

// writeHeads returns the statement that rewrites the tracking table's comment
// from its rows; see headOf. Where the table belongs to another role, the
// comment stays what it was, and readers look at the rows.
func (t *target) writeHeads() string {
	const body = `do $pgdbm$
declare heads text;
begin
  lock table {t} in share update exclusive mode;
  with applied as (
    select module, key, checksum, version, max(version) filter (where kind = 'checkpoint') over (partition by module) as checkpoint
    from {t} where status = 'applied'
  ), named as (
    select module as name, key, checksum from applied
    union all
    select module || ' from ' || checkpoint, key, checksum from applied where checkpoint is not null and (version is null or version >= checkpoint)
  )
  select coalesce(pg_catalog.jsonb_object_agg(name, head)::text, '{}') into heads from (
    select name, count(*) || ':' || left(encode(sha256(convert_to(
      string_agg(key || ' ' || checksum || chr(10), '' order by key collate "C"), 'UTF8')), 'hex'), 16) as head
    from named group by name
    union all select module || '{failed}', min(key) from {t} where status = 'failed' group by module) x;
  execute format('comment on table {t} is %L', '{mark}' || heads);
exception when insufficient_privilege then null;
end $pgdbm$`
	return strings.NewReplacer("{t}", t.tracked, "{mark}", headMark, "{failed}", failedMark).Replace(body)
}
