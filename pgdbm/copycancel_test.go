package pgdbm_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// lateReader is a connection on which whoever writes notices first that the time
// is over; pgx then closes it under whoever reads.
type lateReader struct {
	net.Conn
	late   *atomic.Bool
	close  sync.Once
	closed chan struct{}
}

func (c *lateReader) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && c.late.Load() {
		<-c.closed
		return n, net.ErrClosed
	}
	return n, err
}

func (c *lateReader) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func TestACopyThatIsCancelledSaysSo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		is, class error
	}{
		"cancelled": {context.Canceled, nil},
		"timed out": {context.DeadlineExceeded, pgdbm.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var late atomic.Bool
			m := bind(t, open(t, pgdbm.Config{BeforeConnect: func(_ context.Context, cc *pgx.ConnConfig) error {
				dial := cc.DialFunc
				cc.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := dial(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return &lateReader{Conn: conn, late: &late, closed: make(chan struct{})}, nil
				}
				return nil
			}}), "app")
			exec(t, m, "create table {{tables.items}} (name text)")
			cancelled := func(db pgdbm.DB) error {
				hit := make(chan struct{})
				ctx, end := expire(t, hit, c.is), sync.OnceFunc(func() { close(hit) })
				late.Store(true)
				_, err := db.CopyFrom(ctx, "items", []string{"name"}, pgx.CopyFromFunc(func() ([]any, error) {
					end()
					return []any{rowName()}, nil
				}))
				late.Store(false)
				if e, _ := errors.AsType[*pgdbm.Error](err); e == nil || e.Class != c.class || !errors.Is(err, c.is) { //nolint:errorlint // the class alone
					t.Errorf("got %v", err)
				}
				if err == nil || strings.Count(err.Error(), "pgdbm: ") != 1 {
					t.Errorf("the package's prefix: %v", err)
				}
				return err
			}
			_ = cancelled(m)
			if err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error { return cancelled(tx) }); !errors.Is(err, c.is) {
				t.Errorf("InTx: %v", err)
			}
			whole(t, m)
		})
	}
}
