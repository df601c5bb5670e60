package pgdbm_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// fault is what happens on the way to the server.
type fault int

const (
	cutRequest fault = iota + 1 // the connection breaks, the server does not get the request
	cutAnswer                   // the server gets the request, then the connection breaks
	freeze                      // the server gets the request, no answer comes
)

// wire is a TCP address in front of a server. It does something wrong when told so.
type wire struct {
	t      *testing.T
	server *pgx.ConnConfig
	port   uint16
	thaw   chan struct{} // closed: answers that were frozen arrive

	mu    sync.Mutex
	when  []byte
	what  fault
	hit   chan struct{}
	pairs map[*link]bool
}

// link is a connection through the wire.
type link struct {
	client, server net.Conn
	mu             sync.Mutex
	what           fault
}

// newWire stands before the server of a database.
func newWire(t *testing.T, connString string) *wire {
	t.Helper()
	cc, err := pgx.ParseConfig(connString)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, server: cc, port: portOf(listener), thaw: make(chan struct{}), pairs: map[*link]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.carry(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.cut()
		wg.Wait()
	})
	return w
}

// config is that of a pool through the wire.
func (w *wire) config() pgdbm.Config {
	return pgdbm.Config{
		ConnString: fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s user=%s sslmode=disable", w.port, w.server.Database, w.server.User),
		Password:   w.server.Password, Pooler: pgdbm.PoolerNone,
	}
}

// on makes a fault happen with the next request that holds text. The returned
// channel is closed when it did.
func (w *wire) on(text string, what fault) (hit <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.when, w.what, w.hit = []byte(text), what, make(chan struct{})
	return w.hit
}

// cut breaks all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.pairs {
		p.close()
	}
}

func (w *wire) faultOf(request []byte) fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.when == nil || !bytes.Contains(request, w.when) {
		return 0
	}
	w.when = nil
	close(w.hit)
	return w.what
}

func (w *wire) carry(client net.Conn) {
	network, address := "tcp", net.JoinHostPort(w.server.Host, fmt.Sprint(w.server.Port))
	if strings.HasPrefix(w.server.Host, "/") {
		network, address = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", w.server.Host, w.server.Port)
	}
	server, err := net.Dial(network, address)
	if err != nil {
		_ = client.Close()
		return
	}
	p := &link{client: client, server: server}
	w.mu.Lock()
	w.pairs[p] = true
	w.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { w.requests(p) })
	w.answers(p)
	wg.Wait()
	w.mu.Lock()
	delete(w.pairs, p)
	w.mu.Unlock()
}

func (w *wire) requests(p *link) {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := p.client.Read(buf)
		if err != nil {
			return
		}
		what := w.faultOf(buf[:n])
		if what == cutRequest {
			return
		}
		if what != 0 {
			p.set(what)
		}
		if _, err := p.server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (w *wire) answers(p *link) {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := p.server.Read(buf)
		if err != nil {
			return
		}
		switch p.get() {
		case cutAnswer:
			return
		case freeze:
			select {
			case <-w.thaw:
			case <-w.t.Context().Done():
				return
			}
		}
		if _, err := p.client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *link) set(what fault) { p.mu.Lock(); defer p.mu.Unlock(); p.what = what }
func (p *link) get() fault     { p.mu.Lock(); defer p.mu.Unlock(); return p.what }

func (p *link) close() {
	_ = p.client.Close()
	_ = p.server.Close()
}

// setupWire is setup through a wire.
func setupWire(t *testing.T) (*pgdbm.Manager, *wire) {
	t.Helper()
	direct := setup(t)
	w := newWire(t, direct.Pool().Pgx().Config().ConnString())
	return bind(t, open(t, w.config()), "app"), w
}

// expire returns a context that ends when hit does, as err says: by cancellation
// or by its deadline.
func expire(t *testing.T, hit <-chan struct{}, err error) context.Context {
	t.Helper()
	ctx := &endedBy{Context: t.Context(), done: make(chan struct{}), err: err}
	go func() {
		select {
		case <-hit:
			close(ctx.done)
		case <-t.Context().Done():
		}
	}()
	return ctx
}

type endedBy struct {
	context.Context
	done chan struct{}
	err  error
}

func (c *endedBy) Done() <-chan struct{} { return c.done }

func (c *endedBy) Deadline() (time.Time, bool) { return time.Time{}, false }

func (c *endedBy) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}
