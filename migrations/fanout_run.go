package migrations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/samber/lo"
)

// fanRun is one call of [Tenants.Up].
type fanRun struct {
	ts  *Tenants
	fan FanOut

	mu     sync.Mutex
	report *TenantReport
	queue  []*job // not begun yet
	later  []*job // put off
	why    error  // why the run ends early
	progress
}

// behind reports whether there is something to do for a tenant that was looked
// at, if only to report it.
func (r *fanRun) behind(j *job) bool {
	switch {
	case j.done():
		r.report.Current++
		return false
	case j.err == nil && !j.exists && !j.create:
		r.report.Missing = append(r.report.Missing, r.ts.id(j.Schema))
		return false
	default:
		return true
	}
}

// run migrates the tenants of the queue.
func (r *fanRun) run(ctx context.Context) {
	m := r.ts.m
	now := time.Now()
	r.progress = progress{log: m.log, module: r.ts.proto.Module, started: now, total: len(r.queue)}
	r.findings(ctx)
	m.log.LogAttrs(ctx, slog.LevelInfo, "migrating tenants", slog.String("module", r.module), slog.Int("total", r.total),
		slog.Int("current", r.report.Current), slog.Int("workers", r.fan.Workers))
	m.observe(ctx, Event{Kind: EventRunStarted, Module: r.module, Total: r.total})
	end := r.ticking(ctx)
	r.canaries(ctx)
	r.parallel(ctx, (*worker).migrate)
	r.putOff(ctx)
	end()
	r.report.Left = len(r.queue) + len(r.later)
	err := r.err(ctx)
	m.observe(ctx, Event{
		Kind: EventRunFinished, Module: r.module, Done: r.done, Failed: r.failed, Total: r.total, Rate: r.rate(),
		Duration: time.Since(now), Err: err,
	})
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
	}
	m.log.LogAttrs(ctx, level, "tenants migrated", slog.String("module", r.module), slog.Int("migrated", len(r.report.Migrated)),
		slog.Int("files", r.report.Files), slog.Int("failed", r.failed), slog.Int("left", r.report.Left), slog.Duration("dur", time.Since(now)))
}

// findings logs the warnings about the files that are going to run.
func (r *fanRun) findings(ctx context.Context) {
	files := map[string]bool{}
	for s := range lo.CountValuesBy(r.queue, func(j *job) *state { return j.state }) {
		if s == nil { // a new tenant
			s = r.ts.known(headOf(nil))
		}
		for _, name := range s.names {
			files[name] = true
		}
	}
	for _, f := range r.ts.proto.Source.Lint() {
		if files[f.File] {
			r.log.WarnContext(ctx, f.String(), "module", r.module)
		}
	}
}

// ticking logs the progress now and then, until it is ended.
func (r *fanRun) ticking(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		for sleep(ctx, logEvery) == nil {
			r.mu.Lock()
			r.show(ctx)
			r.mu.Unlock()
		}
	})
	return func() {
		cancel()
		wait.Wait()
	}
}

// canaries migrates the first tenants, one after the other.
func (r *fanRun) canaries(ctx context.Context) {
	if r.fan.Canary < 0 {
		return
	}
	w := r.worker()
	defer w.close(ctx)
	for len(r.report.Migrated) < r.fan.Canary { // nobody else is at work
		j := r.next(ctx)
		if j == nil {
			return
		}
		v, err := w.migrate(ctx, j)
		if v == deferred && err == nil {
			v, err = w.wait(ctx, j)
		}
		r.settle(ctx, j, v, err)
		if len(r.report.Failed) > 0 {
			r.end(errors.New("a canary failed, and the others were not touched"))
		}
	}
}

// parallel has the workers empty the queue.
func (r *fanRun) parallel(ctx context.Context, work func(*worker, context.Context, *job) (verdict, error)) {
	var wait sync.WaitGroup
	for range min(r.fan.Workers, len(r.queue)) {
		wait.Go(func() {
			w := r.worker()
			defer w.close(ctx)
			for j := r.next(ctx); j != nil; j = r.next(ctx) {
				v, err := work(w, ctx, j)
				r.settle(ctx, j, v, err)
			}
		})
	}
	wait.Wait()
}

// putOff migrates the tenants that others were working on, unless those have done
// it in the meantime. A tenant that is held by its own sessions is tried again as
// [Config] says.
func (r *fanRun) putOff(ctx context.Context) {
	if len(r.later) == 0 || r.why != nil || ctx.Err() != nil {
		return
	}
	if err := r.ts.look(ctx, r.later); err != nil {
		r.end(err)
		return
	}
	r.queue, r.later = r.later, nil
	r.parallel(ctx, (*worker).wait)
}

func (r *fanRun) worker() *worker { return &worker{ts: r.ts, recycle: r.fan.RecycleEvery} }

// next takes a tenant out of the queue; nil when there is none, or the run ends.
func (r *fanRun) next(ctx context.Context) *job {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 || r.why != nil || ctx.Err() != nil {
		return nil
	}
	j := r.queue[0]
	r.queue = r.queue[1:]
	j.began = time.Now()
	return j
}

// end lets no tenant be begun any more.
func (r *fanRun) end(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.why == nil {
		r.why = why
	}
}

// settle notes what became of a tenant.
func (r *fanRun) settle(ctx context.Context, j *job, v verdict, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v == deferred && err == nil {
		r.later = append(r.later, j)
		return
	}
	r.report.Files += j.files
	id := r.ts.id(j.Schema)
	_, unable := errors.AsType[connectError](err)
	switch {
	case err != nil && (ctx.Err() != nil || unable):
		r.later = append(r.later, j)
		if r.why == nil && ctx.Err() == nil {
			r.why = err
		}
		return
	case err != nil:
		r.fail(ctx, j, err)
	case v == gone:
		r.report.Missing = append(r.report.Missing, id)
	case v == current:
		r.report.Current++
	default:
		r.report.Migrated = append(r.report.Migrated, id)
	}
	r.done++
	r.ts.m.observe(ctx, Event{
		Kind: EventTenant, Module: r.module, Schema: j.Schema, Done: r.done, Failed: r.failed, Total: r.total,
		Rate: r.rate(), Duration: time.Since(j.began), Err: err,
	})
}

// fail notes the failure of a tenant. Its caller locks.
func (r *fanRun) fail(ctx context.Context, j *job, err error) {
	s := r.ts.status(j)
	s.State, s.Err = TenantFailed, j.fail(err)
	r.report.Failed = append(r.report.Failed, s)
	r.failed++
	if r.failed <= maxShownFailures {
		r.log.WarnContext(ctx, "tenant migration failed", "module", r.module, "schema", j.Schema, "error", err.Error())
	}
	if r.why == nil && r.failed == r.fan.MaxFailures {
		r.why = fmt.Errorf("ended after %d failures, as MaxFailures says", r.failed)
	}
}

// err is what Up returns, nil when all is well.
func (r *fanRun) err(ctx context.Context) error {
	why := r.why
	if ctx.Err() != nil && r.report.Left > 0 {
		why = ctx.Err()
	}
	if why == nil && len(r.report.Failed) == 0 {
		return nil
	}
	return &tenantsError{module: r.ts.proto.Module, total: r.report.Tenants, why: why, failed: r.report.Failed}
}
