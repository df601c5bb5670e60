package pgdbm

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const minWatchdog = 100 * time.Millisecond

// watchdog gives up servers that do not answer any more but have not hung up
// either: a frozen process, a machine without power, a network that swallows
// everything. Without it every statement there waits for its deadline, and its
// connection stays in the pool for up to 15 seconds more while pgx tries to tell
// the server.
//
// It probes on a connection of its own. When a probe stays without an answer,
// and so does an attempt to connect anew, the connections to that address are
// closed, so that what waits on them fails, and no new ones are opened until a
// probe is answered.
type watchdog struct {
	pool  *Pool
	limit time.Duration // for both together

	start  sync.Once
	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	conns map[*watchedConn]struct{}
	mute  map[string]bool // addresses that do not answer
}

func newWatchdog(p *Pool, limit time.Duration) *watchdog {
	return &watchdog{
		pool: p, limit: limit, cancel: func() {}, ended: make(chan struct{}),
		conns: map[*watchedConn]struct{}{}, mute: map[string]bool{},
	}
}

// hook makes the watchdog see all connections that are opened.
func (w *watchdog) hook(pc *pgxpool.Config) {
	before := pc.BeforeConnect
	pc.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		if before != nil {
			if err := before(ctx, cc); err != nil {
				return err
			}
		}
		cc.DialFunc = w.dial(cc.DialFunc)
		return nil
	}
}

type probing struct{} // key of the probe's own contexts

// dial opens the pool's connections, those by which pgx cancels statements, and
// the probe's.
func (w *watchdog) dial(next pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if p, ok := ctx.Value(probing{}).(*probe); ok {
			return p.dial(ctx, next, network, address)
		}
		if w.isMute(address) {
			return nil, errMute
		}
		conn, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := &watchedConn{Conn: conn, dog: w, address: address}
		if !w.add(c) {
			return nil, errors.Join(errMute, conn.Close())
		}
		return c, nil
	}
}

var errMute = errors.New("it does not answer, and was given up by the watchdog")

// watchedConn is a connection that the watchdog may close.
type watchedConn struct {
	net.Conn

	dog     *watchdog
	address string
}

// NetConn returns the connection below.
func (c *watchedConn) NetConn() net.Conn { return c.Conn }

func (c *watchedConn) Close() error {
	c.dog.mu.Lock()
	delete(c.dog.conns, c)
	c.dog.mu.Unlock()
	return c.Conn.Close()
}

// add reports whether the address of c is still to be used.
func (w *watchdog) add(c *watchedConn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mute[c.address] {
		return false
	}
	w.conns[c] = struct{}{}
	return true
}

func (w *watchdog) isMute(address string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mute[address]
}

// giveUp closes the connections to an address and lets nobody open new ones.
func (w *watchdog) giveUp(ctx context.Context, address string) {
	w.mu.Lock()
	var lost []*watchedConn
	for c := range w.conns {
		if c.address == address {
			lost = append(lost, c)
		}
	}
	known := w.mute[address]
	w.mute[address] = true
	w.mu.Unlock()
	for _, c := range lost {
		_ = c.Close() // whoever waits on it learns of it
	}
	if !known || len(lost) > 0 {
		w.pool.log.LogAttrs(ctx, slog.LevelWarn, "server does not answer, its connections are given up",
			slog.String("address", address), slog.Int("conns", len(lost)), slog.Duration("limit", w.limit))
	}
}

// forgive lets connections to an address be opened again.
func (w *watchdog) forgive(address string) {
	w.mu.Lock()
	known := w.mute[address]
	delete(w.mute, address)
	w.mu.Unlock()
	if known {
		w.pool.log.Info("server answers again", "address", address)
	}
}

// begin starts the probes, once. Not through a pooler, which itself makes probes
// wait when it is busy: there they would prove nothing.
func (w *watchdog) begin(ctx context.Context) {
	w.start.Do(func() {
		if w.pool.isPooled() {
			w.pool.log.LogAttrs(ctx, slog.LevelWarn, "the watchdog is off: it does not work through a transaction pooler")
			close(w.ended)
			return
		}
		ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
		go func() {
			defer close(w.ended)
			w.run(ctx)
		}()
	})
}

// end ends the probes. They cannot be started again.
func (w *watchdog) end() {
	w.start.Do(func() { close(w.ended) })
	w.cancel()
	<-w.ended
}

func (w *watchdog) run(ctx context.Context) {
	lost := "" // address that did not answer the last probe
	for ctx.Err() == nil {
		p := &probe{dog: w, heard: map[string]bool{}}
		patience := w.limit
		if lost != "" {
			patience /= 2 // the other half is over
		}
		conn := p.connect(ctx, patience)
		if lost != "" && ctx.Err() == nil && !p.hasHeard(lost) {
			w.giveUp(ctx, lost)
		}
		lost = ""
		if conn == nil {
			_ = sleep(ctx, w.limit/2)
			continue
		}
		for answers := true; answers && sleep(ctx, w.limit/2) == nil; {
			if answers, lost = p.ping(ctx, conn); lost != "" {
				_ = p.last.Conn.Close() // pgx would wait for the server
			}
		}
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.limit/2)
		_ = conn.Close(closing) // the next is a new one
		cancel()
	}
}

// probe is a connection by which the watchdog finds out who answers.
type probe struct {
	dog  *watchdog
	last *probeConn // the connection, once connect has returned it

	mu    sync.Mutex
	heard map[string]bool // addresses that have answered
}

// connect opens a connection as the pool would, but also to addresses that were
// given up. It returns nil when there is none to be had.
func (p *probe) connect(ctx context.Context, patience time.Duration) *pgx.Conn {
	pc := p.dog.pool.pgx.Config()
	cc := pc.ConnConfig
	cc.Tracer = nil
	ctx = context.WithValue(ctx, probing{}, p)
	if err := pc.BeforeConnect(ctx, cc); err != nil {
		return nil
	}
	cc.ConnectTimeout = patience
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return nil
	}
	return conn
}

// ping reports whether the server answers, or else the address that was silent.
func (p *probe) ping(ctx context.Context, conn *pgx.Conn) (answers bool, silent string) {
	bounded, cancel := context.WithTimeout(ctx, p.dog.limit/2)
	defer cancel()
	err := conn.Ping(bounded)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return false, p.last.address
	}
	return err == nil, ""
}

func (p *probe) dial(ctx context.Context, next pgconn.DialFunc, network, address string) (net.Conn, error) {
	conn, err := next(ctx, network, address)
	if err != nil {
		if isTimeout(err) && !errors.Is(ctx.Err(), context.Canceled) {
			p.dog.giveUp(ctx, address)
		}
		return nil, err
	}
	p.last = &probeConn{Conn: conn, ctx: ctx, probe: p, address: address}
	return p.last, nil
}

func (p *probe) hasHeard(address string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard[address]
}

// hear notes that an address has answered, and reports whether that is news.
func (p *probe) hear(address string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := !p.heard[address]
	p.heard[address] = true
	return news
}

// probeConn notes whether the other end ever says a word.
type probeConn struct {
	net.Conn

	ctx     context.Context // of connecting
	probe   *probe
	address string
}

func (c *probeConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if (n > 0 || err != nil && !isTimeout(err) && !errors.Is(err, net.ErrClosed)) && c.probe.hear(c.address) {
		c.probe.dog.forgive(c.address)
	}
	return n, err
}

func (c *probeConn) Close() error {
	err := c.Conn.Close()
	if !c.probe.hasHeard(c.address) && !errors.Is(c.ctx.Err(), context.Canceled) {
		c.probe.dog.giveUp(c.ctx, c.address)
	}
	return err
}

func isTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout() || errors.Is(err, context.DeadlineExceeded)
}
