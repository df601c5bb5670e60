package pgdbmtest

import (
	"strings"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Count returns the number of rows in a table, or of those that meet a condition:
//
//	db.Count("users")
//	db.Count("users", "email like $1 and active", "%@example.com")
func (db *DB) Count(table string, where ...any) int {
	db.t.Helper()
	sql := "select count(*) from " + reference(table)
	if len(where) > 0 {
		condition, ok := where[0].(string)
		if !ok {
			db.t.Fatalf("pgdbmtest: Count: the condition is a %T; give SQL text, followed by its arguments", where[0])
			return 0
		}
		sql += " where (" + condition + "\n)"
		where = where[1:]
	}
	n, err := value[int](db, sql, where...)
	if err != nil {
		db.t.Fatalf("pgdbmtest: Count: %v", err)
	}
	return n
}

// TableExists reports whether there is a table (or view, or partitioned or
// foreign table) of that name.
func (db *DB) TableExists(table string) bool {
	db.t.Helper()
	exists, err := value[bool](db, "select exists (select from pg_class where oid = to_regclass('"+reference(table)+
		"') and relkind in ('r', 'p', 'v', 'm', 'f'))")
	if err != nil {
		db.t.Fatalf("pgdbmtest: TableExists: %v", err)
	}
	return exists
}

// Truncate removes all rows of the tables, and of those that reference them, and
// resets their sequences.
func (db *DB) Truncate(tables ...string) {
	db.t.Helper()
	if len(tables) == 0 {
		db.t.Fatalf("pgdbmtest: Truncate: name the tables")
		return
	}
	refs := make([]string, len(tables))
	for i, table := range tables {
		refs[i] = reference(table)
	}
	ctx, cancel := background(db.t)
	defer cancel()
	if _, err := db.Exec(ctx, "truncate "+strings.Join(refs, ", ")+" restart identity cascade"); err != nil {
		db.t.Fatalf("pgdbmtest: Truncate: %v", err)
	}
}

// reference returns the template for a table's name.
func reference(table string) string { return "{{tables." + table + "}}" }

// value returns the one value that a statement yields.
func value[T any](db *DB, sql string, args ...any) (T, error) {
	ctx, cancel := background(db.t)
	defer cancel()
	return pgdbm.FetchValue[T](ctx, db, sql, args...)
}
