package main

import (
	"context"
	"errors"
	"net"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A tape lets a library work without a server: what the server answered once is
// answered again, at once, whatever is asked. What is left is the client's own
// work, which is measured to a hundredth where a server's pace hides it.
type tape struct {
	delay   time.Duration // of what is sent to the server, as if it were far away
	mode    tapeMode
	answers [][]byte // in the order in which they were read
	next    int      // of answers
	rest    []byte   // of the answer that is being read
}

type tapeMode int

const (
	live tapeMode = iota
	recording
	replaying
)

var errTape = errors.New("the operation asks for more than was recorded")

// dial puts the tape between a connection and its server.
func (t *tape) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	return taped{conn, t}, err
}

var _ pgconn.DialFunc = (*tape)(nil).dial

type taped struct {
	net.Conn

	tape *tape
}

func (c taped) Read(b []byte) (int, error) {
	t := c.tape
	if t.mode != replaying {
		n, err := c.Conn.Read(b)
		if t.mode == recording && n > 0 {
			t.answers = append(t.answers, append([]byte(nil), b[:n]...))
		}
		return n, err
	}
	if len(t.rest) == 0 {
		if t.next == len(t.answers) {
			return 0, errTape
		}
		t.rest = t.answers[t.next]
		t.next++
	}
	n := copy(b, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

func (c taped) Write(b []byte) (int, error) {
	if c.tape.mode == replaying {
		return len(b), nil
	}
	time.Sleep(c.tape.delay)
	return c.Conn.Write(b)
}

func (c taped) SetDeadline(at time.Time) error {
	if c.tape.mode == replaying {
		return nil
	}
	return c.Conn.SetDeadline(at)
}

// replay measures an operation of a library whose connections are on the tape. It
// runs a few times for real, until all statements are prepared, and once for the
// tape; from then on each time is that one again.
func (m *meter) replay(ctx context.Context, l Library, op operation, t *tape) (s sample, err error) {
	const warm = 3
	times := 4 * op.times
	do, err := op.prepare(ctx, m.table, l, warm+1+times)
	if err != nil {
		return s, err
	}
	defer func() { *t = tape{delay: t.delay} }()
	for i := range warm + 1 {
		if i == warm {
			t.mode = recording
		}
		if err := do(i); err != nil {
			return s, err
		}
	}
	t.mode = replaying
	runtime.GC()
	return repeat(times, func(i int) error {
		if t.next, t.rest = 0, nil; op.reads {
			i = -1 // the same again
		}
		err := do(warm + 1 + i)
		if _, other := errors.AsType[wrong](err); other { // the row is that of the tape
			err = nil
		}
		if err == nil && t.next != len(t.answers) {
			err = errors.New("replayed: not all that was recorded was asked for")
		}
		return err
	})
}
