package pgdbm

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// NewTracer returns the tracer that counts and logs statements, for a pgx pool
// that you make yourself: set it as ConnConfig.Tracer and [Borrow] finds it there.
// Of cfg apply SlowQuery, SlowQueryPlan, History, NoMetrics, Logger and Tracers,
// which are called after ours. Each pool needs a tracer of its own. It is nil
// when there is nothing to trace.
func NewTracer(cfg Config) pgx.QueryTracer {
	return chain(newMonitor(cfg.withDefaults()).before(cfg.Tracers))
}

// chain returns what pgx calls for every statement, nil for nothing.
func chain(all []pgx.QueryTracer) pgx.QueryTracer {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	default:
		return multitracer.New(all...)
	}
}

// monitorOf returns the monitor of a pool that somebody else made, nil for none.
func monitorOf(pool *pgxpool.Pool) *monitor {
	switch t := pool.Config().ConnConfig.Tracer.(type) {
	case *monitor:
		return t
	case *multitracer.Tracer:
		for _, one := range t.QueryTracers {
			if m, ok := one.(*monitor); ok {
				return m
			}
		}
	}
	return nil
}

// monitor is the tracer that counts, remembers and logs statements. What it
// knows of a connection is kept with that connection, which runs one statement
// at a time: nothing is allocated, locked or put into a context for a statement.
//
// The methods that managers and transactions call accept a nil monitor.
type monitor struct {
	key   string // of connState among a connection's custom data
	log   *slog.Logger
	slow  time.Duration // 0: none is
	plans bool          // wanted
	since time.Time

	modules         *moduleTable // nil: nothing is counted
	unbound         *Binding     // of what no manager sent
	recent, notable *history
	planner         atomic.Pointer[planner]
}

// newMonitor returns nil when there is nothing to do.
func newMonitor(cfg Config) *monitor {
	if cfg.NoMetrics && cfg.SlowQuery == 0 && !cfg.Logger.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	m := &monitor{log: cfg.Logger, slow: cfg.SlowQuery, plans: cfg.SlowQueryPlan, since: time.Now(), unbound: &Binding{}}
	m.key = fmt.Sprintf("pgdbm %p", m)
	if !cfg.NoMetrics {
		m.modules = newModuleTable()
		m.unbound.counters = m.modules.of(m.unbound)
		m.recent, m.notable = newHistory(cfg.History), newHistory(cfg.History)
	}
	return m
}

// before returns m, if there is one, and then others.
func (m *monitor) before(others []pgx.QueryTracer) []pgx.QueryTracer {
	if m == nil {
		return others
	}
	return append([]pgx.QueryTracer{m}, others...)
}

// countersOf returns where the statements of b are counted, nil for nowhere.
func (m *monitor) countersOf(b *Binding) *counters {
	if m == nil || m.modules == nil {
		return nil
	}
	return m.modules.of(b)
}

func (m *monitor) state(conn *pgx.Conn) *connState {
	data := conn.PgConn().CustomData()
	if st, ok := data[m.key].(*connState); ok {
		return st
	}
	st := &connState{holder: m.unbound, speaker: m.unbound}
	data[m.key] = st
	return st
}

// acquired notes who took conn out of the pool, or why nobody could.
func (m *monitor) acquired(conn *pgxpool.Conn, b *Binding, err error) {
	if m == nil {
		return
	}
	if err != nil {
		if b.counters != nil {
			b.counters.errors[classIndex(err)].Add(1)
		}
		return
	}
	st := m.state(conn.Conn())
	st.holder, st.speaker = b, b
}

// speaks notes who sends the next statement on conn.
func (m *monitor) speaks(conn *pgx.Conn, b *Binding) {
	if m != nil {
		m.state(conn).speaker = b
	}
}

// repeated notes that a transaction of b is tried again.
func (m *monitor) repeated(b *Binding) {
	if m != nil && b.counters != nil {
		b.counters.repeated.Add(1)
	}
}

// start notes a call.
func (m *monitor) start(conn *pgx.Conn, c call) {
	st := m.state(conn)
	if st.depth == len(st.calls) {
		return
	}
	c.by = st.speaker
	if c.sql == sqlCommit || c.sql == sqlRollback {
		c.by = st.holder
	}
	if c.by.counters != nil {
		c.by.counters.inFlight.Add(1)
	}
	c.at = time.Now()
	st.calls[st.depth] = c
	st.depth++
}

// end counts, remembers and logs the call that started last. pgx reports the end
// of a batch twice when it could not be sent.
func (m *monitor) end(ctx context.Context, conn *pgx.Conn, kind callKind, tag pgconn.CommandTag, err error) {
	st := m.state(conn)
	c := st.current()
	if c == nil || c.kind != kind {
		return
	}
	st.depth--
	dur := time.Since(c.at)
	if c.sql == sqlCommit { // a lost connection means something else there
		err = committed(err, "")
	}
	slow := m.slow > 0 && dur >= m.slow
	if kind != callBatch {
		c.answered(tag)
	}
	if n := c.by.counters; n != nil {
		n.inFlight.Add(-1)
		n.statements.Add(int64(c.statements))
		n.rows.Add(c.rows)
		n.duration.observe(dur)
		if err != nil {
			n.errors[classIndex(err)].Add(1)
		}
		m.remember(c, dur, slow, err)
	}
	st.ended(c, conn.PgConn().TxStatus(), err)
	switch {
	case slow:
		m.logSlow(ctx, conn, c, dur, err)
	case m.log.Enabled(ctx, slog.LevelDebug):
		m.logCall(ctx, slog.LevelDebug, "query", conn, c, dur, err)
	}
	*c = call{} // lets go of the text
}

// released readies st for whoever gets the connection next. The server rolls back
// what was left open: pgxpool closes the connection.
func (m *monitor) released(conn *pgx.Conn) {
	st := m.state(conn)
	if conn.PgConn().TxStatus() != 'I' && !st.unknown {
		st.count(false)
	}
	for c := st.current(); c != nil; c = st.current() { // a panic came between
		if c.by.counters != nil {
			c.by.counters.inFlight.Add(-1)
		}
		st.depth--
	}
	*st = connState{holder: m.unbound, speaker: m.unbound}
}

func (m *monitor) remember(c *call, dur time.Duration, slow bool, err error) {
	if m.recent == nil {
		return
	}
	s := Statement{
		At: c.at, Duration: dur, Module: c.by.counters.name, Schema: c.by.Schema,
		SQL: shorten(c.sql), Statements: c.statements, Rows: c.rows,
	}
	if err != nil {
		s.Error, s.SQLState = errorClasses[classIndex(err)].name, sqlState(err)
	}
	m.recent.add(&s)
	if slow || err != nil {
		m.notable.add(&s)
	}
}
