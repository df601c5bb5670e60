package migrations

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// attempts calls try until it works, fails for a reason that time does not cure,
// or has been called as often, and for as long, as the configuration allows.
func (s *session) attempts(ctx context.Context, t *target, file string, statements int, try func(attempt int) error) (attempt int, err error) {
	deadline := time.Now().Add(s.m.cfg.RetryTime)
	for attempt = 1; ; attempt++ {
		err = try(attempt)
		if err == nil || !retryable(err) || s.conn.IsClosed() || attempt >= s.m.cfg.Retries {
			return attempt, err
		}
		pause := fullJitter(attempt)
		if time.Now().Add(pause).After(deadline) {
			return attempt, err
		}
		s.m.retrying(ctx, t, file, statements, attempt, pause, err)
		if err := sleep(ctx, pause); err != nil {
			return attempt, t.failFile(file, err)
		}
	}
}

func (m *Migrator) retrying(ctx context.Context, t *target, file string, statements, attempt int, pause time.Duration, err error) {
	e, _ := errors.AsType[*MigrationError](err)
	m.observe(ctx, Event{
		Kind: EventRetry, Module: t.Module, Schema: t.Schema, File: file, Statement: e.Statement,
		Statements: statements, Attempt: attempt, Sessions: e.Blockers, Err: err,
	})
	m.log.LogAttrs(ctx, slog.LevelWarn, "migration is tried again", slog.String("module", t.Module), slog.String("schema", t.Schema),
		slog.String("file", file), slog.Int("attempt", attempt), slog.Duration("pause", pause),
		slog.String("sqlstate", e.SQLState), slog.String("error", err.Error()))
}

// retryable reports whether trying again may help: the server says so, or another
// session created the same object at the same time, in spite of IF NOT EXISTS or OR
// REPLACE.
func retryable(err error) bool {
	if _, committed := errors.AsType[*committedError](err); committed {
		return false
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch pg.Code {
	case "55P03", "40P01", "40001":
		return true
	case "23505":
		return pg.SchemaName == "pg_catalog"
	case "XX000":
		return strings.HasPrefix(pg.Message, "tuple concurrently ")
	default:
		return false
	}
}

// The pauses between attempts at a file.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// fullJitter returns a random pause behind the n-th attempt.
func fullJitter(n int) time.Duration {
	bound := lastRetry
	if n < 20 {
		bound = min(lastRetry, firstRetry<<(n-1))
	}
	return rand.N(bound) + time.Millisecond
}
