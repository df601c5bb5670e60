package pgdbm

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What pgx calls.
var (
	_ pgx.QueryTracer       = (*monitor)(nil)
	_ pgx.BatchTracer       = (*monitor)(nil)
	_ pgx.CopyFromTracer    = (*monitor)(nil)
	_ pgxpool.ReleaseTracer = (*monitor)(nil)
)

// TraceQueryStart implements [pgx.QueryTracer].
func (m *monitor) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !switchesRole(data.SQL) {
		m.start(conn, call{kind: callQuery, sql: data.SQL})
	}
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (m *monitor) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	m.end(ctx, conn, callQuery, data.CommandTag, data.Err)
}

// TraceBatchStart implements [pgx.BatchTracer].
func (m *monitor) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	sql := ""
	if queued := data.Batch.QueuedQueries; len(queued) > 0 {
		sql = queued[len(queued)-1].SQL // BEGIN may travel in front
	}
	m.start(conn, call{kind: callBatch, sql: sql, batch: data.Batch})
	return ctx
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (m *monitor) TraceBatchQuery(_ context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	c := m.state(conn).current()
	if c == nil || c.kind != callBatch {
		return
	}
	if switchesRole(data.SQL) {
		return
	}
	c.answered(data.CommandTag)
	if data.Err != nil && c.batch != nil {
		c.sql, c.batch = data.SQL, nil // the one that failed says more
	}
}

// TraceBatchEnd implements [pgx.BatchTracer].
func (m *monitor) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	m.end(ctx, conn, callBatch, pgconn.CommandTag{}, data.Err)
}

// TraceCopyFromStart implements [pgx.CopyFromTracer].
func (m *monitor) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	m.start(conn, call{kind: callCopy, sql: "copy " + data.TableName.Sanitize()})
	return ctx
}

// TraceCopyFromEnd implements [pgx.CopyFromTracer].
func (m *monitor) TraceCopyFromEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromEndData) {
	m.end(ctx, conn, callCopy, data.CommandTag, data.Err)
}

// TraceRelease implements [pgxpool.ReleaseTracer].
func (m *monitor) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	m.released(data.Conn)
}
