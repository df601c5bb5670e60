package pgdbm

import (
	"context"
	"time"
)

// DatabaseStat is what the server has counted for the pool's database. Counters
// run since StatsReset.
type DatabaseStat struct {
	Connections    int64 // to this database, of everybody
	AllConnections int64 // to the server, of clients
	MaxConnections int64 // of the server

	Commits   int64
	Rollbacks int64
	Deadlocks int64
	TempFiles int64 // sorts and hashes that did not fit into work_mem
	TempBytes int64

	// CacheHitRatio is the share of blocks that were found in the server's own
	// cache, 0 to 1; 1 when none was asked for.
	CacheHitRatio float64

	// XIDAge is how many transactions ago the oldest row was frozen. Autovacuum
	// acts from 200 million on, and at 2,000 million the server stops writes.
	XIDAge int64

	StatsReset time.Time // zero: never
}

// DatabaseStat asks the server about the pool's database. The costs do not
// depend on how many relations there are.
func (p *Pool) DatabaseStat(ctx context.Context) (DatabaseStat, error) {
	row, err := FetchOne[struct {
		DatabaseStat
		BlocksFetched, BlocksHit int64
	}](ctx, p.unbound(), `
		select count(*) filter (where a.datid = d.oid) as connections, count(*) as all_connections,
			current_setting('max_connections')::bigint as max_connections,
			pg_stat_get_db_xact_commit(d.oid) as commits, pg_stat_get_db_xact_rollback(d.oid) as rollbacks,
			pg_stat_get_db_deadlocks(d.oid) as deadlocks,
			pg_stat_get_db_temp_files(d.oid) as temp_files, pg_stat_get_db_temp_bytes(d.oid) as temp_bytes,
			pg_stat_get_db_blocks_fetched(d.oid) as blocks_fetched, pg_stat_get_db_blocks_hit(d.oid) as blocks_hit,
			age(d.datfrozenxid)::bigint as xid_age,
			coalesce(pg_stat_get_db_stat_reset_time(d.oid), '0001-01-01 00:00:00+00') as stats_reset
		from pg_database d left join pg_stat_activity a on a.backend_type = 'client backend'
		where d.datname = current_database()
		group by d.oid, d.datfrozenxid`)
	if err != nil {
		return DatabaseStat{}, err
	}
	row.CacheHitRatio = hitRatio(row.BlocksHit, row.BlocksFetched)
	return row.DatabaseStat, nil
}

func hitRatio(hit, fetched int64) float64 {
	if fetched <= 0 {
		return 1
	}
	return float64(hit) / float64(fetched)
}
