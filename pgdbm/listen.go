package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Notification is what [Manager.Listen] yields.
type Notification struct {
	// Missed says that notifications may have been missed: the connection is
	// new. The other fields are empty then. It is the first of all, and comes
	// again after each interruption: read again what the notifications are about.
	Missed bool

	Channel string // as Listen was told
	Payload string
	PID     uint32 // of the server's process that sent it
}

// Limits of a connection that listens. A dead one is noticed within their sum.
const (
	listenIdle   = 30 * time.Second // without a notification, until the server is asked whether it is there
	listenAnswer = 10 * time.Second // until it must have answered
)

// Listen yields what is sent on channels of the bound schema, in order, until ctx
// ends, the loop is left, or the pool is closed:
//
//	for n, err := range m.Listen(ctx, "placed", "users.renamed") {
//		switch {
//		case err != nil:
//			return err
//		case n.Missed:
//			err = readAgain(ctx) // listening has begun: nothing is lost from here on
//		default:
//			err = handle(ctx, n.Channel, n.Payload)
//		}
//		…
//	}
//
// A channel is named as a table is: in the bound schema, or behind the name of a
// module that is a declared dependency. The server's name of it is
// "schema.channel", of at most 63 bytes. A manager without a schema takes the
// server's names, whatever is in them.
//
// PostgreSQL keeps notifications for nobody: who does not listen misses them.
// So whenever the connection is new, at first and after an interruption, comes a
// [Notification] that is marked Missed, when the channels are listened to already.
// An interruption is logged and ended by connecting again, for as long as it
// takes, with the pauses of [Config.ConnectRetry].
//
// The loop has a connection of its own, see [Pool.Dedicated], and closes it at its
// end; within the loop the pool is free for statements. While the body of the loop
// runs notifications wait on the server, so leave long work to others. Without any
// for 30 s the server is asked for a sign of life.
//
// An error is the last that is yielded: [ErrUnavailable] when the pool is closed,
// [ErrPermission], [ErrUndefined] and what else does not pass by itself. The end
// of ctx is none. Behind a transaction pooler, Listen needs
// [Config.DirectConnString].
//
// Each use of the sequence listens anew.
func (m *Manager) Listen(ctx context.Context, channels ...string) iter.Seq2[Notification, error] {
	return m.listen(ctx, listenIdle, listenAnswer, channels)
}

func (m *Manager) listen(ctx context.Context, idle, answer time.Duration, channels []string) iter.Seq2[Notification, error] {
	return func(yield func(Notification, error) bool) {
		l := listener{pool: m.pool, idle: idle, answer: answer}
		if err := l.name(m.binding, channels); err != nil {
			yield(Notification{}, err)
			return
		}
		l.run(ctx, yield)
	}
}

// listener is one loop over notifications.
type listener struct {
	pool         *Pool
	idle, answer time.Duration
	sql          string            // LISTEN …
	channels     map[string]string // the server's names to those of the program
	listened     bool              // at least once
}

func (l *listener) name(b *Binding, channels []string) error {
	if len(channels) == 0 {
		return errors.New("pgdbm: Listen: name a channel")
	}
	var errs []error
	l.channels = map[string]string{}
	for _, channel := range channels {
		name, err := b.channel(channel)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other, ok := l.channels[name]; ok {
			errs = append(errs, fmt.Errorf("pgdbm: channels %q and %q are one", other, channel))
		}
		l.channels[name] = channel
		l.sql += "listen " + pgx.Identifier{name}.Sanitize() + "; "
	}
	if err := errors.Join(errs...); err != nil {
		return within("Listen", err)
	}
	return nil
}

// run listens until the end, with one connection after another.
func (l *listener) run(caller context.Context, yield func(Notification, error) bool) {
	ctx, cancel := l.pool.untilClosed(caller)
	defer cancel()
	for attempt := 1; ; attempt++ {
		since := time.Now()
		more, err := l.session(ctx, yield)
		switch {
		case !more, caller.Err() != nil:
			return
		case ctx.Err() != nil:
			yield(Notification{}, within("Listen", errClosed(nil)))
			return
		case l.final(err):
			yield(Notification{}, within("Listen", err))
			return
		}
		retry := l.pool.cfg.ConnectRetry
		if time.Since(since) > retry.MaxDelay {
			attempt = 1
		}
		pause := retry.pause(attempt)
		l.pool.log.LogAttrs(ctx, slog.LevelWarn, "not listening, connecting again", l.about(),
			slog.Int("attempt", attempt), slog.Duration("pause", pause), slog.String("error", err.Error()))
		_ = sleep(ctx, pause) // the next attempt sees that ctx has ended
	}
}

func (l *listener) about() slog.Attr {
	return slog.String("channels", strings.Join(slices.Sorted(maps.Keys(l.channels)), " "))
}

// final reports whether to give up.
func (l *listener) final(err error) bool {
	if errors.Is(err, ErrPermission) || errors.Is(err, ErrUndefined) || errors.Is(err, errListenPooled) {
		return true
	}
	passes := errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTimeout) || errors.Is(err, errDemoted)
	return !l.listened && !passes
}

// session listens with one connection. It returns false when the loop was left.
func (l *listener) session(ctx context.Context, yield func(Notification, error) bool) (more bool, err error) {
	conn, writable, err := l.connect(ctx)
	if err != nil {
		return true, err
	}
	defer l.hangUp(ctx, conn)
	if l.listened {
		l.pool.log.LogAttrs(ctx, slog.LevelInfo, "listening again", l.about())
	}
	l.listened = true
	if !yield(Notification{Missed: true}, nil) {
		return false, nil
	}
	for {
		n, err := l.next(ctx, conn, writable)
		if err != nil {
			return true, classify(err, "", "")
		}
		channel, ok := l.channels[n.Channel]
		if ok && !yield(Notification{Channel: channel, Payload: n.Payload, PID: n.PID}, nil) {
			return false, nil
		}
	}
}

var errListenPooled = errors.New("a transaction pooler is in the way, through which notifications do not come; set Config.DirectConnString")

// connect returns a connection that listens, and whether its server took writes
// when it was made.
func (l *listener) connect(ctx context.Context) (conn *pgx.Conn, writable bool, err error) {
	if l.pool.direct == nil {
		pooled, err := l.pool.Pooled(ctx)
		if err != nil {
			return nil, false, err
		}
		if pooled {
			return nil, false, errListenPooled
		}
	}
	if conn, err = l.pool.Dedicated(ctx); err != nil {
		return nil, false, err
	}
	writable = !takesNoWrites(conn.PgConn())
	if f := fitnessOf(conn.PgConn()); f != nil {
		writable = f.writable
	}
	answer, cancel := context.WithTimeout(ctx, l.answer)
	defer cancel()
	if _, err = conn.Exec(answer, l.sql); err == nil {
		err = l.fit(conn, writable)
	}
	if err != nil {
		l.hangUp(ctx, conn)
		return nil, false, classify(err, "", l.sql)
	}
	return conn, writable, nil
}

// fit returns an error if the server of a connection took writes when it was made
// and takes none now: somebody else has taken over, and is notified.
func (l *listener) fit(conn *pgx.Conn, writable bool) error {
	if writable && l.pool.lostWrites(conn.PgConn()) {
		return &Error{Class: ErrReadOnly, Err: errDemoted}
	}
	return nil
}

var errDemoted = errors.New("the server takes no writes any more")

// hangUp closes a connection: what was not read from it is lost, as it should be.
func (l *listener) hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.answer)
	defer cancel()
	_ = conn.Close(ctx)
}

// next returns the next notification. It asks a server that is silent whether it
// is there, and whether it still takes writes.
func (l *listener) next(ctx context.Context, conn *pgx.Conn, writable bool) (*pgconn.Notification, error) {
	for {
		// A deadline of the context would, with some handlers of pgx, cancel the
		// next statement on the server.
		if err := conn.PgConn().Conn().SetReadDeadline(time.Now().Add(l.idle)); err != nil {
			return nil, err
		}
		n, err := conn.WaitForNotification(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if n != nil || err == nil || conn.IsClosed() || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if err := l.ping(ctx, conn); err != nil {
			return nil, err
		}
		if err := l.fit(conn, writable); err != nil {
			return nil, err
		}
	}
}

func (l *listener) ping(ctx context.Context, conn *pgx.Conn) error {
	if err := conn.PgConn().Conn().SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	answer, cancel := context.WithTimeout(ctx, l.answer)
	defer cancel()
	err := conn.Ping(answer)
	if err != nil && ctx.Err() == nil && answer.Err() != nil {
		return &Error{Class: ErrUnavailable, Hint: fmt.Sprintf("the server has not answered for %s", l.answer), Err: err}
	}
	return err
}
