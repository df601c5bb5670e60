package pgdbm

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// behind returns the queries of a batch after the change of role: the server runs
// the batch as one transaction, at whose end the role is the connection's again.
func (r *role) behind(queued []*pgx.QueuedQuery) []*pgx.QueuedQuery {
	return append([]*pgx.QueuedQuery{{SQL: setRole, Arguments: r.args}}, queued...)
}

// send sends the statement of r, under m's role if it has one.
func (m *Manager) send(r *rows) {
	if m.binding.role == nil {
		r.take(r.conn.Query(r.ctx, r.sql, r.args...))
		return
	}
	r.sendBehind(m.binding.role, false)
}

// sendBehind sends the statement in one round trip with what must come first: the
// role, and a guard where it must only read.
func (r *rows) sendBehind(role *role, guarded bool) {
	r.closeBatch()
	all := &struct { // in one piece
		batch   pgx.Batch
		queries [3]pgx.QueuedQuery
		queued  [3]*pgx.QueuedQuery
	}{}
	n := 0
	add := func(sql string, args []any) {
		all.queries[n] = pgx.QueuedQuery{SQL: sql, Arguments: args}
		all.queued[n] = &all.queries[n]
		n++
	}
	if role != nil {
		add(setRole, role.args)
	}
	if guarded {
		add(guard, nil)
	}
	add(r.sql, r.args)
	all.batch.QueuedQueries = all.queued[:n]
	r.batch = r.conn.SendBatch(r.ctx, &all.batch)
	for range n - 1 {
		if _, err := r.batch.Exec(); err != nil {
			r.take(nil, err)
			return
		}
	}
	r.take(r.batch.Query())
}

// closeBatch ends an attempt, before the connection is used for the next or given
// back.
func (r *rows) closeBatch() {
	if r.batch != nil {
		_ = r.batch.Close() // its error is known
		r.batch = nil
	}
}

// execAs is Exec under m's role.
func (m *Manager) execAs(ctx context.Context, text string, args []any) (tag pgconn.CommandTag, err error) {
	if unfit(text, args) || several(text, args) || commits(text) {
		err = m.InTx(ctx, func(tx *Tx) error {
			tag, err = tx.conn.exec(ctx, m.Schema(), text, args)
			return err
		})
		return tag, err
	}
	r, err := m.sendQuery(ctx, text, args)
	r.Close()
	if err == nil {
		err = r.Err()
	}
	return r.CommandTag(), err
}

// copyAs is CopyFrom under m's role: in a transaction, since COPY cannot travel
// with another statement.
func (m *Manager) copyAs(ctx context.Context, table string, columns []string, src pgx.CopyFromSource) (n int64, err error) {
	err = m.InTx(ctx, func(tx *Tx) error {
		n, err = tx.CopyFrom(ctx, table, columns, src)
		return err
	})
	return n, err
}

// unfit reports whether a batch cannot carry a statement.
func unfit(sql string, args []any) bool { return sql == "" || hasOptions(args) }

// several reports whether a statement that Exec is given is more than one: pgx
// then sends it as a text, if there are no arguments.
func several(sql string, args []any) bool {
	if len(args) > 0 || !strings.Contains(sql, ";") {
		return false
	}
	stmts, err := sqllex.Split(sql)
	return err == nil && len(stmts) > 1
}
