package pgdbm

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// logSlow logs a call that took long, and has it planned.
func (m *monitor) logSlow(ctx context.Context, conn *pgx.Conn, c *call, dur time.Duration, err error) {
	texts := m.logCall(ctx, slog.LevelWarn, "slow query", conn, c, dur, err)
	if p := m.planner.Load(); p != nil && len(texts) == 1 && c.kind != callCopy {
		p.offer(c.by, texts[0]) //nolint:contextcheck // planning outlives the statement
	}
}

// logCall logs a call that took dur, and returns its texts.
func (m *monitor) logCall(ctx context.Context, level slog.Level, msg string, conn *pgx.Conn, c *call, dur time.Duration, err error) []string {
	attrs := []slog.Attr{
		slog.String("module", c.by.Module), slog.String("schema", c.by.Schema), slog.Duration("dur", dur),
		slog.Int64("rows", c.rows), slog.String("sqlstate", sqlState(err)), slog.Uint64("pid", uint64(conn.PgConn().PID())),
	}
	texts := []string{c.sql}
	if c.kind == callBatch {
		attrs = append(attrs, slog.Int("statements", c.statements))
	}
	if c.batch != nil {
		texts = batchTexts(c.batch)
	}
	sql := shorten(strings.Join(texts, ";\n"))
	m.log.LogAttrs(ctx, level, msg, append(attrs, slog.String("sql", sql))...)
	return texts
}

// batchTexts returns the different texts of a batch, without what travels in
// front of a transaction's first statement. Which of them took the time nobody
// knows: the server may answer all of them at once.
func batchTexts(b *pgx.Batch) []string {
	var texts []string
	size := 0
	for _, q := range b.QueuedQueries {
		if strings.HasPrefix(q.SQL, "begin") || strings.HasPrefix(q.SQL, "set local ") || switchesRole(q.SQL) || slices.Contains(texts, q.SQL) {
			continue
		}
		texts = append(texts, q.SQL)
		if size += len(q.SQL); size > maxHistorySQL {
			break
		}
	}
	return texts
}
