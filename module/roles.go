package module

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// access is what the role of one module needs in one schema, and what the
// database says about it.
type access struct {
	Role, Schema string
	Own          bool // the module's own schema, not that of a dependency

	Login, Creator string // who connects, and who owns what migrations create
	Version        int    // of the server
	Tracked        bool   // the schema has a tracking table
	Exists         bool   // the role
	Master         bool   // the role is who connects, or may become that
	Member         bool   // who connects may take it
	Tables         bool   // it has what it needs in the schema now
	Defaults       bool   // and in what is created there later
}

// accesses lists what the roles of s need, nil when modules have none.
func (s *Set) accesses() []access {
	var all []access
	schemas := map[string]string{}
	for _, m := range s.order {
		schemas[m.Name] = m.schema()
	}
	for _, m := range s.order {
		role := s.manager[m.Name].Role()
		if role == "" {
			return nil
		}
		all = append(all, access{Role: role, Schema: m.schema(), Own: true})
		for _, dep := range sortedNames(m.DependsOn) {
			all = append(all, access{Role: role, Schema: schemas[dep]})
		}
	}
	return all
}

// accessSQL says of roles ($1) in schemas ($2), which are their modules' own or
// not ($3), what they have there. $4 is the tracking table. A schema that does not
// exist, and what belongs to an extension, needs nothing.
const accessSQL = `select w.ord::int, session_user::text, current_user::text, current_setting('server_version_num')::int,
  exists (select from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relname = $4), r.oid is not null,
  coalesce(pg_has_role(r.oid, session_user, 'MEMBER') or pg_has_role(r.oid, current_user, 'MEMBER'), false),
  coalesce(pg_has_role(session_user, r.oid, case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end), false),
  n.oid is null or coalesce(has_schema_privilege(r.oid, n.oid, 'USAGE'), false) and not exists (
    select from pg_catalog.pg_class c where c.relnamespace = n.oid
      and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
      and case
        when c.relkind in ('r', 'p', 'v', 'm', 'f') then
          not has_table_privilege(r.oid, c.oid, 'SELECT')
          or w.own and c.relname <> $4 and not (has_table_privilege(r.oid, c.oid, 'INSERT') and has_table_privilege(r.oid, c.oid, 'UPDATE')
            and has_table_privilege(r.oid, c.oid, 'DELETE') and has_table_privilege(r.oid, c.oid, 'TRUNCATE'))
          or w.own and c.relname = $4 and has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
        when c.relkind = 'S' and w.own then
          not (has_sequence_privilege(r.oid, c.oid, 'USAGE') and has_sequence_privilege(r.oid, c.oid, 'SELECT') and has_sequence_privilege(r.oid, c.oid, 'UPDATE'))
        else false end),
  n.oid is null or (
    select count(distinct (d.defaclobjtype, a.privilege_type)) = case when w.own then 8 else 1 end
    from pg_catalog.pg_default_acl d, aclexplode(d.defaclacl) a
    where d.defaclnamespace = n.oid and a.grantee = r.oid and d.defaclrole = (select oid from pg_catalog.pg_roles where rolname = current_user)
      and case when d.defaclobjtype = 'r' then a.privilege_type = any(case when w.own then '{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[] else '{SELECT}'::text[] end)
        else w.own and d.defaclobjtype = 'S' and a.privilege_type in ('USAGE', 'SELECT', 'UPDATE') end)
from unnest($1::text[], $2::text[], $3::bool[]) with ordinality as w(role, schema, own, ord)
left join pg_catalog.pg_roles r on r.rolname = w.role
left join pg_catalog.pg_namespace n on n.nspname = w.schema
order by w.ord`

// querier is a pgx pool or transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// lacking asks the database, with one query, and returns what is incomplete.
func (s *Set) lacking(ctx context.Context, db querier) ([]access, error) {
	all := s.accesses()
	if len(all) == 0 {
		return nil, nil
	}
	var (
		roles, schemas []string
		own            []bool
	)
	for _, a := range all {
		roles, schemas, own = append(roles, a.Role), append(schemas, a.Schema), append(own, a.Own)
	}
	rows, err := db.Query(ctx, accessSQL, pgx.QueryExecModeExec, roles, schemas, own, s.trackingTable())
	if err != nil {
		return nil, pgdbm.Classify(err)
	}
	var (
		n int
		a access
	)
	_, err = pgx.ForEachRow(rows, []any{&n, &a.Login, &a.Creator, &a.Version, &a.Tracked, &a.Exists, &a.Master, &a.Member, &a.Tables, &a.Defaults}, func() error {
		a.Role, a.Schema, a.Own = all[n-1].Role, all[n-1].Schema, all[n-1].Own
		all[n-1] = a
		return nil
	})
	if err != nil {
		return nil, pgdbm.Classify(err)
	}
	return slices.DeleteFunc(all, func(a access) bool { return a.Exists && a.Member && a.Tables && a.Defaults }), masters(all)
}

// masters returns an error where a role has no less rights than who connects: it
// is a superuser's, perhaps, that was there before.
func masters(all []access) error {
	var errs []error
	for _, a := range all {
		if a.Own && a.Master {
			errs = append(errs, fmt.Errorf("module: roles: %w: role %q has all rights of %q, which connects, so that its module would not be restricted: choose another Config.ModuleRoles",
				pgdbm.ErrPermission, a.Role, a.Login))
		}
	}
	return errors.Join(errs...)
}

func (s *Set) trackingTable() string { return cmp.Or(s.Migrations.Table, "pgdbm_migrations") }

// grants returns the statements that complete what is lacking.
func (s *Set) grants(lacking []access) []string {
	var out []string
	add := func(format string, args ...any) {
		if sql := fmt.Sprintf(format, args...); !slices.Contains(out, sql) {
			out = append(out, sql)
		}
	}
	for _, a := range lacking {
		role, schema, login, creator := sqltmpl.Quote(a.Role), sqltmpl.Quote(a.Schema), sqltmpl.Quote(a.Login), sqltmpl.Quote(a.Creator)
		if !a.Exists {
			add("create role %s nologin noinherit", role)
		}
		if !a.Member && a.Version >= 160000 {
			add("grant %s to %s with inherit false, set true", role, login)
		} else if !a.Member {
			add("grant %s to %s", role, login)
		}
		tables := "select"
		if a.Own {
			tables = "select, insert, update, delete, truncate"
		}
		if !a.Tables {
			add("grant usage on schema %s to %s", schema, role)
			add("grant %s on all tables in schema %s to %s", tables, schema, role)
			if a.Own && a.Tracked {
				add("revoke insert, update, delete, truncate on %s.%s from %s", schema, sqltmpl.Quote(s.trackingTable()), role)
			}
			if a.Own {
				add("grant usage, select, update on all sequences in schema %s to %s", schema, role)
			}
		}
		if !a.Defaults {
			add("alter default privileges for role %s in schema %s grant %s on tables to %s", creator, schema, tables, role)
			if a.Own {
				add("alter default privileges for role %s in schema %s grant usage, select, update on sequences to %s", creator, schema, role)
			}
		}
	}
	return out
}

// grantRoles creates the modules' roles, and grants them what they need, where
// that is not done yet.
func (s *Set) grantRoles(ctx context.Context) error {
	lacking, err := s.lacking(ctx, s.pool.Pgx())
	if err != nil || len(lacking) == 0 {
		return err
	}
	db, err := s.pool.Bind(pgdbm.Binding{})
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err = db.InTx(ctx, func(tx *pgdbm.Tx) error {
			lacking, err = s.grantLocked(ctx, tx)
			return err
		})
		if err == nil || attempt == maxGrants || !racing(err) {
			break
		}
		if err := sleep(ctx, time.Duration(attempt)*grantPause/2+rand.N(grantPause)); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(err, pgdbm.ErrPermission):
		return fmt.Errorf("module: roles: %w\nlet somebody who may do so run, in this database:\n%s", err, s.script(lacking))
	case err != nil:
		return fmt.Errorf("module: roles: %w", err)
	}
	return nil
}

// How often creating the roles is tried while others do the same, and the pause
// after the first attempt.
const (
	maxGrants  = 20
	grantPause = 20 * time.Millisecond
)

// grantKey is the advisory lock of those who grant. Roles belong to the whole
// server: between databases nothing but another attempt helps.
const grantKey = 0x7067646d726f6c65

// grantLocked does the work, unless somebody else has, and returns what was
// lacking.
func (s *Set) grantLocked(ctx context.Context, tx *pgdbm.Tx) ([]access, error) {
	if _, err := tx.Exec(ctx, "set local lock_timeout to '60s'"); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(grantKey)); err != nil {
		return nil, err
	}
	raw, err := tx.Pgx(ctx)
	if err != nil {
		return nil, err
	}
	lacking, err := s.lacking(ctx, raw)
	if err != nil || len(lacking) == 0 {
		return nil, err
	}
	if _, err := tx.Exec(ctx, strings.Join(s.grants(lacking), ";\n")); err != nil {
		return lacking, err
	}
	left, err := s.lacking(ctx, raw)
	if err == nil && len(left) > 0 { // GRANT only warns of what is not its user's to give
		return left, fmt.Errorf("%w: the tables belong to another role", pgdbm.ErrPermission)
	}
	return left, err
}

// verifyRoles returns nil when the roles have what they need for what there is.
func (s *Set) verifyRoles(ctx context.Context) error {
	lacking, err := s.lacking(ctx, s.pool.Pgx())
	if err != nil {
		return err
	}
	lacking = slices.DeleteFunc(lacking, func(a access) bool { return a.Exists && a.Member && a.Tables })
	if len(lacking) == 0 {
		return nil
	}
	for i := range lacking {
		lacking[i].Defaults = true // who only verifies creates nothing
	}
	return fmt.Errorf("module: roles: %w: %s; migrate, or let somebody who may do so run, in this database:\n%s",
		pgdbm.ErrPermission, describe(lacking), s.script(lacking))
}

// describe says whose roles are incomplete.
func describe(lacking []access) string {
	var out []string
	for _, a := range lacking {
		what := fmt.Sprintf("%s lacks privileges in schema %s", a.Role, a.Schema)
		switch {
		case !a.Exists:
			what = a.Role + " does not exist"
		case !a.Member:
			what = fmt.Sprintf("%s is not granted to %s", a.Role, a.Login)
		}
		if !slices.Contains(out, what) {
			out = append(out, what)
		}
	}
	return strings.Join(out, ", ")
}

// script lists the statements for a person.
func (s *Set) script(lacking []access) string { return strings.Join(s.grants(lacking), ";\n") + ";" }

// racing reports whether err is that of somebody else doing the same: the role or
// its grants are there by now, or will be in a moment.
func racing(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{"XX000", "23505", "42710", "40P01", "40001", "55P03", "42704"}, pg.Code)
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
