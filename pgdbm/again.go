package pgdbm

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// tries is what was done already to get a statement executed.
type tries struct {
	n      int
	waited time.Duration
	once   bool // more than wait
}

// again says whether a statement that failed with err, outside a transaction,
// was certainly not executed and may well succeed at another attempt, and
// returns the connection for that. Whatever it says, the returned connection
// takes the place of conn.
//
// There is one more attempt, except where a pooler says that it has no server:
// that is waited for as long as for a connection.
func (m *Manager) again(ctx context.Context, conn *pgxpool.Conn, err error, t *tries) (*pgxpool.Conn, bool) {
	if ctx.Err() != nil {
		return conn, false
	}
	t.n++
	server, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case answered && turnedAway(server):
		return m.later(ctx, conn, server, t)
	case t.once:
		return conn, false
	}
	switch t.once = true; {
	case answered && stalePlan(server):
		return conn, true // pgx has forgotten the statement on this connection
	case answered && server.Code == "25006" && m.pool.lostWrites(conn.Conn().PgConn()):
		if f := fitnessOf(conn.Conn().PgConn()); f != nil {
			m.pool.renew(f)
		}
		return m.another(ctx, conn)
	case !answered && unsent(err): // the connection was dead before
		return m.another(ctx, conn)
	}
	return conn, false
}

// turnedAway reports whether a pooler, which had accepted the connection, has no
// server for the statement: it says so, or passes on what the server said.
func turnedAway(err *pgconn.PgError) bool {
	if severity(err) != "FATAL" {
		return false
	}
	switch err.Code {
	case "57P03", "53300":
		return true
	case "08P01":
		return err.Routine == "" &&
			(strings.Contains(err.Message, "server login has been failing") || strings.Contains(err.Message, "cannot connect to server"))
	}
	return false
}

// later waits, and takes another connection, unless that has taken as long as
// AcquireTimeout allows.
func (m *Manager) later(ctx context.Context, conn *pgxpool.Conn, err error, t *tries) (*pgxpool.Conn, bool) {
	pause := fullJitter(firstConnectPause, maxConnectPause, t.n)
	if limit := m.pool.cfg.AcquireTimeout; limit >= 0 && t.waited+pause > limit {
		return conn, false
	}
	if t.waited == 0 {
		m.pool.log.LogAttrs(ctx, slog.LevelDebug, "the pooler has no server, a statement waits for it", slog.String("error", classify(err, "", "").Error()))
	}
	t.waited += pause
	conn.Release() // it is closed: whoever turned the statement away hung up
	if sleep(ctx, pause) != nil {
		return conn, false
	}
	next, err := m.acquire(ctx)
	if err != nil {
		return conn, false
	}
	return next, true
}

// another closes a connection and takes one that is not the same.
func (m *Manager) another(ctx context.Context, conn *pgxpool.Conn) (*pgxpool.Conn, bool) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	_ = conn.Conn().Close(closing) // it is of no use
	cancel()
	conn.Release()
	next, err := m.acquire(ctx)
	if err != nil {
		return conn, false // releasing it again does nothing
	}
	return next, true
}

// rerunner decides whether the statement of rows that failed with err before
// their first row is sent again, and does it.
type rerunner interface {
	rerun(r *rows, err error) bool
}

func (m *Manager) rerun(r *rows, err error) (ok bool) {
	r.closeBatch()
	if r.conn, ok = m.again(r.ctx, r.conn, err, &r.tries); ok {
		m.send(r)
	}
	return ok
}

// again sends the statement another time if that is worth a try.
func (r *rows) again() bool {
	if r.by == nil || r.ended {
		return false
	}
	failed := r.err
	err := failed
	if err == nil {
		err = r.Rows.Err()
	}
	if r.err = nil; err != nil && r.by.rerun(r, err) {
		return true
	}
	r.err, r.by = failed, nil
	return false
}
