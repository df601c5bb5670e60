package pgdbm

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Metrics is a snapshot of what a pool has counted since it was made.
type Metrics struct {
	Since                  time.Time       // when counting began
	Pool                   *pgxpool.Stat   // connections, and waits for them
	MaxSchemasDestroyCount int64           // connections that were closed for [Config.MaxSchemasPerConn]
	Modules                []ModuleMetrics // in the order of their names

	// The last [Config.History] statements, and the last as many that failed or
	// took [Config.SlowQuery] or longer; the latest first.
	Recent  []Statement
	Notable []Statement
}

// ModuleMetrics is what the statements of one module did. BEGIN, COMMIT and
// savepoints are statements too.
type ModuleMetrics struct {
	// Module is the module's name; for managers that belong to none their schema.
	// "(none)" is what did not come through a bound manager, such as [Pool.Pgx],
	// and "(other)" what came after the first 256 names.
	Module string

	Statements int64 // answered: each of a batch, and each COPY
	InFlight   int64 // calls whose statement, batch or COPY has not ended yet: each holds a connection
	Rows       int64 // returned or affected

	// Errors by class: conflict, reference, invalid, retryable, locked, timeout,
	// unavailable, read_only, permission, undefined, commit_unknown, canceled and
	// other, all of them present. A call that got no connection counts, rows that
	// were not found do not.
	Errors map[string]int64

	// Duration is how long each call took from sending its statement, batch or
	// COPY until its last row was read.
	Duration Histogram

	Committed  int64 // transactions, not savepoints
	RolledBack int64
	Retried    int64 // attempts that [TxOptions.Attempts] repeated
}

// Metrics returns what the pool has counted. It asks the database nothing.
//
// Nothing is counted with [Config.NoMetrics], nor on a borrowed pool that was made
// without [NewTracer]: Modules is empty then.
func (p *Pool) Metrics() Metrics {
	m := Metrics{Pool: p.pgx.Stat(), MaxSchemasDestroyCount: p.retired.Load()}
	if p.monitor == nil {
		return m
	}
	m.Since = p.monitor.since
	m.Modules = p.monitor.modules.snapshot()
	m.Recent, m.Notable = p.monitor.recent.list(), p.monitor.notable.list()
	return m
}

// Classes of errors, as they are counted.
const (
	classCanceled = iota
	classOther
)

var errorClasses = [...]struct {
	class error
	name  string
}{
	{nil, "canceled"},
	{nil, "other"},
	{ErrConflict, "conflict"},
	{ErrReference, "reference"},
	{ErrInvalid, "invalid"},
	{ErrRetryable, "retryable"},
	{ErrLocked, "locked"},
	{ErrTimeout, "timeout"},
	{ErrUnavailable, "unavailable"},
	{ErrReadOnly, "read_only"},
	{ErrPermission, "permission"},
	{ErrUndefined, "undefined"},
	{ErrCommitUnknown, "commit_unknown"},
}

// classIndex returns the place of err, which is not nil, in errorClasses.
func classIndex(err error) int {
	classified, _ := errors.AsType[*Error](Classify(err))
	if classified != nil && classified.Class != nil {
		for i, c := range errorClasses {
			if c.class != nil && errors.Is(classified.Class, c.class) {
				return i
			}
		}
	}
	if errors.Is(err, context.Canceled) {
		return classCanceled
	}
	return classOther
}

// counters are the running [ModuleMetrics] of one name; safe for concurrent use.
type counters struct {
	name                            string
	statements, inFlight, rows      atomic.Int64
	errors                          [len(errorClasses)]atomic.Int64
	duration                        durations
	committed, rolledBack, repeated atomic.Int64
}

func (c *counters) snapshot() ModuleMetrics {
	m := ModuleMetrics{
		Module:     c.name,
		Statements: c.statements.Load(),
		InFlight:   c.inFlight.Load(),
		Rows:       c.rows.Load(),
		Errors:     make(map[string]int64, len(errorClasses)),
		Duration:   c.duration.snapshot(),
		Committed:  c.committed.Load(),
		RolledBack: c.rolledBack.Load(),
		Retried:    c.repeated.Load(),
	}
	for i := range c.errors {
		m.Errors[errorClasses[i].name] = c.errors[i].Load()
	}
	return m
}

// maxCounted bounds the names that are counted apart: a fleet of tenants must not
// become a fleet of time series.
const maxCounted = 256

// moduleTable has the counters of every name.
type moduleTable struct {
	mu     sync.Mutex
	byName map[string]*counters
	other  *counters
}

func newModuleTable() *moduleTable { return &moduleTable{byName: map[string]*counters{}} }

// of returns the counters of a binding.
func (t *moduleTable) of(b *Binding) *counters {
	name := cmp.Or(b.Module, b.Schema, "(none)")
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.byName[name]
	if ok {
		return c
	}
	if len(t.byName) >= maxCounted {
		if t.other == nil {
			t.other = &counters{name: "(other)"}
		}
		return t.other
	}
	c = &counters{name: name}
	t.byName[name] = c
	return c
}

func (t *moduleTable) snapshot() []ModuleMetrics {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]ModuleMetrics, 0, len(t.byName)+1)
	for _, c := range t.byName {
		all = append(all, c.snapshot())
	}
	if t.other != nil {
		all = append(all, t.other.snapshot())
	}
	slices.SortFunc(all, func(a, b ModuleMetrics) int { return strings.Compare(a.Module, b.Module) })
	return all
}
