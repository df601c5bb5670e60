package migrations

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"
)

// tenantObserver passes events of workers on, one at a time. Of those about files
// only what is out of the ordinary: a fleet has too many files.
type tenantObserver struct {
	mu sync.Mutex
	to Observer
	id func(schema string) string
}

func (o *tenantObserver) Event(ctx context.Context, e Event) {
	switch e.Kind {
	case EventTenant, EventLockWait, EventRetry, EventIndexDropped, EventRunStarted, EventRunFinished:
	default:
		return
	}
	if e.Schema != "" {
		e.Tenant = o.id(e.Schema)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to.Event(ctx, e)
}

// progress counts the tenants that are through. Its owner locks.
type progress struct {
	log     *slog.Logger
	module  string
	started time.Time
	total   int
	done    int // failed ones included
	failed  int
}

// logEvery is how often the log says how far a run over tenants is.
const logEvery = 5 * time.Second

// rate is in tenants per second.
func (p *progress) rate() float64 {
	return float64(p.done) / max(time.Since(p.started).Seconds(), 0.001)
}

// show logs how far the run is.
func (p *progress) show(ctx context.Context) {
	rest := time.Duration(float64(p.total-p.done) / max(p.rate(), 0.001) * float64(time.Second))
	p.log.LogAttrs(ctx, slog.LevelInfo, "migrating tenants", slog.String("module", p.module),
		slog.Int("done", p.done), slog.Int("total", p.total), slog.Int("failed", p.failed),
		slog.Float64("per_second", math.Round(10*p.rate())/10), slog.Duration("remaining", rest.Round(time.Second)))
}
