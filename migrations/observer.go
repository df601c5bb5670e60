package migrations

import (
	"context"
	"time"
)

// Observer is told what a run does, for progress bars and metrics. Calls come
// one at a time and should return at once: the run waits.
type Observer interface {
	Event(ctx context.Context, e Event)
}

// EventKind says what an [Event] reports.
type EventKind string

// The kinds of events.
const (
	EventRunStarted   EventKind = "run started"   // Total: files that are pending, as seen without the lock
	EventRunFinished  EventKind = "run finished"  // Done, Total, Duration, Err
	EventLockWait     EventKind = "lock wait"     // another run has the schema: Sessions, Duration so far
	EventFileStarted  EventKind = "file started"  // Attempt from 1
	EventStatement    EventKind = "statement"     // Statement of Statements has been executed
	EventIndexDropped EventKind = "index dropped" // an invalid index of an earlier failure; it is built again
	EventRetry        EventKind = "retry"         // the file starts over after Attempt: Err, Sessions
	EventFileApplied  EventKind = "file applied"  // Done of Total, Duration
	EventFileSkipped  EventKind = "file skipped"  // another run has applied it in the meantime
	EventFileFailed   EventKind = "file failed"   // Err
	EventFileReverted EventKind = "file reverted" // by Migrator.Down
	EventTenant       EventKind = "tenant"        // of Tenants.Up, when one is through: Done, Failed and Rate of Total tenants, Duration, Err
)

// Event is something that happened in a run. Fields that do not apply are zero.
type Event struct {
	Kind       EventKind
	Module     string
	Schema     string
	Tenant     string // the id, of events of Tenants
	File       string
	Statement  int // number of the statement in the file, from 1
	Statements int // in the file
	Attempt    int
	Done       int     // files applied so far in this run; of Tenants.Up the tenants that are through, failed ones included
	Total      int     // files to apply in this run, or tenants that have something to do
	Failed     int     // tenants that have failed so far
	Rate       float64 // tenants per second
	Duration   time.Duration
	Sessions   []Session // who is waited for
	Err        error
	Phase      string // of an index; Done and Total then count the phase's blocks, tuples, or transactions to wait for
}

// Session is a session of the server that somebody waits for.
type Session struct {
	PID         int32
	Application string        // its application_name
	User        string        // empty when our role may not see it
	State       string        // such as "active" or "idle in transaction"
	Age         time.Duration // of its transaction, else of its state
}

func (m *Migrator) observe(ctx context.Context, e Event) {
	if m.cfg.Observer != nil {
		m.observing.Lock() // the watch reports from a goroutine of its own
		defer m.observing.Unlock()
		m.cfg.Observer.Event(ctx, e)
	}
}
