package migrations

import (
	"context"
	"fmt"

	"github.com/samber/lo"
)

// TenantState says how a tenant stands.
type TenantState string

// The states of tenants.
const (
	TenantCurrent TenantState = "current" // nothing is pending, and nothing wrong
	TenantBehind  TenantState = "behind"  // files are pending
	TenantAhead   TenantState = "ahead"   // nothing is pending, and a newer version of the program has applied more
	TenantFailed  TenantState = "failed"  // a no-transaction file did not finish, or Err keeps files from being applied
)

// TenantStatus is the state of one tenant.
type TenantStatus struct {
	Tenant  string // its id
	Schema  string
	State   TenantState
	Version int64    // the highest that is applied; 0: none
	Applied int      // migrations recorded as applied
	Pending []string // files, in the order in which they would run; tenants share the slice
	Err     error    // drift, unknown rows, order violations; in a report what made it fail
}

// Status returns the state of every tenant that exists, ordered by schema. It
// costs one query for any number of tenants, and a second one where they have
// something applied that the files do not explain; it reads only and takes no lock.
//
// A tenant whose transactional file failed is behind: the failure has left
// nothing, and is in the report of the run.
func (ts *Tenants) Status(ctx context.Context) ([]TenantStatus, error) {
	jobs, err := ts.discover(ctx)
	if err != nil {
		return nil, err
	}
	return lo.Map(jobs, func(j *job, _ int) TenantStatus { return ts.status(j) }), nil
}

// status says how a tenant stands that was looked at.
func (ts *Tenants) status(j *job) TenantStatus {
	s := TenantStatus{Tenant: ts.id(j.Schema), Schema: j.Schema, State: TenantFailed, Err: j.err}
	if j.state == nil {
		return s
	}
	s.Version, s.Applied, s.Pending = j.state.head, j.state.applied, j.state.names
	switch {
	case j.err != nil || j.failed != "" || len(j.state.failed) > 0:
	case len(s.Pending) > 0:
		s.State = TenantBehind
	case len(j.state.newer) > 0:
		s.State = TenantAhead
	default:
		s.State = TenantCurrent
	}
	return s
}

// warnings describes what is tolerated of tenants, once for those that are alike.
func warnings(jobs []*job) []string {
	var out []string
	alike := lo.CountValuesBy(jobs, func(j *job) *state { return j.state })
	for _, j := range jobs {
		n, found := alike[j.state]
		if j.state == nil || !found {
			continue
		}
		delete(alike, j.state)
		for _, w := range j.state.warnings(j.target) {
			if n > 1 {
				w += fmt.Sprintf(" (and %d other tenants)", n-1)
			}
			out = append(out, w)
		}
	}
	return out
}
