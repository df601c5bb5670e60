package testkit

import (
	"context"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// keepTemplates is how many templates stay on a server.
const keepTemplates = 20

// What databases are called: of tests, by the lease of their process, and
// templates, by a hash whose beginning is a lock.
var (
	leased = regexp.MustCompile(`^pgdbm_t_(\d+)_\d+$`)
	hashed = regexp.MustCompile(`^pgdbm_tpl_([0-9a-f]{8})[0-9a-f]{12}$`)
)

// sweep drops the databases of processes that have ended. A process lives as
// long as its lease is locked: no guesses about process ids or times.
func (k *kit) sweep(ctx context.Context) {
	// Names first: a database is only ever made by a process that holds its lease.
	names, err := k.strings(ctx, `SELECT datname FROM pg_database WHERE datname LIKE 'pgdbm\_t\_%' ORDER BY oid`)
	if err != nil {
		return
	}
	alive, err := k.strings(ctx, `SELECT objid::text FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND classid = $1::int4::oid AND objsubid = 2`, int32(lockLease))
	if err != nil {
		return
	}
	living := map[string]bool{strconv.Itoa(int(k.lease.number)): true}
	for _, number := range alive {
		living[number] = true
	}
	for _, name := range names {
		if m := leased.FindStringSubmatch(name); m != nil && !living[m[1]] {
			_ = k.drop(ctx, name) // two processes may sweep at once
		}
	}
}

// prune drops the templates that were used longest ago, except those in use, and
// what killed processes have left half made.
func (k *kit) prune(ctx context.Context, using string) {
	names, err := k.strings(ctx, `SELECT datname FROM (SELECT datname, datistemplate,
			row_number() OVER (PARTITION BY datistemplate ORDER BY shobj_description(oid, 'pg_database') DESC NULLS LAST) AS place
			FROM pg_database WHERE datname LIKE 'pgdbm\_tpl\_%' AND datname <> $1) AS t
		WHERE NOT datistemplate OR place >= $2`, using, int64(keepTemplates))
	if err != nil {
		return
	}
	for _, name := range names {
		k.dropTemplate(ctx, name)
	}
}

// dropTemplate drops a template unless a process uses or builds it or another
// prunes.
func (k *kit) dropTemplate(ctx context.Context, name string) {
	m := hashed.FindStringSubmatch(name)
	if m == nil {
		return
	}
	hash, err := strconv.ParseUint(m[1], 16, 32)
	if err != nil {
		return
	}
	conn, err := k.admin.Acquire(ctx)
	if err != nil {
		return
	}
	defer conn.Release()
	var ok bool
	number := int32(uint32(hash))
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1::int4, $2::int4)", lockInUse, number).Scan(&ok); err != nil || !ok {
		return
	}
	defer conn.Exec(ctx, "SELECT pg_advisory_unlock($1::int4, $2::int4)", lockInUse, number) //nolint:errcheck // goes with its connection
	var complete bool
	if err := conn.QueryRow(ctx, "SELECT datistemplate FROM pg_database WHERE datname = $1", name).Scan(&complete); err != nil {
		return // it is gone
	}
	if complete {
		if _, err := conn.Exec(ctx, "ALTER DATABASE "+name+" IS_TEMPLATE false"); err != nil {
			return
		}
	}
	_, _ = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") // the next process tries again
}

// strings returns the first column of a query.
func (k *kit) strings(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, err := k.admin.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
