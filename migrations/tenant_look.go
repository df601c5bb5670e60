package migrations

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// The queries that read the heads of many schemas. Subqueries and not joins: a
// catalog that has grown fast has no statistics, and whatever the planner believes
// of it, each of them is a look into an index. pg_class has one by relname, so
// that other relations do not matter.
const (
	commentOf = `(select d.description from pg_catalog.pg_description d
  where d.objoid = %s and d.classoid = 'pg_catalog.pg_class'::regclass and d.objsubid = 0)`

	tenantsQuery = `select (select n.nspname from pg_catalog.pg_namespace n where n.oid = c.relnamespace)::text collate "C", c.oid, coalesce(%s, '')
from pg_catalog.pg_class c where c.relname = $1 and c.relkind in ('r', 'p') order by 1`

	schemasQuery = `select schema, coalesce(oid, 0), coalesce(%s, '') from (
  select schema, (select c.oid from pg_catalog.pg_class c where c.relname = $1 and c.relkind in ('r', 'p')
    and c.relnamespace = (select n.oid from pg_catalog.pg_namespace n where n.nspname = schema::name)) as oid
  from unnest($2::text[]) as schema offset 0) x` // offset 0: the oid is looked up once
)

var (
	lookForTenants = fmt.Sprintf(tenantsQuery, fmt.Sprintf(commentOf, "c.oid"))
	lookAtSchemas  = fmt.Sprintf(schemasQuery, fmt.Sprintf(commentOf, "x.oid"))
)

// discover returns the tenants that exist, ordered by schema, with one query. A
// schema is one when its tracking table names the module.
func (ts *Tenants) discover(ctx context.Context) ([]*job, error) {
	var jobs []*job
	err := ts.readHeads(ctx, func(schema string, oid uint32, heads map[string]string) {
		if !strings.HasPrefix(schema, ts.prefix) {
			return
		}
		if _, err := ts.Schema(ts.id(schema)); err != nil { // it is no tenant's
			return
		}
		j := &job{target: ts.at(schema)}
		j.found(oid, heads)
		if heads == nil || j.head != "" || j.failed != "" {
			jobs = append(jobs, j)
		}
	}, lookForTenants, ts.m.cfg.Table)
	if err != nil {
		return nil, err
	}
	if err := ts.conclude(ctx, jobs); err != nil {
		return nil, err
	}
	return lo.Filter(jobs, func(j *job, _ int) bool { // without a comment the rows tell whose it is
		return j.exists && (j.head != "" || j.failed != "" || j.state == nil || len(j.state.rows) > 0)
	}), nil
}

// look reads the heads of jobs with one query. Where a head is not known, it reads
// the rows of one tenant that has it, and where there is none, the tenant's.
func (ts *Tenants) look(ctx context.Context, jobs []*job) error {
	bySchema := lo.KeyBy(jobs, func(j *job) string { return j.Schema })
	err := ts.readHeads(ctx, func(schema string, oid uint32, heads map[string]string) {
		bySchema[schema].found(oid, heads)
	}, lookAtSchemas, ts.m.cfg.Table, lo.Keys(bySchema))
	if err != nil {
		return err
	}
	return ts.conclude(ctx, jobs)
}

func (ts *Tenants) readHeads(ctx context.Context, found func(schema string, oid uint32, heads map[string]string), query string, args ...any) error {
	rows, err := ts.m.pool.Pgx().Query(ctx, query, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err == nil {
		var (
			schema, comment string
			oid             uint32
			last            string
			heads           map[string]string
		)
		_, err = pgx.ForEachRow(rows, []any{&schema, &oid, &comment}, func() error {
			if comment != last || heads == nil { // mostly they are all the same
				last, heads = comment, parseHeads(comment)
			}
			found(schema, oid, heads)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("migrations: %w", during("reading the heads", pgdbm.Classify(err)))
	}
	return nil
}
