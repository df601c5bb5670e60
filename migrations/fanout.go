package migrations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/samber/lo"
)

// FanOut says how [Tenants.Up] goes about it. The zero value is useful.
type FanOut struct {
	// Only are the ids of the tenants to bring up to date, in this order. Nil means
	// all that exist, in the order of their schemas; an empty list means none.
	Only []string

	// Create creates those of Only that do not exist. Without it they are missing
	// in the report: a tenant that was dropped must not come back.
	Create bool

	// Workers is how many tenants are migrated at the same time, each on a
	// connection outside the pool. Default 4.
	Workers int

	// Canary is how many tenants are migrated before the others, one after the
	// other: when one of them fails, the run ends. Default 1; negative means none.
	Canary int

	// MaxFailures ends the run when so many tenants have failed; those that have
	// been begun are finished. Default 0: any number may fail.
	MaxFailures int

	// RecycleEvery is how many tenants a connection serves before it is exchanged
	// for a new one: a backend keeps what it has learned of every table, up to 12 KB,
	// and gives nothing back. Default 500; negative means any number. Behind a
	// transaction pooler it is the pooler that must exchange its connections.
	RecycleEvery int
}

func (f FanOut) validate() error {
	var errs []error
	for _, n := range []struct {
		name string
		n    int
	}{{"Workers", f.Workers}, {"MaxFailures", f.MaxFailures}} {
		if n.n < 0 {
			errs = append(errs, fmt.Errorf("migrations: FanOut: %s must not be negative", n.name))
		}
	}
	if f.Create && f.Only == nil {
		errs = append(errs, errors.New("migrations: FanOut: Create needs Only: the ids of the tenants to create"))
	}
	return errors.Join(errs...)
}

func (f FanOut) withDefaults() FanOut {
	if f.Workers == 0 {
		f.Workers = 4
	}
	if f.Canary == 0 {
		f.Canary = 1
	}
	if f.RecycleEvery == 0 {
		f.RecycleEvery = 500
	}
	return f
}

// Up brings tenants up to date: first the canaries, then the others in parallel,
// each file of each tenant in a transaction of its own.
//
// A tenant that fails is reported, and the others go on. One whose schema is
// dropped in the meantime is skipped. A tenant that somebody else works on is put
// off to the end and then waited for. When nothing is pending, Up costs one query
// for any number of tenants, or two when they are newer than the files; otherwise
// only the tenants that are behind are touched.
//
// The report is never nil. The error joins why the run ended early and what the
// tenants failed with; errors.As finds the first [*MigrationError]. When ctx ends,
// what is open is rolled back; the next run goes on where this one ended.
func (ts *Tenants) Up(ctx context.Context, fan FanOut) (*TenantReport, error) {
	started := time.Now()
	r := &fanRun{ts: ts, fan: fan.withDefaults(), report: &TenantReport{}}
	defer func() { r.report.Duration = time.Since(started) }()
	if err := fan.validate(); err != nil {
		return r.report, err
	}
	jobs, err := ts.listed(ctx, fan)
	if err != nil {
		return r.report, err
	}
	r.report.Tenants, r.report.Warnings = len(jobs), warnings(jobs)
	for _, w := range r.report.Warnings {
		ts.m.log.WarnContext(ctx, w)
	}
	r.queue = lo.Filter(jobs, func(j *job, _ int) bool { return r.behind(j) })
	if len(r.queue) > 0 {
		r.run(ctx)
	}
	return r.report, r.err(ctx)
}

// listed returns the tenants that a run is about, looked at.
func (ts *Tenants) listed(ctx context.Context, fan FanOut) ([]*job, error) {
	if fan.Only == nil {
		return ts.discover(ctx)
	}
	var (
		jobs []*job
		errs []error
	)
	for _, id := range lo.Uniq(fan.Only) {
		schema, err := ts.Schema(id)
		errs = append(errs, err)
		jobs = append(jobs, &job{target: ts.at(schema), create: fan.Create})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	err := ts.look(ctx, jobs)
	for _, j := range jobs {
		j.create = j.create && !j.exists // one that is dropped from now on stays away
	}
	return jobs, err
}
