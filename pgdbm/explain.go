package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// Plan is how the server runs a statement.
type Plan struct {
	Text string // as EXPLAIN prints it; it may show arguments

	Cost          float64 // estimated, of the whole statement, in the planner's units
	EstimatedRows float64

	// Of [ExplainAnalyze] alone.
	Rows          float64 // of the topmost node; 0 for a write without RETURNING
	PlanningTime  time.Duration
	ExecutionTime time.Duration
}

// Explain returns the plan of a statement without running it.
func Explain(ctx context.Context, db DB, sql string, args ...any) (Plan, error) {
	return explain(ctx, db, "explain (settings) ", sql, args)
}

// ExplainAnalyze runs a statement and returns its plan with what it really took:
// rows, time, buffers, WAL. It does so in a transaction, or a savepoint of db's,
// that is always rolled back, so a write changes nothing. What a rollback does not
// undo remains: values taken from sequences, session locks, what a function did
// outside of the database. Locks on rows are held until then.
func ExplainAnalyze(ctx context.Context, db DB, sql string, args ...any) (Plan, error) {
	var plan Plan
	err := db.InTx(ctx, func(tx *Tx) error {
		var err error
		if plan, err = explain(ctx, tx, "explain (analyze, buffers, wal, settings) ", sql, args); err != nil {
			return err
		}
		return errUndo
	})
	if errors.Is(err, errUndo) {
		return plan, nil
	}
	return Plan{}, err
}

var errUndo = errors.New("rolled back on purpose")

func explain(ctx context.Context, db DB, how, sql string, args []any) (Plan, error) {
	// The simple protocol would run a second statement, such as a COMMIT.
	if stmts, err := sqllex.Split(sql); err != nil || len(stmts) != 1 {
		return Plan{}, errors.Join(fmt.Errorf("pgdbm: explain needs one statement, not %d", len(stmts)), err)
	}
	lines, err := FetchAll[string](ctx, db, how+sql, args...)
	if err != nil {
		return Plan{}, err
	}
	return parsePlan(strings.Join(lines, "\n")), nil
}

var (
	planCost = regexp.MustCompile(`\(cost=[\d.]+\.\.([\d.]+) rows=(\d+) `)
	planRows = regexp.MustCompile(`\(actual (?:time=\S+ )?rows=([\d.]+) loops=(\d+)\)`)
	planTime = regexp.MustCompile(`(?m)^(Planning|Execution) Time: ([\d.]+) ms$`)
)

// parsePlan reads the numbers of the topmost node and of the whole.
func parsePlan(text string) Plan {
	p := Plan{Text: text}
	number := func(s string) float64 {
		f, _ := strconv.ParseFloat(s, 64) // the expressions let only numbers pass
		return f
	}
	top, _, _ := strings.Cut(text, "\n")
	if m := planCost.FindStringSubmatch(top); m != nil {
		p.Cost, p.EstimatedRows = number(m[1]), number(m[2])
	}
	if m := planRows.FindStringSubmatch(top); m != nil {
		p.Rows = number(m[1]) * number(m[2])
	}
	for _, m := range planTime.FindAllStringSubmatch(text, -1) {
		d := time.Duration(number(m[2]) * float64(time.Millisecond))
		if m[1] == "Planning" {
			p.PlanningTime = d
		} else {
			p.ExecutionTime = d
		}
	}
	return p
}
