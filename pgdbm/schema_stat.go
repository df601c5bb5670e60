package pgdbm

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// SchemaStat is what the bound schema takes and how it is used. Counters run
// since [DatabaseStat].StatsReset.
type SchemaStat struct {
	Bytes         int64   // of all tables: heap, TOAST and indexes
	CacheHitRatio float64 // of all tables and indexes; see DatabaseStat

	// Tables are the tables, partitions and materialized views, the largest first.
	Tables []TableStat
}

// TableStat describes one table.
type TableStat struct {
	Name string

	Bytes      int64 // HeapBytes, ToastBytes and IndexBytes
	HeapBytes  int64
	ToastBytes int64 // with its index
	IndexBytes int64

	Rows     int64 // estimated by the last vacuum or analyze, or counted if there was none
	DeadRows int64 // waiting for vacuum
	Modified int64 // rows changed since the planner's statistics were made

	// BloatBytes estimates how much of the heap its rows do not need: from the
	// planner's statistics, so 0 before the first ANALYZE. A fifth is usual.
	BloatBytes int64

	CacheHitRatio float64 // of heap, TOAST and indexes; see DatabaseStat
	SeqScans      int64   // from the first row to the last
	IndexScans    int64

	LastVacuum  time.Time // by hand or automatic; zero: never
	LastAnalyze time.Time

	Indexes []IndexStat // the largest first
}

// IndexStat describes one index. One that is not Unique and has no Scans since
// StatsReset, on the standbys either, costs every write and helps nobody.
type IndexStat struct {
	Name   string
	Bytes  int64
	Scans  int64
	Unique bool // keeps duplicates out, used or not

	// Valid is false when CREATE INDEX CONCURRENTLY failed half-way (or still
	// runs): writes pay for it and no query uses it. Drop it and create it again.
	Valid bool
}

// SchemaStat asks the server about the bound schema, public when none is bound.
// What that costs depends on the number of its tables, not on how many there
// are in other schemas. It does not wait for locks: the size of a relation that
// is exclusively locked is that of its last vacuum or analyze.
func (m *Manager) SchemaStat(ctx context.Context) (SchemaStat, error) {
	schema := cmp.Or(m.Schema(), "public")
	tables, err := FetchAll[tableRow](ctx, m, schemaTablesSQL, schema)
	if err != nil {
		return SchemaStat{}, err
	}
	indexes, err := FetchAll[indexRow](ctx, m, schemaIndexesSQL, schema)
	if err != nil {
		return SchemaStat{}, err
	}
	byTable := map[uint32][]indexRow{}
	for _, index := range indexes {
		byTable[index.TableID] = append(byTable[index.TableID], index)
	}
	s := SchemaStat{Tables: make([]TableStat, 0, len(tables))}
	var hit, fetched int64
	for _, row := range tables {
		for _, index := range byTable[row.ID] {
			row.Hit += index.Hit
			row.Fetched += index.Fetched
			row.IndexBytes += index.Bytes
			row.Indexes = append(row.Indexes, index.IndexStat)
		}
		row.Bytes = row.HeapBytes + row.ToastBytes + row.IndexBytes
		row.CacheHitRatio = hitRatio(row.Hit, row.Fetched)
		hit += row.Hit
		fetched += row.Fetched
		s.Bytes += row.Bytes
		s.Tables = append(s.Tables, row.TableStat)
	}
	s.CacheHitRatio = hitRatio(hit, fetched)
	slices.SortFunc(s.Tables, func(a, b TableStat) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	return s, nil
}

type tableRow struct {
	TableStat
	ID           uint32
	Hit, Fetched int64
}

type indexRow struct {
	IndexStat
	TableID      uint32
	Hit, Fetched int64
}

// pg_class has no index on the namespace alone, and scanning it takes the longer
// the more schemas there are; pg_depend has one on what an object depends on.
//
// pg_relation_size waits for an exclusive lock, which a stuck migration holds at
// the very moment when somebody wants to look.
const (
	schemaRelations = `
		with locked as materialized (
			select relation from pg_locks
			where locktype = 'relation' and mode = 'AccessExclusiveLock' and pid <> pg_backend_pid()
				and database = (select oid from pg_database where datname = current_database())
		), tables as materialized (
			select c.oid, c.relname, c.relpages, c.reltuples, c.reloptions, c.reltoastrelid
			from pg_depend d join pg_class c on c.oid = d.objid
			where d.refclassid = 'pg_namespace'::regclass and d.classid = 'pg_class'::regclass and d.deptype = 'n'
				and d.refobjid = (select oid from pg_namespace where nspname = $1) and c.relkind in ('r', 'm')
		)`

	schemaTablesSQL = schemaRelations + `
		select t.oid as id, t.relname as name,
			case when t.oid in (select relation from locked) then t.relpages * b.size else coalesce(pg_relation_size(t.oid), 0) end as heap_bytes,
			coalesce(case when toast.oid in (select relation from locked) then toast.relpages * b.size else pg_relation_size(toast.oid) end
				+ case when ti.indexrelid in (select relation from locked) then 0 else pg_relation_size(ti.indexrelid) end, 0) as toast_bytes,
			case when t.relpages > 0 then greatest(t.reltuples, 0)::bigint else pg_stat_get_live_tuples(t.oid) end as rows,
			pg_stat_get_dead_tuples(t.oid) as dead_rows, pg_stat_get_mod_since_analyze(t.oid) as modified,
			coalesce(greatest(t.relpages - ceil(greatest(t.reltuples, 0) * w.width / ((b.size - 24) * coalesce(f.fillfactor, 100) / 100)), 0) * b.size, 0)::bigint as bloat_bytes,
			pg_stat_get_numscans(t.oid) as seq_scans,
			coalesce((select sum(pg_stat_get_numscans(i.indexrelid)) from pg_index i where i.indrelid = t.oid), 0)::bigint as index_scans,
			pg_stat_get_blocks_hit(t.oid) + coalesce(pg_stat_get_blocks_hit(toast.oid) + pg_stat_get_blocks_hit(ti.indexrelid), 0) as hit,
			pg_stat_get_blocks_fetched(t.oid) + coalesce(pg_stat_get_blocks_fetched(toast.oid) + pg_stat_get_blocks_fetched(ti.indexrelid), 0) as fetched,
			coalesce(greatest(pg_stat_get_last_vacuum_time(t.oid), pg_stat_get_last_autovacuum_time(t.oid)), '0001-01-01 00:00:00+00') as last_vacuum,
			coalesce(greatest(pg_stat_get_last_analyze_time(t.oid), pg_stat_get_last_autoanalyze_time(t.oid)), '0001-01-01 00:00:00+00') as last_analyze
		from tables t
		cross join (select current_setting('block_size')::bigint as size) b
		left join pg_class toast on toast.oid = t.reltoastrelid
		left join pg_index ti on ti.indrelid = toast.oid
		left join lateral ( -- a row: its header, line pointer and values, aligned
			select 28 + ceil(sum(s.avg_width * (1 - s.null_frac)) / 8) * 8 as width
			from pg_stats s where s.schemaname = $1 and s.tablename = t.relname and not s.inherited
		) w on true
		left join lateral (
			select option_value::int as fillfactor from pg_options_to_table(t.reloptions) where option_name = 'fillfactor'
		) f on true`

	schemaIndexesSQL = schemaRelations + `
		select i.indrelid as table_id, c.relname as name,
			case when c.oid in (select relation from locked) then c.relpages * current_setting('block_size')::bigint
				else coalesce(pg_relation_size(c.oid), 0) end as bytes,
			pg_stat_get_numscans(c.oid) as scans, i.indisunique as unique, i.indisvalid and i.indisready as valid,
			pg_stat_get_blocks_hit(c.oid) as hit, pg_stat_get_blocks_fetched(c.oid) as fetched
		from tables t join pg_index i on i.indrelid = t.oid join pg_class c on c.oid = i.indexrelid
		order by bytes desc, name`
)
