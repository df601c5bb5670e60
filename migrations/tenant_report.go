package migrations

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// TenantReport is what [Tenants.Up] did. It is returned with an error, too: what
// it lists is done and stays.
type TenantReport struct {
	Tenants  int            // looked at
	Current  int            // had nothing to do, or another run was faster
	Migrated []string       // ids of those that are up to date now, in the order in which they became so
	Files    int            // applied
	Failed   []TenantStatus // with Err
	Missing  []string       // ids without a schema: never created, or dropped in the meantime
	Left     int            // not tried, or interrupted: the run ended before
	Warnings []string       // such as migrations of a newer version of the program
	Duration time.Duration
}

// String says in a line what was done; a line follows for each of the first ten
// failures.
func (r *TenantReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d tenants: %d migrated (%d files), %d current, %d failed", r.Tenants, len(r.Migrated), r.Files, r.Current, len(r.Failed))
	if n := len(r.Missing); n > 0 {
		fmt.Fprintf(&b, ", %d missing", n)
	}
	if r.Left > 0 {
		fmt.Fprintf(&b, ", %d not tried", r.Left)
	}
	fmt.Fprintf(&b, " (%s)", r.Duration.Round(time.Millisecond))
	for i, f := range r.Failed {
		if i == maxShownFailures {
			fmt.Fprintf(&b, "\nand %d more", len(r.Failed)-i)
			break
		}
		b.WriteString("\n" + firstLine(f.Err))
	}
	return b.String()
}

// maxShownFailures bounds what messages and the log tell of a fleet.
const maxShownFailures = 10

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// tenantsError is the error of a run over tenants.
type tenantsError struct {
	module string
	total  int
	why    error // why the run ended early; nil when it did not
	failed []TenantStatus
}

func (e *tenantsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "migrations: tenants of %s: ", e.module)
	if e.why != nil {
		b.WriteString(reason(e.why))
	}
	if n := len(e.failed); n > 0 {
		if e.why != nil {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%d of %d failed", n, e.total)
		for i, f := range e.failed {
			if i == maxShownFailures {
				fmt.Fprintf(&b, "\nand %d more; the report lists them", n-i)
				break
			}
			b.WriteString("\n" + reason(errors.New(firstLine(f.Err))))
		}
	}
	return b.String()
}

// Unwrap returns why the run ended, and the failures.
func (e *tenantsError) Unwrap() []error {
	var errs []error
	if e.why != nil {
		errs = append(errs, e.why)
	}
	for _, f := range e.failed {
		errs = append(errs, f.Err)
	}
	return errs
}
