package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Advisory locks in the database postgres: the watchdog holds the first, and
// everybody who uses the server shares the second.
const (
	lockSpace    = 7213
	lockWatchdog = 1
	lockLease    = 2
)

// lease is an open session that keeps the server alive. When it breaks because
// the server restarted itself, it is taken again.
type lease struct {
	connString string
	idle       time.Duration // of the watchdog
	owned      bool          // the server is needed only while leases are held
	cancel     context.CancelFunc
	ended      chan struct{}
}

// takeLease connects, makes sure that the server is not just about to stop and
// that a watchdog is on duty.
func takeLease(ctx context.Context, connString string, idle time.Duration, owned bool) (*lease, error) {
	l := &lease{connString: connString, idle: idle, owned: owned, ended: make(chan struct{})}
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.ensureWatchdog(ctx, conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	var keep context.Context
	keep, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go l.keep(keep, conn)
	return l, nil
}

// connect opens the session. The lock waits for a watchdog that has decided to
// stop the server; the server's end then ends the session with an error.
func (l *lease) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := session(ctx, l.connString, "pgdbm lease")
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "SELECT pg_advisory_lock_shared($1::int4, $2::int4)", pgx.QueryExecModeExec, lockSpace, lockLease)
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

// session connects with the limits lifted that a test may have set for the
// user or the database.
func session(ctx context.Context, connString, name string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(connString)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	for _, setting := range []string{
		"statement_timeout", "lock_timeout", "idle_session_timeout",
		"idle_in_transaction_session_timeout", "client_connection_check_interval",
	} {
		cfg.RuntimeParams[setting] = "0"
	}
	cfg.RuntimeParams["application_name"] = name
	return pgx.ConnectConfig(ctx, cfg)
}

// keep waits until the session ends. If nobody closed it, the server restarted
// itself (a crashed backend) or somebody ended all sessions: connect again.
func (l *lease) keep(ctx context.Context, conn *pgx.Conn) {
	defer close(l.ended)
	for {
		for ctx.Err() == nil {
			if _, err := conn.WaitForNotification(ctx); err != nil {
				break
			}
		}
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		_ = conn.Close(closing) // broken, or ours to close
		cancel()
		if ctx.Err() != nil {
			return
		}
		var err error
		if conn, err = l.again(ctx); err != nil {
			return
		}
	}
}

// again tries to connect until the server can be said to be gone.
func (l *lease) again(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := l.connect(ctx)
		if err == nil {
			// The old watchdog may be about to end, or may go on.
			if err = l.startWatchdog(ctx, true); err == nil {
				return conn, nil
			}
			_ = conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}

// close gives the lease back.
func (l *lease) close() {
	l.cancel()
	<-l.ended
}

// ensureWatchdog starts a watchdog unless one is on duty.
func (l *lease) ensureWatchdog(ctx context.Context, conn *pgx.Conn) error {
	const onDuty = `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND classid = $1::int4::oid AND objid = $2::int4::oid AND objsubid = 2)`
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for started := false; ; {
		var yes bool
		if err := conn.QueryRow(ctx, onDuty, pgx.QueryExecModeExec, lockSpace, lockWatchdog).Scan(&yes); err != nil {
			return fmt.Errorf("embedded: watchdog: %w", err)
		}
		if yes {
			return nil
		}
		if !started {
			if err := l.startWatchdog(ctx, false); err != nil {
				return fmt.Errorf("embedded: watchdog: %w", err)
			}
			started = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("embedded: the watchdog did not start: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// startWatchdog sends the statement and leaves: a session that runs a
// statement does not notice that its client is gone. A standby waits for the
// end of the watchdog that is on duty.
func (l *lease) startWatchdog(ctx context.Context, standby bool) error {
	conn, err := session(ctx, l.connString, watchdogName)
	if err != nil {
		return err
	}
	pc, err := conn.PgConn().Hijack()
	if err != nil {
		return err
	}
	pc.Frontend.SendQuery(&pgproto3.Query{String: watchdog(l.idle, l.owned, standby)})
	return errors.Join(pc.Frontend.Flush(), pc.Conn.Close())
}

// answered reports whether the server said that it is starting, stopping or
// full, rather than that nothing is there.
func answered(err error) bool {
	_, ok := errors.AsType[*pgconn.PgError](err)
	return ok
}
