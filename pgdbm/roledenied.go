package pgdbm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// explain says of an error which rule of the roles it comes from.
func (r *role) explain(err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return
	}
	pg, ok := errors.AsType[*pgconn.PgError](e.Err)
	if !ok {
		return
	}
	switch {
	case r.refused(pg) && pg.Code == "22023":
		e.Class = ErrUndefined
		e.Hint = fmt.Sprintf("it is the role of module %q: module.Set.Migrate creates it", r.module)
	case r.refused(pg):
		e.Hint = fmt.Sprintf("it is the role of module %q, and the one that connects must be a member of it: module.Set.Migrate grants that", r.module)
	case pg.Code == "42501":
		e.Hint = r.denied(e, pg.Message)
	case pg.Code == "25001" && pg.Routine == "PreventInTransactionBlock":
		e.Hint = "with Config.ModuleRoles every statement of a module runs in a transaction: run this one in a no-transaction migration, or through a manager of no module"
	}
}

// refused reports whether the server would not let us take the role.
func (r *role) refused(pg *pgconn.PgError) bool {
	return (pg.Code == "22023" || pg.Code == "42501") && pg.Routine != "aclcheck_error" && strings.Contains(pg.Message, r.name)
}

// denied says what to do about a statement that the role may not run.
func (r *role) denied(e *Error, message string) string {
	schema, table := r.stranger(e.SQL, message)
	if schema != "" && (e.Table == "" || e.Table == table) { // the server does not say whose table that is
		e.Schema, e.Table = schema, table
	}
	other := r.known.moduleOf(schema)
	switch _, reads := r.reads[other]; {
	case schema == "":
		return fmt.Sprintf("module %q works as role %q, which may change the rows of its own schema, except those of its migrations, and read its dependencies; everything else belongs in a migration", r.module, r.name)
	case reads:
		return fmt.Sprintf("module %q may only read the tables of %q: to change %s.%s call the store of %q, with In(tx) in the same transaction", r.module, other, schema, table, other)
	default:
		return fmt.Sprintf("module %q does not depend on %q: add it to DependsOn to read %s.%s, and call the store of %q to change it", r.module, other, schema, table, other)
	}
}

// stranger returns the table of another module that sql names: the one that
// message is about or else the first; "" for none.
func (r *role) stranger(sql, message string) (schema, table string) {
	var before [2]sqllex.Token // a schema and a dot, perhaps
	for t := range sqllex.Tokens(sql) {
		if t.Trivia() {
			continue
		}
		s, name := "", ""
		switch {
		case t.Kind == sqllex.String && len(t.Text) < len(sql): // the body of a DO, or SQL to be executed
			s, name = r.stranger(unquoted(t.Text), message)
		case before[1].Is("."):
			s, name = before[0].Name(), t.Name()
			if s == r.schema || r.known.moduleOf(s) == "" {
				s, name = "", ""
			}
		}
		before[0], before[1] = before[1], t
		if s == "" || name == "" {
			continue
		}
		if schema == "" {
			schema, table = s, name
		}
		if strings.Contains(message, name) {
			return s, name
		}
	}
	return schema, table
}

// unquoted returns what stands between the quotes of a string.
func unquoted(s string) string {
	if s[0] != '$' {
		_, s, _ = strings.Cut(s, "'")
		return strings.ReplaceAll(strings.TrimSuffix(s, "'"), "''", "'")
	}
	tag := s[:strings.IndexByte(s[1:], '$')+2]
	return strings.TrimSuffix(s[len(tag):], tag)
}
