package repo

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// relation is what upserts and bulk statements need to know of a table.
type relation struct {
	types    map[string]columnType // by the names of the columns
	discards bool                  // it may store fewer rows than it is sent
	plain    bool                  // its rows have an xmax
}

// columnType is the type of a column of the database.
type columnType struct {
	Name     string `db:"name"` // of the column
	OID      uint32 `db:"oid"`
	Type     string `db:"type"` // as in a cast
	Discards bool   `db:"discards"`
	Plain    bool   `db:"plain"`
}

// catalog remembers the relation of a repository and those made of it.
type catalog struct {
	relation atomic.Pointer[relation]
}

// Types have their schema with them, whatever the search path: the types of one
// transaction are used in others. Triggers of partitions count: BEFORE, for each row,
// on INSERT.
const relationSQL = `select a.attname::text as name, a.atttypid as oid,
		case when n.nspname = 'pg_catalog' then format_type(a.atttypid, -1)
			else quote_ident(n.nspname) || '.' || quote_ident(coalesce(e.typname, t.typname)) || case when e.oid is null then '' else '[]' end end as type,
		c.relkind in ('v', 'f') or c.relhasrules or exists (select from pg_trigger g where g.tgtype & 7 = 7 and g.tgenabled <> 'D'
			and (g.tgrelid = c.oid or g.tgrelid in (select relid from pg_partition_tree(c.oid)))) as discards,
		c.relkind = 'r' as plain
	from pg_attribute a join pg_class c on c.oid = a.attrelid
		join pg_type t on t.oid = a.atttypid left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
		join pg_namespace n on n.oid = coalesce(e.typnamespace, t.typnamespace)
	where a.attrelid = '%s'::regclass and a.attnum > 0 and not a.attisdropped`

// relation returns what the catalog says of the table, or has said before.
func (r *Repository[T]) relation(ctx context.Context) (*relation, error) {
	if known := r.catalog.relation.Load(); known != nil {
		return known, nil
	}
	columns, err := pgdbm.FetchAll[columnType](ctx, r.db, fmt.Sprintf(relationSQL, r.t.ref))
	if err != nil {
		return nil, r.t.wrap(err)
	}
	rel := &relation{types: make(map[string]columnType, len(columns))}
	for _, c := range columns {
		rel.types[c.Name] = c
		rel.discards, rel.plain = c.Discards, c.Plain
	}
	r.catalog.relation.Store(rel)
	return rel, nil
}

// outdated forgets the relation if there is an error, which may come from a change
// of the table.
func (r *Repository[T]) outdated(err error) error {
	if err != nil {
		r.catalog.relation.Store(nil)
	}
	return err
}
