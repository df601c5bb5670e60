package pgdbmtest

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Snapshot is what a table contained when [DB.Snapshot] was called.
type Snapshot struct {
	db      *DB
	table   string
	orderBy string
	rows    []string
}

// Snapshot notes the rows of a table. OrderBy is SQL, such as "id", for the order
// in which differences are shown; it may be empty.
func (db *DB) Snapshot(table, orderBy string) *Snapshot {
	db.t.Helper()
	s := &Snapshot{db: db, table: table, orderBy: orderBy}
	s.rows = s.read()
	return s
}

// RequireUnchanged ends the test if the table's rows are others than then, and
// shows which.
func (s *Snapshot) RequireUnchanged() {
	s.db.t.Helper()
	now := s.read()
	if changes := difference(s.rows, now); changes != "" {
		s.db.t.Fatalf("pgdbmtest: table %s has changed (- before, + now):\n%s", s.table, changes)
	}
}

// read returns the rows as text, in order.
func (s *Snapshot) read() []string {
	s.db.t.Helper()
	ctx, cancel := background(s.db.t)
	defer cancel()
	rows, err := pgdbm.FetchAll[string](ctx, s.db, "select to_json(r)::text from "+reference(s.table)+" r order by "+cmp.Or(s.orderBy, "1"))
	if err != nil {
		s.db.t.Fatalf("pgdbmtest: Snapshot: %v", err)
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
