package migrations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const beginSQL = "begin isolation level read committed read write"

// local returns the statement that sets a transaction's settings.
func (t *target) local(lock, statement time.Duration) request {
	return request{
		sql: `select set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true), set_config('search_path', $3, true),
  set_config('standard_conforming_strings', 'on', true), set_config('idle_in_transaction_session_timeout', '0', true), set_config('application_name', $4, true)`,
		args: []any{milliseconds(lock), milliseconds(statement), t.searchPath(), application(t)},
	}
}

// head are the requests that begin a transaction. Nothing but a peer's
// transaction can block its first statements.
func (s *session) head(t *target) []request {
	return []request{{sql: beginSQL}, t.local(s.m.cfg.LockTimeout, 0)}
}

// begin begins a transaction that holds the locks it needs: behind a pooler the
// schema's, and keys. It polls for them in one short transaction after the other.
func (s *session) begin(ctx context.Context, t *target, keys ...int64) error {
	if s.pooled {
		keys = append(keys, t.key)
	}
	head := s.head(t)
	if len(keys) == 0 {
		return exec(ctx, s.conn, head...)
	}
	return s.m.poll(ctx, t, func() (bool, error) {
		requests := head
		for _, key := range keys {
			requests = append(requests, request{sql: "select pg_try_advisory_xact_lock($1)", args: []any{fmt.Sprint(key)}, keep: true})
		}
		got, _, err := pipeline(ctx, s.conn, requests, nil)
		if err != nil {
			s.rollback(ctx)
			return false, err
		}
		for _, g := range got[len(head):] {
			if g.rows[0][0] != "t" {
				s.rollback(ctx)
				return false, nil
			}
		}
		return true, nil
	}, func(waited time.Duration) []Session { return s.waiting(ctx, t, keys[0], waited) })
}

// rollback ends a transaction, whatever became of ctx. A connection that is
// gone has taken its transaction along.
func (s *session) rollback(ctx context.Context) {
	if s.conn.IsClosed() || s.conn.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_ = exec(ctx, s.conn, request{sql: "rollback"})
}

var errRolledBack = errors.New("the server rolled the transaction back")

// commitPlain commits what can simply be done again when the answer is lost.
func (s *session) commitPlain(ctx context.Context) error {
	reader := s.conn.ExecParams(ctx, "commit", nil, nil, nil, nil).Read()
	if reader.Err == nil && reader.CommandTag.String() != "COMMIT" {
		return errRolledBack
	}
	return reader.Err
}

// commit commits. When the connection is lost before the answer comes, a new one
// learns what became of the transaction.
func (s *session) commit(ctx context.Context, xact string) error {
	reader := s.conn.ExecParams(ctx, "commit", nil, nil, nil, nil).Read()
	if reader.Err == nil {
		if reader.CommandTag.String() != "COMMIT" {
			return errRolledBack
		}
		return nil
	}
	if _, answered := errors.AsType[*pgconn.PgError](reader.Err); answered && !s.conn.IsClosed() {
		return reader.Err
	}
	committed, err := s.m.outcome(ctx, xact)
	switch {
	case err != nil:
		return fmt.Errorf("the connection was lost while the transaction was committing (%w), and its outcome cannot be read: %w", reader.Err, err)
	case committed:
		return &committedError{cause: reader.Err}
	default:
		return reader.Err
	}
}

// committedError is the loss of a connection after a COMMIT that took effect.
type committedError struct{ cause error }

func (e *committedError) Error() string {
	return "the connection was lost after the transaction had been committed: " + reason(e.cause)
}

func (e *committedError) Unwrap() error { return e.cause }

// outcome asks the server whether a transaction was committed.
func (m *Migrator) outcome(ctx context.Context, xact string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*cleanupTimeout)
	defer cancel()
	conn, err := m.pool.Dedicated(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(ctx) }()
	for {
		got, err := run(ctx, conn.PgConn(), "select coalesce(pg_xact_status($1::text::xid8), 'aborted')", xact)
		if err != nil {
			return false, err
		}
		if status := got.rows[0][0]; status != "in progress" {
			return status == "committed", nil
		}
		if err := sleep(ctx, firstPoll); err != nil {
			return false, err
		}
	}
}
