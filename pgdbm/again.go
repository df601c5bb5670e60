package pgdbm

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// again says whether a statement that failed with err, outside a transaction,
// was certainly not executed and may well succeed at a second attempt, and
// returns the connection for that. Whatever it says, the returned connection
// takes the place of conn.
func (m *Manager) again(ctx context.Context, conn *pgxpool.Conn, err error) (*pgxpool.Conn, bool) {
	if ctx.Err() != nil {
		return conn, false
	}
	server, answered := errors.AsType[*pgconn.PgError](err)
	switch {
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
	if r.conn, ok = m.again(r.ctx, r.conn, err); ok {
		r.take(r.conn.Query(r.ctx, r.sql, r.args...))
	}
	return ok
}

// again sends the statement a second time if that is worth a try.
func (r *rows) again() bool {
	by := r.by
	if by == nil || r.ended {
		return false
	}
	r.by = nil // once
	failed := r.err
	err := failed
	if err == nil {
		err = r.Rows.Err()
	}
	if r.err = nil; err != nil && by.rerun(r, err) {
		return true
	}
	r.err = failed
	return false
}
