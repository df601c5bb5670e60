package pgdbm

import (
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// hearOut makes frontends that hear a server out which hangs up before our first
// message is written: why it did so is still to be read. With TLS 1.3 that is what
// a server does which rejects the client's certificate, since the client has
// nothing to wait for.
func hearOut(build pgconn.BuildFrontendFunc) pgconn.BuildFrontendFunc {
	return func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return build(r, &startupWriter{w: w})
	}
}

// startupWriter passes over that its first message could not be written: reading
// tells why, or fails as well. (Its first write is also the TLS handshake, of which
// other errors may come.)
type startupWriter struct {
	w       io.Writer
	started bool
}

func (s *startupWriter) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	if s.started {
		return n, err
	}
	s.started = true
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "write" && !op.Timeout() {
		return len(b), nil
	}
	return n, err
}
