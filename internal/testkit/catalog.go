package testkit

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Catalog describes what is in the schemas of a database, and what belongs to none:
// one line for every object and column, sorted, with names for oids. Two databases
// that were made in different ways are the same if their lines are. Without schemas,
// all but the system's. Tables called pgdbm_migrations are left out, with all that is
// theirs.
//
// Rows, values of sequences and statistics are not in it.
func Catalog(tb TB, conn *pgx.Conn, schemas ...string) []string {
	tb.Helper()
	lines, err := catalog(context.Background(), conn, schemas)
	if err != nil {
		tb.Fatalf("reading the catalog: %v", err)
	}
	return lines
}

// Difference compares two catalogs: lines of the first alone with -, of the second
// alone with +. It is "" when they are the same.
func Difference(a, b []string) string {
	var out strings.Builder
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case j == len(b) || i < len(a) && a[i] < b[j]:
			out.WriteString("- " + a[i] + "\n")
			i++
		case i == len(a) || b[j] < a[i]:
			out.WriteString("+ " + b[j] + "\n")
			j++
		default:
			i, j = i+1, j+1
		}
	}
	return out.String()
}

func catalog(ctx context.Context, conn *pgx.Conn, schemas []string) ([]string, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	// With an empty search_path the server qualifies every name. To compile the query
	// takes longer than to run it.
	_, err = tx.Exec(ctx, `select set_config('search_path', '', true), set_config('jit', 'off', true), set_config('timezone', 'UTC', true),
  set_config('datestyle', 'ISO', true), set_config('intervalstyle', 'postgres', true), set_config('quote_all_identifiers', 'off', true)`)
	if err != nil {
		return nil, err
	}
	if schemas == nil {
		schemas = []string{}
	}
	rows, err := tx.Query(ctx, catalogQuery(), schemas)
	if err != nil {
		return nil, err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return lines, nil
}

// catalogQuery joins the parts. Each begins its lines with what they are about.
func catalogQuery() string {
	var parts []string
	for _, p := range catalogParts {
		parts = append(parts, "select concat_ws(' ', "+p[0]+") as line from "+p[1])
	}
	return `with s as materialized (
  select oid, quote_ident(nspname) as name, nspname, nspowner, nspacl from pg_namespace
  where nspname = any($1) or cardinality($1) = 0 and nspname !~ '^pg_' and nspname <> 'information_schema'
), r as materialized (
  select c.*, s.name || '.' || quote_ident(c.relname) as name from pg_class c join s on s.oid = c.relnamespace
  where c.relname !~ '^pgdbm_migrations'
)
select line from (` + strings.Join(parts, "\nunion all\n") + `) all_lines order by line collate "C"`
}

// catalogParts are expressions, and what they are selected from.
var catalogParts = [][2]string{
	{`'schema', name, nspowner::regrole, nspacl`, `s`},
	{
		`'relation', r.name, r.relkind, r.relpersistence, 'owner', r.relowner::regrole, 'acl', r.relacl, 'options', r.reloptions,
  'access method', am.amname, 'rls', r.relrowsecurity, r.relforcerowsecurity, 'populated', r.relispopulated, 'replica identity', r.relreplident,
  'partition by', pg_get_partkeydef(r.oid), 'bound', pg_get_expr(r.relpartbound, r.oid), 'of type', nullif(r.reloftype, 0)::regtype,
  'inherits', (select string_agg(inhparent::regclass::text, ',' order by inhseqno) from pg_inherits where inhrelid = r.oid),
  'foreign', (select fs.srvname || ' ' || coalesce(ft.ftoptions::text, '') from pg_foreign_table ft join pg_foreign_server fs on fs.oid = ft.ftserver where ft.ftrelid = r.oid)`,
		`r left join pg_am am on am.oid = r.relam`,
	},
	{
		`'column', r.name, lpad(a.attnum::text, 4, '0'), quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
  'collation', nullif(a.attcollation, 0)::regcollation, 'identity', nullif(a.attidentity, ''), 'generated', nullif(a.attgenerated, ''),
  'default', pg_get_expr(d.adbin, d.adrelid), 'storage', a.attstorage, nullif(a.attcompression, ''), 'target', nullif(a.attstattarget, -1),
  'options', a.attoptions, a.attfdwoptions, 'acl', a.attacl, 'inherited', a.attinhcount, a.attislocal`,
		`r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum where r.relkind <> 'i'`,
	},
	{`'constraint', r.name, quote_ident(k.conname), pg_get_constraintdef(k.oid), case when not k.convalidated then 'unvalidated' end, 'inherited', k.coninhcount, k.conislocal`, `pg_constraint k join r on r.oid = k.conrelid`},
	{`'index', r.name, pg_get_indexdef(i.indexrelid), 'valid', i.indisvalid, i.indisready, 'clustered', i.indisclustered, 'identity', i.indisreplident`, `pg_index i join r on r.oid = i.indexrelid`},
	{`'view', r.name, pg_get_viewdef(r.oid)`, `r where r.relkind in ('v', 'm')`},
	{`'rule', r.name, pg_get_ruledef(w.oid), w.ev_enabled`, `pg_rewrite w join r on r.oid = w.ev_class where w.rulename <> '_RETURN'`},
	{
		`'sequence', r.name, q.seqtypid::regtype, q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle,
  'owned by', (select pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = r.oid and d.deptype in ('a', 'i') and d.refobjsubid > 0)`,
		`pg_sequence q join r on r.oid = q.seqrelid`,
	},
	{`'trigger', r.name, pg_get_triggerdef(t.oid), t.tgenabled, case when t.tgparentid <> 0 then 'of the parent' end`, `pg_trigger t join r on r.oid = t.tgrelid where not t.tgisinternal`},
	{
		`'policy', r.name, quote_ident(p.polname), p.polcmd, p.polpermissive, (select string_agg(case x when 0 then 'public' else x::regrole::text end, ',' order by x::regrole::text) from unnest(p.polroles) x),
  'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)`,
		`pg_policy p join r on r.oid = p.polrelid`,
	},
	{`'statistics', pg_get_statisticsobjdef(x.oid)`, `pg_statistic_ext x join s on s.oid = x.stxnamespace`},
	{`'routine', p.oid::regprocedure, 'owner', p.proowner::regrole, 'acl', p.proacl, pg_get_functiondef(p.oid)`, `pg_proc p join s on s.oid = p.pronamespace where p.prokind <> 'a'`},
	{
		`'aggregate', p.oid::regprocedure, 'owner', p.proowner::regrole, 'acl', p.proacl, g.aggkind, g.aggnumdirectargs, g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn,
  g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn, g.aggtranstype::regtype, g.agginitval, nullif(g.aggsortop, 0)::regoperator, p.proparallel`,
		`pg_aggregate g join pg_proc p on p.oid = g.aggfnoid join s on s.oid = p.pronamespace`,
	},
	{
		`'type', y.oid::regtype, y.typtype, 'owner', y.typowner::regrole, 'acl', y.typacl, 'of', nullif(y.typbasetype, 0)::regtype, case when y.typbasetype <> 0 then format_type(y.typbasetype, y.typtypmod) end,
  case when y.typnotnull then 'not null' end, 'default', y.typdefault, 'collation', nullif(y.typcollation, 0)::regcollation,
  'labels', (select string_agg(quote_literal(enumlabel), ',' order by enumsortorder) from pg_enum where enumtypid = y.oid),
  'constraints', (select string_agg(quote_ident(conname) || ' ' || pg_get_constraintdef(k.oid) || ' ' || convalidated, ',' order by conname) from pg_constraint k where contypid = y.oid),
  'range', (select concat_ws(' ', rngsubtype::regtype, nullif(rngcollation, 0)::regcollation, rngcanonical, rngsubdiff, rngmultitypid::regtype) from pg_range where rngtypid = y.oid)`,
		`pg_type y join s on s.oid = y.typnamespace where y.typtype in ('e', 'd', 'r', 'm') or y.typtype = 'b' and y.typelem = 0 or y.typtype = 'c' and exists (select from r where r.oid = y.typrelid)`,
	},
	{
		`'operator', o.oid::regoperator, 'owner', o.oprowner::regrole, o.oprkind, o.oprcanmerge, o.oprcanhash, o.oprresult::regtype, nullif(o.oprcom, 0)::regoperator, nullif(o.oprnegate, 0)::regoperator, o.oprcode, o.oprrest, o.oprjoin`,
		`pg_operator o join s on s.oid = o.oprnamespace`,
	},
	{`'default acl', d.defaclrole::regrole, nullif(d.defaclnamespace, 0)::regnamespace, d.defaclobjtype, d.defaclacl`, `pg_default_acl d`},
	{`'extension', e.extname, e.extversion, e.extnamespace::regnamespace`, `pg_extension e`},
	{
		`'publication', p.pubname, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,
  (select string_agg(concat_ws(' ', to_jsonb(t) - 'pubname'), ',' order by t.schemaname, t.tablename) from pg_publication_tables t where t.pubname = p.pubname)`,
		`pg_publication p`,
	},
	{`'event trigger', e.evtname, e.evtevent, e.evtfoid::regprocedure, e.evtenabled, e.evttags`, `pg_event_trigger e`},
	{`'server', fs.srvname, fs.srvtype, fs.srvversion, fs.srvacl, fs.srvoptions, w.fdwname`, `pg_foreign_server fs join pg_foreign_data_wrapper w on w.oid = fs.srvfdw`},
	{`'setting', d.setrole::regrole, d.setconfig`, `pg_db_role_setting d where d.setdatabase = (select oid from pg_database where datname = current_database())`},
	{
		`'comment on', x.type, x.identity, quote_literal(d.description)`,
		`pg_description d cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) x
  where (d.objoid >= 16384 or d.classoid = 'pg_namespace'::regclass and exists (select from s where s.oid = d.objoid))
  and x.identity !~ 'pgdbm_migrations' and (x.schema is null or exists (select from s where s.nspname = x.schema))`,
	},
	// Of what is rare, that it exists.
	{
		`'object', x.type, x.identity`,
		`(select 'pg_opclass'::regclass, oid from pg_opclass union all select 'pg_opfamily'::regclass, oid from pg_opfamily union all select 'pg_collation'::regclass, oid from pg_collation
  union all select 'pg_conversion'::regclass, oid from pg_conversion union all select 'pg_ts_config'::regclass, oid from pg_ts_config union all select 'pg_ts_dict'::regclass, oid from pg_ts_dict
  union all select 'pg_cast'::regclass, oid from pg_cast union all select 'pg_language'::regclass, oid from pg_language union all select 'pg_user_mapping'::regclass, oid from pg_user_mapping
  union all select 'pg_transform'::regclass, oid from pg_transform) as o(class, oid) cross join lateral pg_identify_object(o.class, o.oid, 0) x
  where o.oid >= 16384 and (x.schema is null or exists (select from s where s.nspname = x.schema))`,
	},
}
