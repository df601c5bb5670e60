package pgdbmtest

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Snapshot is what a table contained when Snapshot of a [DB] or [Tx] was called.
type Snapshot struct {
	checks  *checks
	table   string
	orderBy string
	rows    []string
}

// Snapshot notes the rows of a table. OrderBy is SQL, such as "id", for the order
// in which differences are shown; it may be empty.
func (c *checks) Snapshot(table, orderBy string) *Snapshot {
	c.t.Helper()
	s := &Snapshot{checks: c, table: table, orderBy: orderBy}
	s.rows = s.read()
	return s
}

// RequireUnchanged ends the test if the table's rows are others than then, and
// shows which.
func (s *Snapshot) RequireUnchanged() {
	s.checks.t.Helper()
	now := s.read()
	if changes := difference(s.rows, now); changes != "" {
		s.checks.t.Fatalf("pgdbmtest: table %s has changed (- before, + now):\n%s", s.table, changes)
	}
}

// read returns the rows as text, in order.
func (s *Snapshot) read() []string {
	s.checks.t.Helper()
	ctx, cancel := background()
	defer cancel()
	sql := "select to_json(r.*)::text from " + reference(s.table) + " r order by " + cmp.Or(s.orderBy, "1") // r alone may be a column
	rows, err := pgdbm.FetchAll[string](ctx, s.checks.db, sql)
	if err != nil {
		s.checks.fail("Snapshot", err)
	}
	return rows
}

// maxDifferences bounds what a message shows.
const maxDifferences = 20

// difference lists the rows that only one side has, "" if there are none.
func difference(before, now []string) string {
	surplus := map[string]int{}
	for _, row := range now {
		surplus[row]++
	}
	var lines []string
	for _, row := range before {
		if surplus[row] == 0 {
			lines = append(lines, "  - "+row)
		} else {
			surplus[row]--
		}
	}
	for _, row := range now {
		if surplus[row] > 0 {
			surplus[row]--
			lines = append(lines, "  + "+row)
		}
	}
	if n := len(lines); n > maxDifferences {
		lines = append(lines[:maxDifferences], fmt.Sprintf("  and %d more", n-maxDifferences))
	}
	return strings.Join(lines, "\n")
}
