package pgdbm_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// secureServer is a server with TCP, passwords and TLS, that the tests of this
// package share. Its users: plain (password, encrypted or not), tlsonly
// (password, only encrypted), mutual (by certificate), and rotating and crowded,
// which one test each changes.
type secureServer struct {
	*embedded.Server
	admin *pgx.ConnConfig
	port  uint16
	ca    *authority
	root  string // file with ca's certificate
}

const userPassword = "hunter2 of 'the' user\\" // of plain and tlsonly

var (
	secureStarted atomic.Bool
	secureServers = sync.OnceValues(func() (*secureServer, error) {
		secureStarted.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		return startSecureServer(ctx)
	})
)

// secure returns the server.
func secure(t *testing.T) *secureServer {
	t.Helper()
	testkit.Version(t) // the tests may be told to do without a server
	s, err := secureServers()
	if errors.Is(err, embedded.ErrNoBinaries) {
		t.Skipf("there is no PostgreSQL to start with TLS: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stopSecureServer() {
	if !secureStarted.Load() {
		return
	}
	if s, err := secureServers(); err == nil {
		_ = s.Close(context.Background())
		_ = os.Remove(s.root)
	}
}

func startSecureServer(ctx context.Context) (*secureServer, error) {
	ca, err := newAuthority("pgdbm test authority")
	if err != nil {
		return nil, err
	}
	server, err := embedded.Start(ctx, embedded.Config{Private: true, TCP: true, Settings: map[string]string{
		"fsync": "off", "shared_buffers": "16MB", "max_connections": "60",
	}})
	if err != nil {
		return nil, err
	}
	s := &secureServer{Server: server, ca: ca}
	if err := s.configure(ctx); err != nil {
		return nil, errors.Join(err, server.Close(ctx))
	}
	return s, nil
}

func (s *secureServer) configure(ctx context.Context) (err error) {
	if s.admin, err = pgx.ParseConfig(s.ConnString("postgres")); err != nil {
		return err
	}
	s.port = s.admin.Port
	f, err := os.CreateTemp("", "pgdbm-root-*.crt")
	if err != nil {
		return err
	}
	s.root = f.Name()
	if _, err := f.Write(s.ca.pem); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.put(ctx, "ca.crt", s.ca.pem); err != nil {
		return err
	}
	if err := s.serveAs(ctx, nil); err != nil {
		return err
	}
	// The password is sent as its verifier would be by psql: it may have quotes.
	quoted := "'" + strings.ReplaceAll(userPassword, "'", "''") + "'"
	for _, sql := range []string{
		"create role plain login password " + quoted, "create role tlsonly login password " + quoted, "create role mutual login",
		"create role rotating login", "create role crowded login password " + quoted,
		"alter system set ssl_ca_file = 'ca.crt'", "alter system set ssl = on",
	} {
		if err := s.exec(ctx, sql); err != nil {
			return err
		}
	}
	err = s.put(ctx, "pg_hba.conf", []byte(`local all all trust
hostssl all mutual all cert
hostssl all tlsonly all scram-sha-256
host all postgres,plain,rotating,crowded all scram-sha-256
`))
	if err != nil {
		return err
	}
	return s.settled(ctx)
}

// settled waits until the server shows a good certificate: it reads its files
// again when it comes to it.
func (s *secureServer) settled(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		secured := s.config("plain")
		secured.TLS.RootCert = s.root
		pool, err := pgdbm.Open(ctx, secured)
		if err == nil {
			return pool.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// serveAs has the server show a certificate for localhost.
func (s *secureServer) serveAs(ctx context.Context, change func(*x509.Certificate)) error {
	c, err := s.ca.issue("server", func(c *x509.Certificate) {
		c.DNSNames = []string{"localhost"}
		if change != nil {
			change(c)
		}
	})
	if err != nil {
		return err
	}
	return errors.Join(s.put(ctx, "server.crt", c.cert), s.put(ctx, "server.key", c.key))
}

// put writes a file into the data directory, as the server's own user, and has
// the server read its configuration again.
func (s *secureServer) put(ctx context.Context, name string, content []byte) error {
	lines := "'" + strings.ReplaceAll(string(content), "'", "''") + "'"
	return s.exec(ctx, fmt.Sprintf(`copy (select string_to_table(%s, E'\n')) to program 'umask 077; cat > %s'`, lines, name))
}

func (s *secureServer) exec(ctx context.Context, sql string) error {
	conn, err := pgx.ConnectConfig(ctx, s.admin)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(ctx, sql); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "select pg_reload_conf()")
	return err
}

// config reaches the server as a user, by the name that its certificate is for.
func (s *secureServer) config(user string) pgdbm.Config {
	cfg := pgdbm.Config{
		Host: "localhost", Port: s.port, Database: "postgres", User: user, MaxConns: 2,
		ConnectRetry: pgdbm.RetryConfig{Attempts: 5, Delay: time.Millisecond},
	}
	if user != "mutual" {
		cfg.Password = userPassword
	}
	return cfg
}

// encrypted opens a pool and returns whether its connection is encrypted, and the
// serial number of the client's certificate.
func encrypted(t *testing.T, cfg pgdbm.Config) (ssl bool, serial string) {
	t.Helper()
	pool := open(t, cfg)
	err := pool.Pgx().QueryRow(t.Context(), "select ssl, coalesce(client_serial::text, '') from pg_stat_ssl where pid = pg_backend_pid()").Scan(&ssl, &serial)
	if err != nil {
		t.Fatal(err)
	}
	return ssl, serial
}
