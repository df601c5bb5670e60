package migrations_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// cutter is a proxy before the server that cuts the connection of the first
// COMMIT that it sees once it is armed.
type cutter struct {
	network, server string
	forward         bool // let the COMMIT reach the server, and wait for its answer
	armed           atomic.Bool
}

// start returns the proxy's connection string.
func (c *cutter) start(t *testing.T, direct string) string {
	t.Helper()
	cc, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	c.network, c.server = "tcp", fmt.Sprintf("%s:%d", cc.Host, cc.Port)
	if strings.HasPrefix(cc.Host, "/") {
		c.network, c.server = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", cc.Host, cc.Port)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go c.serve(client)
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("host=127.0.0.1 port=%s user=%s password='%s' dbname=%s sslmode=disable", port, cc.User, cc.Password, cc.Database)
}

func (c *cutter) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial(c.network, c.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var muted atomic.Bool
	answered := make(chan struct{}, 1)
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := server.Read(buf)
			if err != nil {
				_ = client.Close()
				return
			}
			if muted.Load() {
				answered <- struct{}{}
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], []byte("commit\x00")) && c.armed.CompareAndSwap(true, false) {
			if c.forward {
				muted.Store(true)
				if _, err := server.Write(buf[:n]); err == nil {
					<-answered
				}
			}
			return
		}
		if _, err := io.Copy(server, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}

func TestOutcomeOfALostCommitIsRead(t *testing.T) {
	t.Parallel()
	for _, forward := range []bool{true, false} {
		t.Run(fmt.Sprintf("commit reaches the server %t", forward), func(t *testing.T) {
			t.Parallel()
			direct := testkit.ConnString(t)
			proxy := &cutter{forward: forward}
			pool := open(t, pgdbm.Config{ConnString: proxy.start(t, direct)})
			var once sync.Once
			seen := &events{on: func(e migrations.Event) {
				if e.Kind == migrations.EventFileStarted && e.File == "2_b.sql" {
					once.Do(func() { proxy.armed.Store(true) })
				}
			}}
			m := migrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "insert into {{tables.t}} values (1)", "3_c.sql", "select 1"), migrations.Config{Observer: seen})
			report, err := m.Up(t.Context())
			if !errors.Is(err, pgdbm.ErrUnavailable) {
				t.Fatalf("%v", err)
			}
			want, rest := "1_a.sql", "2_b.sql 3_c.sql"
			if forward {
				want, rest = "1_a.sql 2_b.sql", "3_c.sql"
				if !strings.Contains(err.Error(), "the connection was lost after the transaction had been committed") {
					t.Errorf("%v", err)
				}
			}
			if applied(report) != want {
				t.Errorf("reported %s, want %s", applied(report), want)
			}
			if got := up(t, m); got != rest {
				t.Errorf("the next run applied %s, want %s", got, rest)
			}
			if n := value[int](t, pool, "select count(*) from app.t"); n != 1 {
				t.Errorf("%d rows", n)
			}
		})
	}
}
