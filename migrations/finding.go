package migrations

import (
	"fmt"
	"slices"
	"strings"

	"github.com/samber/lo"
)

// Severity says what a [Finding] does.
type Severity uint8

// The severities.
const (
	Off     Severity = iota + 1 // the rule is not checked
	Warning                     // reported by [Source.Lint], in plans and in the log
	Error                       // [Load] fails
)

// String returns "off", "warning" or "error".
func (s Severity) String() string {
	switch s {
	case Off:
		return "off"
	case Warning:
		return "warning"
	case Error:
		return "error"
	default:
		return fmt.Sprintf("Severity(%d)", uint8(s))
	}
}

// Finding is something that a file does wrong, or may come to regret.
type Finding struct {
	Position
	Rule     string // such as "tx-control"; see [Rules]
	Severity Severity
	Message  string // what is wrong
	Hint     string // what to write instead; may be empty
	Excerpt  string // the line, with a caret below the place; may be empty
	Err      error  // the sentinel that belongs to the rule, such as [ErrTxControl]; may be nil
}

// String returns the finding in one line: position, message, rule and hint.
func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s (%s)", f.Position, f.Message, f.Rule)
	if f.Hint != "" {
		s += "; " + f.Hint
	}
	return s
}

// LoadError is everything that is wrong with a folder of migrations.
// errors.Is reaches the sentinels of all findings.
type LoadError struct {
	Findings []Finding // in the order of the files, at least one
}

// Error lists all findings with the lines they are about.
func (e *LoadError) Error() string {
	var b strings.Builder
	b.WriteString("migrations: ")
	if n := len(e.Findings); n > 1 {
		fmt.Fprintf(&b, "%d problems\n", n)
	}
	for i, f := range e.Findings {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.String())
		if f.Excerpt != "" {
			b.WriteString("\n" + f.Excerpt)
		}
	}
	return b.String()
}

// Unwrap returns the sentinels of the findings.
func (e *LoadError) Unwrap() []error {
	return lo.FilterMap(e.Findings, func(f Finding, _ int) (error, bool) { return f.Err, f.Err != nil })
}

func sortFindings(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if c := a.Line - b.Line; c != 0 {
			return c
		}
		return a.Column - b.Column
	})
}
