package migrations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// cleanupTimeout bounds what is sent after the caller's context has ended.
const cleanupTimeout = 5 * time.Second

// session is the one connection of a run: locks and DDL share it, because a
// CREATE INDEX CONCURRENTLY on another connection would wait for the one that
// holds the lock. It never returns to the pool.
type session struct {
	m      *Migrator
	pgx    *pgx.Conn
	conn   *pgconn.PgConn
	pooled bool    // a transaction pooler: session state does not exist
	role   string  // SET ROLE that the connection came with; "none" for none
	checks bool    // the server has client_connection_check_interval
	locked *target // whose lock we hold
	dirty  bool    // a file has run since the settings were made
	cached bool    // pgx may remember prepared statements
}

// openSession takes a connection and makes it ours. The caller closes it.
func (m *Migrator) openSession(ctx context.Context) (*session, error) {
	conn, err := m.pool.Dedicated(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{m: m, pgx: conn, conn: conn.PgConn()}
	got, err := run(ctx, s.conn, "select pg_backend_pid(), current_setting('role')")
	if err == nil {
		s.pooled = got.rows[0][0] != fmt.Sprint(s.conn.PID())
		s.role = got.rows[0][1]
		if !s.pooled {
			err = s.configure(ctx)
		}
	}
	if err != nil {
		s.close(ctx)
		return nil, pgdbm.Classify(err)
	}
	return s, nil
}

// settings are the requests that make the session ours. They must not be sent
// through a pooler, where they would reach other clients.
func (s *session) settings() []request {
	requests := []request{{sql: "select set_config('statement_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false), set_config('lock_timeout', '0', false), set_config('standard_conforming_strings', 'on', false)"}}
	if s.checks {
		requests = append(requests, request{sql: checkConnection})
	}
	return requests
}

// checkConnection makes the backend notice that its client is gone. Without it,
// the backend of a killed process, and with it the lock, lives on until its
// statement ends.
const checkConnection = "select set_config('client_connection_check_interval', '2s', false)"

// configure makes the new session ours.
func (s *session) configure(ctx context.Context) error {
	if err := exec(ctx, s.conn, s.settings()...); err != nil {
		return err
	}
	err := exec(ctx, s.conn, request{sql: checkConnection})
	if _, refused := errors.AsType[*pgconn.PgError](err); refused { // not every platform and version has it
		return nil
	}
	s.checks = err == nil
	return err
}

// reset undoes what a file did to the session, and makes sure that a lock that
// we took is still held.
func (s *session) reset(ctx context.Context) error {
	if s.pooled || !s.dirty {
		return nil
	}
	requests := s.afresh()
	if t := s.locked; t != nil {
		requests = append(requests, request{
			keep: true,
			sql: `select set_config('application_name', $1, false), exists (select from pg_catalog.pg_locks
  where locktype = 'advisory' and granted and pid = pg_backend_pid() and objsubid = 1 and (classid::bigint << 32) | objid::bigint = $2::bigint)`,
			args: []any{application(t), fmt.Sprint(t.key)},
		})
	}
	got, _, err := pipeline(ctx, s.conn, requests, nil)
	if err != nil {
		return err
	}
	s.dirty = false
	if s.cached { // those that have just been deallocated
		if err := s.pgx.DeallocateAll(ctx); err != nil {
			return err
		}
		s.cached = false
	}
	if s.locked != nil && got[len(got)-1].rows[0][1] != "t" {
		return fmt.Errorf("%w; does the file before run DISCARD ALL or pg_advisory_unlock_all?", ErrLockLost)
	}
	return nil
}

// afresh are the requests that undo what a file did to the session. DISCARD ALL
// would release its locks.
func (s *session) afresh() []request {
	requests := []request{{sql: "close all"}, {sql: "unlisten *"}, {sql: "reset all"}, {sql: "discard temp"}, {sql: "deallocate all"}}
	return append(append(requests, s.ownRole()...), s.settings()...)
}

// ownRole are the requests that make the role the one the connection came with.
func (s *session) ownRole() []request {
	if s.role == "none" {
		return []request{{sql: "reset session authorization"}, {sql: "reset role"}}
	}
	return []request{{sql: "reset session authorization"}, {sql: "select set_config('role', $1, false)", args: []any{s.role}}}
}

// application is the application_name of a run, cut to what the server keeps.
func application(t *target) string {
	name := "pgdbm-migrate:" + t.String()
	return name[:min(len(name), 63)]
}

// lock takes the schema's session lock. Behind a pooler that means nothing; see
// lockXact.
func (s *session) lock(ctx context.Context, t *target) error {
	if s.pooled {
		return nil
	}
	err := s.m.poll(ctx, t, func() (bool, error) {
		got, err := run(ctx, s.conn, "select pg_try_advisory_lock($1), set_config('application_name', $2, false)", fmt.Sprint(t.key), application(t))
		return err == nil && got.rows[0][0] == "t", err
	}, func(waited time.Duration) []Session { return s.waiting(ctx, t, t.key, waited) })
	if err == nil {
		s.locked = t
	}
	return err
}

// unlock gives the schema's lock back.
func (s *session) unlock(ctx context.Context) error {
	t := s.locked
	if t == nil || s.conn.IsClosed() {
		return nil
	}
	s.locked = nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	got, err := run(ctx, s.conn, "select pg_advisory_unlock($1)", fmt.Sprint(t.key))
	if err != nil {
		return t.fail(err)
	}
	if got.rows[0][0] != "t" {
		return t.fail(fmt.Errorf("%w; does a file run DISCARD ALL or pg_advisory_unlock_all?", ErrLockLost))
	}
	return nil
}

// close ends the session, whatever became of ctx, and waits until the server
// has let go of it.
func (s *session) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_ = s.pgx.Close(ctx)
	select {
	case <-s.conn.CleanupDone():
	case <-ctx.Done():
	}
}

// waiting logs who holds a lock, at growing intervals, and returns them.
func (s *session) waiting(ctx context.Context, t *target, key int64, waited time.Duration) []Session {
	holders := s.holders(ctx, key)
	s.m.observe(ctx, Event{Kind: EventLockWait, Module: t.Module, Schema: t.Schema, Duration: waited, Sessions: holders})
	attrs := []slog.Attr{slog.String("module", t.Module), slog.String("schema", t.Schema), slog.Duration("dur", waited)}
	for _, h := range holders {
		attrs = append(attrs, slog.String("holder", h.String()))
	}
	level := slog.LevelDebug
	if waited < firstPoll || waited > lastPoll {
		level = slog.LevelInfo
	}
	s.m.log.LogAttrs(ctx, level, "waiting for another migration run", attrs...)
	return holders
}

const sessionColumns = `pid, coalesce(application_name, ''), coalesce(usename, ''), coalesce(state, ''),
  coalesce(extract(epoch from clock_timestamp() - coalesce(xact_start, state_change)), 0)::float8`

// holders returns the sessions that hold an advisory lock.
func (s *session) holders(ctx context.Context, key int64) []Session {
	rows, err := s.pgx.Query(ctx, `select `+sessionColumns+` from pg_catalog.pg_stat_activity where pid in (
  select pid from pg_catalog.pg_locks where locktype = 'advisory' and granted and objsubid = 1 and (classid::bigint << 32) | objid::bigint = $1
  and database = (select oid from pg_catalog.pg_database where datname = current_database()))`, pgx.QueryExecModeExec, key)
	return collectSessions(rows, err)
}

// collectSessions reads sessionColumns. It serves messages: no rows are as good
// as an error.
func collectSessions(rows pgx.Rows, err error) []Session {
	if err != nil {
		return nil
	}
	list, _ := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Session, error) {
		var (
			out     Session
			seconds float64
		)
		err := row.Scan(&out.PID, &out.Application, &out.User, &out.State, &seconds)
		out.Age = time.Duration(seconds * float64(time.Second))
		return out, err
	})
	return list
}

// searchPath is the search_path that files run with.
func (t *target) searchPath() string { return sqltmpl.Quote(t.Schema) + ", public" }

// milliseconds renders a timeout for the server.
func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

// timeouts returns the lock_timeout and statement_timeout of a script.
func (m *Migrator) timeouts(s *script) (lock, statement time.Duration) {
	lock, statement = m.cfg.StatementLockTimeout, m.cfg.StatementTimeout
	if d := s.directives.lockTimeout; d != nil {
		lock = *d
	}
	if d := s.directives.statementTimeout; d != nil {
		statement = *d
	}
	return lock, statement
}
