package pgdbm

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
)

// tracer returns what pgx calls for every statement: the slow-query log, then
// the configured tracers; nil for none.
func (c Config) tracer() pgx.QueryTracer {
	var all []pgx.QueryTracer
	if c.SlowQuery > 0 {
		all = append(all, &slowLog{log: c.Logger, threshold: c.SlowQuery})
	}
	all = append(all, c.Tracers...)
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	default:
		return multitracer.New(all...)
	}
}

// slowLog warns of statements that take threshold or longer, from sending them
// to the end of their rows. It never logs arguments.
type slowLog struct {
	log       *slog.Logger
	threshold time.Duration
}

type (
	slowKey struct{}
	started struct {
		at  time.Time
		sql string
	}
)

func (s *slowLog) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, slowKey{}, started{time.Now(), data.SQL})
}

func (s *slowLog) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	s.end(ctx, conn, data.CommandTag.RowsAffected(), data.Err)
}

func (s *slowLog) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	sql := ""
	if queued := data.Batch.QueuedQueries; len(queued) > 0 {
		sql = queued[len(queued)-1].SQL // BEGIN may travel in front
	}
	return context.WithValue(ctx, slowKey{}, started{time.Now(), sql})
}

func (s *slowLog) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s *slowLog) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	s.end(ctx, conn, 0, data.Err)
}

func (s *slowLog) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	return context.WithValue(ctx, slowKey{}, started{time.Now(), "copy " + data.TableName.Sanitize()})
}

func (s *slowLog) TraceCopyFromEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromEndData) {
	s.end(ctx, conn, data.CommandTag.RowsAffected(), data.Err)
}

func (s *slowLog) end(ctx context.Context, conn *pgx.Conn, rows int64, err error) {
	start, ok := ctx.Value(slowKey{}).(started)
	if !ok {
		return
	}
	if dur := time.Since(start.at); dur >= s.threshold {
		s.log.LogAttrs(ctx, slog.LevelWarn, "slow query", slog.Duration("dur", dur), slog.Int64("rows", rows),
			slog.String("sqlstate", sqlState(err)), slog.Uint64("pid", uint64(conn.PgConn().PID())), slog.String("sql", start.sql))
	}
}
