package pgdbm

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Statement is what is remembered of one statement, batch or COPY. It never
// holds arguments.
type Statement struct {
	At         time.Time     // when it was sent
	Duration   time.Duration // until its last row was read
	Module     string        // as in [ModuleMetrics]
	Schema     string        // bound to the manager; "" for none
	SQL        string        // templates expanded, at most 4 KiB; of a batch see Statements
	Statements int           // 1; of a batch how many were answered, SQL being the one that failed or else the last
	Rows       int64         // returned or affected
	Error      string        // "", or the class as in [ModuleMetrics]
	SQLState   string        // of the error, where the server reported it
}

// maxHistorySQL bounds a statement's text in the history, in bytes.
const maxHistorySQL = 4 << 10

// history keeps the last statements. Writers meet only where they write the
// same slot.
type history struct {
	next  atomic.Uint64
	slots []historySlot
}

type historySlot struct {
	mu  sync.Mutex
	seq uint64 // 0: empty
	s   Statement
}

// newHistory returns a history of n statements, nil for none.
func newHistory(n int) *history {
	if n <= 0 {
		return nil
	}
	return &history{slots: make([]historySlot, n)}
}

func (h *history) add(s *Statement) {
	if h == nil {
		return
	}
	seq := h.next.Add(1)
	slot := &h.slots[seq%uint64(len(h.slots))]
	slot.mu.Lock()
	if seq > slot.seq { // not overtaken by a whole round
		slot.seq, slot.s = seq, *s
	}
	slot.mu.Unlock()
}

// list returns the statements, the latest first.
func (h *history) list() []Statement {
	if h == nil {
		return nil
	}
	type entry struct {
		seq uint64
		s   Statement
	}
	var all []entry
	for i := range h.slots {
		slot := &h.slots[i]
		slot.mu.Lock()
		if slot.seq > 0 {
			all = append(all, entry{slot.seq, slot.s})
		}
		slot.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b entry) int {
		if a.seq > b.seq {
			return -1
		}
		return 1
	})
	list := make([]Statement, len(all))
	for i, e := range all {
		list[i] = e.s
	}
	return list
}

// shorten keeps a long text from being held in memory by the history.
func shorten(sql string) string {
	if len(sql) <= maxHistorySQL {
		return sql
	}
	return strings.ToValidUTF8(strings.Clone(sql[:maxHistorySQL-len("…")]), "") + "…"
}
