package migrations

import (
	"fmt"
	"strings"
	"time"
)

// Report is what a run did. It is returned with an error, too: what it lists is
// done and stays.
type Report struct {
	Applied  []Applied // in the order of application; empty when there was nothing to do
	Warnings []string  // such as migrations of a newer version of the program
	Duration time.Duration
}

// Applied is a migration that a run applied, reverted or baselined.
type Applied struct {
	Module     string
	Schema     string
	File       string
	Key        string
	Version    int64 // 0 when repeatable
	Kind       Kind
	Statements int
	Resumed    int // statements that an earlier run had executed
	Attempts   int
	OutOfOrder bool
	Duration   time.Duration
}

// String lists the applied files, one a line.
func (r *Report) String() string {
	if len(r.Applied) == 0 {
		return fmt.Sprintf("nothing to do (%s)", r.Duration.Round(time.Millisecond))
	}
	var b strings.Builder
	for _, a := range r.Applied {
		fmt.Fprintf(&b, "%s@%s %s (%s)\n", a.Module, a.Schema, a.File, a.Duration.Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "%d applied (%s)", len(r.Applied), r.Duration.Round(time.Millisecond))
	return b.String()
}
