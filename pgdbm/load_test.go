package pgdbm_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// load are writers that go on whatever happens to the server. What was
// acknowledged is remembered: it must be there afterwards.
type load struct {
	m       *pgdbm.Manager
	timeout time.Duration // of each write
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	next    atomic.Int64

	mu        sync.Mutex
	acked     []int64
	successes []span
	failures  map[string]int // by class
	unknown   []error        // of no class that is expected
}

type span struct{ begin, end time.Time }

var classes = []struct {
	name  string
	class error
}{
	{"ErrCommitUnknown", pgdbm.ErrCommitUnknown},
	{"ErrUnavailable", pgdbm.ErrUnavailable},
	{"ErrTimeout", pgdbm.ErrTimeout},
	{"ErrReadOnly", pgdbm.ErrReadOnly},
}

// writes makes the table that a load writes to.
func writes(t testing.TB, m *pgdbm.Manager) {
	t.Helper()
	exec(t, m, "create table if not exists {{tables.writes}} (id bigint primary key)")
}

var loads atomic.Int64 // so that no two loads write the same

// startLoad starts n writers: half of them write a statement at a time, half in
// transactions.
func startLoad(t testing.TB, m *pgdbm.Manager, n int, timeout time.Duration) *load {
	t.Helper()
	l := &load{m: m, timeout: timeout, failures: map[string]int{}}
	l.next.Store(loads.Add(1) << 32)
	ctx, cancel := context.WithCancel(t.Context())
	l.cancel = cancel
	for i := range n {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				if !l.write(ctx, i%2 == 0) {
					wait(t, 50*time.Millisecond) // as callers do that have failed
				}
			}
		})
	}
	testkit.Eventually(t, "nothing is written", func() bool { return l.successesAfter(time.Time{}) > 50 })
	return l
}

// write reports whether a write was acknowledged.
func (l *load) write(ctx context.Context, single bool) bool {
	bounded, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	id, begin := l.next.Add(1), time.Now()
	var err error
	if single {
		_, err = l.m.Exec(bounded, "insert into {{tables.writes}} values ($1)", id)
	} else {
		err = l.m.InTx(bounded, func(tx *pgdbm.Tx) error {
			_, err := tx.Exec(bounded, "insert into {{tables.writes}} values ($1)", id)
			return err
		})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.acked = append(l.acked, id)
		l.successes = append(l.successes, span{begin, time.Now()})
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	for _, c := range classes {
		if errors.Is(err, c.class) {
			l.failures[c.name]++
			return false
		}
	}
	l.unknown = append(l.unknown, err)
	return false
}

// successesAfter counts the writes that began after a moment.
func (l *load) successesAfter(at time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, s := range l.successes {
		if s.begin.After(at) {
			n++
		}
	}
	return n
}

// pause returns the longest time without a success that did not end before a
// moment.
func (l *load) pause(at time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	ends := make([]time.Time, len(l.successes))
	for i, s := range l.successes {
		ends[i] = s.end
	}
	slices.SortFunc(ends, time.Time.Compare)
	longest := time.Duration(0)
	for i := 1; i < len(ends); i++ {
		if ends[i].After(at) {
			longest = max(longest, ends[i].Sub(ends[i-1]))
		}
	}
	return longest
}

// firstAfter returns the time from a moment to the first success after it.
func (l *load) firstAfter(at time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	best := time.Duration(-1)
	for _, s := range l.successes {
		if d := s.end.Sub(at); d > 0 && (best < 0 || d < best) {
			best = d
		}
	}
	return best
}

// recovered waits until the writers have been writing again for a while.
func (l *load) recovered(t testing.TB, since time.Time) {
	t.Helper()
	testkit.Eventually(t, "writes do not recover", func() bool { return l.successesAfter(since) > 100 })
}

// stop ends the load and returns how many writes were acknowledged and how many
// of those are not in the database.
func (l *load) stop(t testing.TB) (acked, lost int) {
	t.Helper()
	l.cancel()
	l.wg.Wait()
	for _, err := range l.unknown {
		t.Errorf("an error of no expected class: %v", err)
	}
	stored, err := pgdbm.FetchAll[int64](t.Context(), l.m, "select id from {{tables.writes}} where id = any($1)", l.acked)
	testkit.NoError(t, err)
	return len(l.acked), len(l.acked) - len(stored)
}

// seen renders the errors that callers saw.
func (l *load) seen() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(l.failures)) {
		parts = append(parts, fmt.Sprintf("%d × `%s`", l.failures[name], name))
	}
	return strings.Join(parts, ", ")
}

// severed are the classes of errors that callers see whose connections are lost.
var severed = []string{"ErrUnavailable", "ErrCommitUnknown"}

// report prints a row of the table in docs/operations.md, and ends the load.
// Callers may have seen errors of the expected classes alone.
func (l *load) report(t testing.TB, fault string, at time.Time, more string, expected ...string) {
	t.Helper()
	acked, lost := l.stop(t)
	t.Logf("| %s | %s | %s%s | %d of %d |", fault, l.seen(), l.pause(at).Round(time.Millisecond), more, lost, acked)
	if lost > 0 {
		t.Errorf("%s: %d acknowledged writes are lost", fault, lost)
	}
	for class := range l.failures {
		if !slices.Contains(expected, class) {
			t.Errorf("%s: callers saw %s, and not only %v", fault, l.seen(), expected)
		}
	}
}
