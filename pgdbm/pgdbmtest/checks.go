package pgdbmtest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// checks are the helpers of [DB] and [Tx]. They end the test when a statement
// fails.
type checks struct {
	t    TB
	home *home
	db   pgdbm.DB
}

// Count returns the number of rows in a table, or of those that meet a condition:
//
//	db.Count("users")
//	db.Count("users", "email like $1 and active", "%@example.com")
func (c *checks) Count(table string, where ...any) int {
	c.t.Helper()
	sql := "select count(*) from " + reference(table)
	if len(where) > 0 {
		condition, ok := where[0].(string)
		if !ok {
			c.t.Fatalf("pgdbmtest: Count: the condition is a %T; give SQL text, followed by its arguments", where[0])
			return 0
		}
		sql += " where (" + condition + "\n)"
		where = where[1:]
	}
	n, err := value[int](c, sql, where...)
	if err != nil {
		c.fail("Count", err)
	}
	return n
}

// TableExists reports whether there is a table (or view, or partitioned or
// foreign table) of that name.
func (c *checks) TableExists(table string) bool {
	c.t.Helper()
	exists, err := value[bool](c, "select exists (select from pg_class where oid = to_regclass('"+reference(table)+
		"') and relkind in ('r', 'p', 'v', 'm', 'f'))")
	if err != nil {
		c.fail("TableExists", err)
	}
	return exists
}

// Truncate removes all rows of the tables, and of those that reference them, and
// resets their sequences.
func (c *checks) Truncate(tables ...string) {
	c.t.Helper()
	if len(tables) == 0 {
		c.t.Fatalf("pgdbmtest: Truncate: name the tables")
		return
	}
	refs := make([]string, len(tables))
	for i, table := range tables {
		refs[i] = reference(table)
	}
	ctx, cancel := background()
	defer cancel()
	if _, err := c.db.Exec(ctx, "truncate "+strings.Join(refs, ", ")+" restart identity cascade"); err != nil {
		c.fail("Truncate", err)
	}
}

// fail ends the test because a helper could not do its work.
func (c *checks) fail(helper string, err error) {
	c.t.Helper()
	c.t.Fatalf("pgdbmtest: %s: %v%s", helper, err, c.advice(err))
}

// advice is what the error itself cannot know.
func (c *checks) advice(err error) string {
	modules := c.home.recipe.modules
	switch {
	case c.home.over.Load():
		return "; the test is over, and its database with it (a Cleanup function that uses it is registered after it was made)"
	case errors.Is(err, pgdbm.ErrUndefined) && c.db.Schema() == "" && len(modules) > 1:
		schema := schemaOf(modules[0])
		return fmt.Sprintf("; of several modules none is bound: add WithSchema(%q), or name the table %q", schema, schema+".…")
	default:
		return ""
	}
}

// reference returns the template for a table's name.
func reference(table string) string { return "{{tables." + table + "}}" }

// value returns the one value that a statement yields.
func value[T any](c *checks, sql string, args ...any) (T, error) {
	if c.home.over.Load() { // an adopted transaction would look at a connection that is another's now
		var none T
		return none, pgdbm.ErrUnavailable
	}
	ctx, cancel := background()
	defer cancel()
	return pgdbm.FetchValue[T](ctx, c.db, sql, args...)
}
