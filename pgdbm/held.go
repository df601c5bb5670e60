package pgdbm

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// holders knows who holds the connections of a pool, so that a pool that has
// none left, or cannot be closed, can name them. It is a tracer, and so sees
// every use of a connection. It allocates once for a connection.
type holders struct {
	began time.Time // times are counted from here: that reads one clock, not two
	mu    sync.Mutex
	first *holder // a list of those in use
}

// holder is a connection in use.
type holder struct {
	in         *holders
	next, prev *holder
	since      time.Duration

	mu    sync.Mutex
	sql   string         // its last statement
	table pgx.Identifier // or the table that it was copied to
}

const holderKey = "pgdbm.holder"

func holderOf(conn *pgx.Conn) *holder {
	h, _ := conn.PgConn().CustomData()[holderKey].(*holder)
	return h
}

func (hs *holders) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	return ctx
}

func (hs *holders) TraceAcquireEnd(_ context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	if data.Conn == nil {
		return
	}
	h := holderOf(data.Conn)
	if h == nil {
		h = &holder{in: hs}
		data.Conn.PgConn().CustomData()[holderKey] = h
	}
	h.ran("", nil)
	now := time.Since(hs.began)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h.since, h.next, h.prev = now, hs.first, nil
	if hs.first != nil {
		hs.first.prev = h
	}
	hs.first = h
}

func (hs *holders) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	holderOf(data.Conn).gone()
}

// gone notes that the connection is not in use any more, or not the pool's.
func (h *holder) gone() {
	if h == nil {
		return
	}
	hs := h.in
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h.prev != nil {
		h.prev.next = h.next
	} else if hs.first == h {
		hs.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.next, h.prev = nil, nil
}

func (hs *holders) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	holderOf(conn).ran(data.SQL, nil)
	return ctx
}

func (hs *holders) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (hs *holders) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if queued := data.Batch.QueuedQueries; len(queued) > 0 {
		holderOf(conn).ran(queued[len(queued)-1].SQL, nil)
	}
	return ctx
}

func (hs *holders) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (hs *holders) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (hs *holders) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	holderOf(conn).ran("", data.TableName)
	return ctx
}

func (hs *holders) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}

// ran notes a statement. A connection that is being set up is nobody's yet.
func (h *holder) ran(sql string, table pgx.Identifier) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sql, h.table = sql, table
}

// held is a connection in use, at a certain time.
type held struct {
	age  time.Duration
	last string // its last statement, "" for none
}

// list returns the n connections in use, the longest first. When there are more,
// somebody has hijacked some, of which nobody tells us: probably long ago.
func (hs *holders) list(n int32) []held {
	var all []held
	now := time.Since(hs.began)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for h := hs.first; h != nil; h = h.next {
		h.mu.Lock()
		last := h.sql
		if h.table != nil {
			last = "copy " + h.table.Sanitize()
		}
		h.mu.Unlock()
		all = append(all, held{age: now - h.since, last: last})
	}
	slices.SortFunc(all, func(a, b held) int { return cmp.Compare(b.age, a.age) })
	return all[max(0, len(all)-int(n)):]
}

const (
	maxHeldShown = 5
	maxSQLShown  = 100 // bytes
)

// String says for how long the connection has been out and what ran on it last,
// without the values that the statement may have in it.
func (h held) String() string {
	age := fmt.Sprintf("for %s", h.age.Round(time.Millisecond))
	if h.last == "" {
		return age + " without a statement"
	}
	sql := strings.Join(strings.Fields(h.last), " ")
	end := min(len(sql), maxSQLShown)
	if i := literal.FindStringIndex(sql); i != nil {
		end = min(end, i[0])
	}
	if end < len(sql) {
		sql = strings.ToValidUTF8(sql[:end], "") + "…"
	}
	return age + ", last statement: " + sql
}

// literal is where a string begins in SQL: 'x', $$x$$ or $tag$x$tag$, not $1.
var literal = regexp.MustCompile(`'|\$[^0-9]`)

// describe names the connections in use that have been out the longest.
func describe(all []held) string {
	var b strings.Builder
	for i, h := range all {
		if i == maxHeldShown {
			fmt.Fprintf(&b, "; and %d more", len(all)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(h.String())
	}
	return b.String()
}
