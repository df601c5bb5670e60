//go:build unix

package pgdbm

import (
	"errors"
	"net"
	"syscall"
)

// socket looks at what a connection's peer has sent, without reading it.
type socket struct {
	raw  syscall.RawConn
	look func(fd uintptr)

	buf [1]byte
	n   int // what the last look saw
	err error
}

// newSocket returns the socket below c, nil if it cannot be reached.
func newSocket(c net.Conn) *socket {
	for {
		outer, ok := c.(interface{ NetConn() net.Conn }) // TLS and the like
		if !ok {
			break
		}
		c = outer.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.look = func(fd uintptr) {
		s.n, _, s.err = syscall.Recvfrom(int(fd), s.buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
	return s
}

// quiet reports whether the peer has sent nothing and has not hung up. Where
// that cannot be told it is true.
func (s *socket) quiet() bool {
	if s == nil {
		return true
	}
	if s.raw.Control(s.look) != nil {
		return false
	}
	return errors.Is(s.err, syscall.EAGAIN) || errors.Is(s.err, syscall.EINTR)
}

// hungUp reports whether the peer has closed the connection and sent nothing that
// is yet to be read. Where that cannot be told it is false.
func (s *socket) hungUp() bool {
	if s == nil || s.raw.Control(s.look) != nil || errors.Is(s.err, syscall.EAGAIN) || errors.Is(s.err, syscall.EINTR) {
		return false
	}
	return s.err != nil || s.n == 0
}
