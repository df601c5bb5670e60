package pgdbm

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// connState is what the monitor knows of a connection.
type connState struct {
	holder  *Binding // took the connection out of the pool: transactions are its
	speaker *Binding // sends the next statement
	calls   [2]call  // a second one only where the connection is still busy: it fails
	depth   int      // how many of calls have started and not ended
	unknown bool     // whether the transaction was committed
}

// call is a statement, batch or COPY on its way.
type call struct {
	kind  callKind
	sql   string     // of a batch the last one, or the one that failed
	batch *pgx.Batch // nil when sql says it all

	at         time.Time
	by         *Binding
	statements int // answered so far
	rows       int64
	ends       bool // a transaction, by COMMIT or ROLLBACK
	commit     bool
}

type callKind uint8

const (
	callQuery callKind = iota
	callBatch
	callCopy
)

// How pgx ends a transaction.
const (
	sqlCommit   = "commit"
	sqlRollback = "rollback"
)

// current returns the call that started last, nil for none.
func (st *connState) current() *call {
	if st.depth == 0 {
		return nil
	}
	return &st.calls[st.depth-1]
}

// answered notes the tag of a statement of c.
func (c *call) answered(tag pgconn.CommandTag) {
	c.statements++
	c.rows += tag.RowsAffected()
	switch tag.String() {
	case "COMMIT":
		c.ends, c.commit = true, true
	case "ROLLBACK": // also to a savepoint, and a COMMIT that could not be
		c.ends, c.commit = true, false
	}
}

// ended counts the transaction that c may have ended.
func (st *connState) ended(c *call, status byte, err error) {
	switch {
	case c.ends && status == 'I':
		st.count(c.commit)
	case c.sql == sqlCommit && err != nil: // no answer
		st.unknown = true
	}
}

func (st *connState) count(commit bool) {
	n := st.holder.counters
	switch {
	case n == nil:
	case commit:
		n.committed.Add(1)
	default:
		n.rolledBack.Add(1)
	}
}
