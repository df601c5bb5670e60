package testkit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// lease is the lock that says that this process's databases are in use. It
// lasts as long as its session, and so as long as the process. The same session
// holds, shared, the locks of the templates in use.
//
// A server that restarts, because somebody killed one of its processes, ends
// all sessions. A second one waits for that, so that the lease is taken again
// before another process takes the databases for abandoned.
type lease struct {
	connString string
	number     int32
	lost       func()             // called when the server has ended the sessions
	stop       context.CancelFunc // of the watch, which otherwise ends with the process
	watched    chan struct{}      // closed at the end of the watch

	mu        sync.Mutex
	conn      *pgx.Conn
	templates []int32
}

var errTaken = errors.New("pgdbmtest: the lease is taken")

func takeLease(ctx context.Context, connString string, lost func()) (*lease, error) {
	l := &lease{connString: connString, lost: lost, watched: make(chan struct{})}
	for {
		l.number = 1 + rand.Int32N(1<<31-2)
		err := l.hold(ctx)
		if errors.Is(err, errTaken) {
			continue
		}
		if err == nil {
			ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
			go l.watch(ctx)
		}
		return l, err
	}
}

// watch takes the lease again whenever the server has ended its sessions. It
// gives up when the server does not come back; who needs a new database then
// tries for himself.
func (l *lease) watch(ctx context.Context) {
	defer close(l.watched)
	conn, err := pgx.Connect(ctx, l.connString)
	for err == nil {
		for err == nil {
			_, err = conn.WaitForNotification(ctx) // none comes: it ends with the session
		}
		_ = conn.Close(ctx) // broken
		if ctx.Err() == nil {
			go l.lost()
		}
		for deadline := time.Now().Add(time.Minute); err != nil && ctx.Err() == nil && time.Now().Before(deadline); {
			wait(ctx, 20*time.Millisecond)
			if err = l.hold(ctx); err == nil {
				conn, err = pgx.Connect(ctx, l.connString)
			}
		}
	}
}

// close gives the lease back.
func (l *lease) close(ctx context.Context) {
	l.stop()
	<-l.watched
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.conn.Close(ctx)
}

// hold makes sure that the lock is held, taking it again if its session has
// ended (the server restarted).
func (l *lease) hold(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held(ctx)
}

// use adds a template to those in use.
func (l *lease) use(ctx context.Context, hash int32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.held(ctx); err != nil {
		return err
	}
	if err := l.share(ctx, hash); err != nil {
		return err
	}
	l.templates = append(l.templates, hash)
	return nil
}

func (l *lease) held(ctx context.Context) error {
	if l.conn != nil && l.conn.Ping(ctx) == nil {
		return nil
	}
	conn, err := pgx.Connect(ctx, l.connString)
	if err != nil {
		return fmt.Errorf("pgdbmtest: lease: %w", err)
	}
	var ok bool
	const take = "SELECT set_config('idle_session_timeout', '0', false) IS NOT NULL AND pg_try_advisory_lock($1::int4, $2::int4)"
	err = conn.QueryRow(ctx, take, pgx.QueryExecModeExec, lockLease, l.number).Scan(&ok)
	if err == nil && !ok {
		err = errTaken
	}
	if err != nil {
		_ = conn.Close(ctx)
		return fmt.Errorf("pgdbmtest: lease: %w", err)
	}
	l.conn = conn
	for _, hash := range l.templates {
		if err := l.share(ctx, hash); err != nil {
			return err
		}
	}
	return nil
}

func (l *lease) share(ctx context.Context, hash int32) error {
	_, err := l.conn.Exec(ctx, "SELECT pg_advisory_lock_shared($1::int4, $2::int4)", pgx.QueryExecModeExec, lockInUse, hash)
	if err != nil {
		return fmt.Errorf("pgdbmtest: lease: %w", err)
	}
	return nil
}
