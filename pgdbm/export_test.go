package pgdbm

import (
	"context"
	"iter"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// For tests of what a test cannot make a server say, or cannot see.
var (
	Committed = committed
	Pause     = fullJitter
	Returning = returning
)

// HungUp reports whether the other end of a connection is known to have closed it.
func HungUp(conn net.Conn) bool { return newSocket(conn).hungUp() }

// ClassifyWith is Classify for a statement with arguments.
func ClassifyWith(err error, args ...any) error { return classify(err, "", "select", args...) }

// ListenWithin is Listen with other limits.
func (m *Manager) ListenWithin(ctx context.Context, idle, answer time.Duration, channels ...string) iter.Seq2[Notification, error] {
	return m.listen(ctx, idle, answer, channels)
}

// Speaks is what happens before each statement of m on conn.
func (m *Manager) Speaks(conn *pgx.Conn) { m.binding.speaks(conn, false) }
