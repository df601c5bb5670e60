package pgdbm_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	s := secure(t)
	t.Run("with a good certificate", func(t *testing.T) {
		t.Run("modes", func(t *testing.T) { t.Parallel(); tlsModes(t, s) })
		t.Run("mistakes", func(t *testing.T) { t.Parallel(); tlsMistakes(t, s) })
		t.Run("beside a host that is down", func(t *testing.T) { t.Parallel(); tlsBesideAHostThatIsDown(t, s) })
		t.Run("mutual", func(t *testing.T) { t.Parallel(); mutualTLS(t, s) })
	})
	badCertificates(t, s)
}

func tlsModes(t *testing.T, s *secureServer) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", s.port)
	user := url.UserPassword("plain", userPassword).String()
	for name, test := range map[string]struct {
		change func(*pgdbm.Config)
		plain  bool
	}{
		"disable": {change: func(c *pgdbm.Config) { c.TLS.Mode = "disable" }, plain: true},
		"nothing": {change: func(*pgdbm.Config) {}}, // sslmode=prefer
		"require": {change: func(c *pgdbm.Config) { c.Host, c.TLS.Mode = "127.0.0.1", "require" }},
		"verify-ca": {change: func(c *pgdbm.Config) {
			c.Host, c.TLS = "127.0.0.1", pgdbm.TLSConfig{Mode: "verify-ca", RootCert: s.root}
		}},
		"verify-full": {change: func(c *pgdbm.Config) { c.TLS = pgdbm.TLSConfig{Mode: "verify-full", RootCert: s.root} }},
		"a URL": {change: func(c *pgdbm.Config) {
			*c = pgdbm.Config{ConnString: "postgres://" + user + "@localhost:" + fmt.Sprint(s.port) + "/postgres", TLS: pgdbm.TLSConfig{RootCert: s.root}}
		}},
		"a URL of two hosts": {change: func(c *pgdbm.Config) {
			*c = pgdbm.Config{ConnString: "postgres://" + user + "@localhost:1,localhost:" + fmt.Sprint(s.port) + "/postgres?", TLS: pgdbm.TLSConfig{RootCert: s.root}}
		}},
		"a URL that says less": {change: func(c *pgdbm.Config) {
			*c = pgdbm.Config{ConnString: "postgres://" + user + "@" + address + "/postgres?sslmode=verify-ca", TLS: pgdbm.TLSConfig{RootCert: s.root}}
		}},
		"keywords": {change: func(c *pgdbm.Config) {
			*c = pgdbm.Config{
				ConnString: fmt.Sprintf(`host=localhost port=%d user=plain dbname=postgres password='hunter2 of \'the\' user\\' application_name=x\`, s.port),
				TLS:        pgdbm.TLSConfig{RootCert: s.root},
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := s.config("plain")
			test.change(&cfg)
			if ssl, _ := encrypted(t, cfg); ssl == test.plain {
				t.Errorf("encrypted: %t", ssl)
			}
		})
	}
}

// What is wrong with encryption cannot be cured by waiting: it is reported at
// once, and says which thing is wrong.
func tlsMistakes(t *testing.T, s *secureServer) {
	t.Helper()
	other, err := newAuthority("another authority")
	if err != nil {
		t.Fatal(err)
	}
	otherRoot := file(t, "root.crt", other.pem)
	strangeCert, strangeKey := other.issued(t, "mutual", nil)
	wrongCert, wrongKey := s.ca.issued(t, "somebody", nil)
	for name, test := range map[string]struct {
		user   string
		change func(*pgdbm.Config)
		class  error
		want   []string
	}{
		"wrong host": {
			change: func(c *pgdbm.Config) { c.Host, c.TLS.RootCert = "127.0.0.1", s.root }, // verify-full by default
			want:   []string{"the server's certificate is for localhost, not for 127.0.0.1: connect by that name", "verify-ca"},
		},
		"wrong host among keywords that end in a backslash": {
			change: func(c *pgdbm.Config) {
				c.ConnString = fmt.Sprintf(`user=plain port=%d host=127.0.0.1\`, s.port)
				c.Host, c.Port, c.Database, c.User, c.TLS.RootCert = "", 0, "", "", s.root
			},
			want: []string{"the server's certificate is for localhost, not for 127.0.0.1"},
		},
		"wrong host in a URL of two": {
			change: func(c *pgdbm.Config) {
				c.ConnString = fmt.Sprintf("postgres://plain@127.0.0.1:%d,127.0.0.1:%[1]d/postgres?a=b", s.port)
				c.Host, c.Port, c.Database, c.User, c.TLS.RootCert = "", 0, "", "", s.root
			},
			want: []string{"the server's certificate is for localhost, not for 127.0.0.1"},
		},
		"wrong authority": {
			change: func(c *pgdbm.Config) { c.TLS = pgdbm.TLSConfig{RootCert: otherRoot} },
			want:   []string{"signed by pgdbm test authority, which is not among the trusted authorities: set TLS.RootCert"},
		},
		"wrong authority for verify-ca": {
			change: func(c *pgdbm.Config) { c.TLS = pgdbm.TLSConfig{Mode: "verify-ca", RootCert: otherRoot} },
			want:   []string{"signed by pgdbm test authority, which is not among the trusted authorities: set TLS.RootCert"},
		},
		"no authority": {
			change: func(c *pgdbm.Config) { c.TLS.Mode = "verify-full" },
			want:   []string{"signed by pgdbm test authority, which is not among the trusted authorities: set TLS.RootCert"},
		},
		"no encryption where it is wanted": {
			user: "tlsonly", class: pgdbm.ErrPermission,
			change: func(c *pgdbm.Config) { c.TLS.Mode = "disable" },
			want:   []string{"no encryption", "set TLS.Mode to verify-full"},
		},
		"no client certificate": {
			user: "mutual", class: pgdbm.ErrPermission,
			change: func(c *pgdbm.Config) { c.TLS.RootCert = s.root },
			want:   []string{"connection requires a valid client certificate", "set TLS.Cert and TLS.Key"},
		},
		"client certificate of another authority": {
			user: "mutual", class: pgdbm.ErrPermission,
			change: func(c *pgdbm.Config) { c.TLS = pgdbm.TLSConfig{RootCert: s.root, Cert: strangeCert, Key: strangeKey} },
			want:   []string{"the server rejects the client's certificate, TLS.Cert (unknown certificate authority)"},
		},
		"the same, hung up before our first message": {
			user: "mutual", class: pgdbm.ErrPermission,
			change: func(c *pgdbm.Config) {
				c.TLS = pgdbm.TLSConfig{RootCert: s.root, Cert: strangeCert, Key: strangeKey}
				c.BeforeConnect = speechless
			},
			want: []string{"the server rejects the client's certificate, TLS.Cert (unknown certificate authority)"},
		},
		"client certificate of another user": {
			user: "mutual", class: pgdbm.ErrPermission,
			change: func(c *pgdbm.Config) { c.TLS = pgdbm.TLSConfig{RootCert: s.root, Cert: wrongCert, Key: wrongKey} },
			want:   []string{`certificate authentication failed for user "mutual"`, "the name (CN) in the client's certificate, TLS.Cert, must be the user's"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.user == "" {
				test.user = "plain"
			}
			cfg := s.config(test.user)
			test.change(&cfg)
			_, err := pgdbm.Open(t.Context(), cfg)
			testkit.ErrorContains(t, err, append(test.want, "attempt 1 of 5")...)
			if errors.Is(err, pgdbm.ErrUnavailable) || test.class != nil && !errors.Is(err, test.class) {
				t.Errorf("class of %v", err)
			}
			if strings.ContainsAny(err.Error(), "\n\t") {
				t.Errorf("more than one line: %v", err)
			}
		})
	}
}

// speechless lets nothing be written to a server after the TLS handshake, as when
// it has reset the connection by then: a client of TLS 1.3 may write before it
// learns what the server thinks of its certificate.
func speechless(_ context.Context, cc *pgx.ConnConfig) error {
	cc.AfterNetConnect = func(ctx context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
		secured, ok := conn.(*tls.Conn)
		if !ok {
			return conn, fmt.Errorf("not TLS, but %T", conn)
		}
		if err := secured.HandshakeContext(ctx); err != nil {
			return conn, err
		}
		tcp, ok := secured.NetConn().(*net.TCPConn)
		if !ok {
			return conn, fmt.Errorf("not TCP, but %T", secured.NetConn())
		}
		if err := tcp.CloseWrite(); !errors.Is(err, syscall.ENOTCONN) { // the server was faster: nothing can be written either
			return conn, err
		}
		return conn, nil
	}
	return nil
}

func TestTLSServerWithoutTLS(t *testing.T) {
	t.Parallel()
	cc := open(t, pgdbm.Config{}).Pgx().Config().ConnConfig
	if cc.TLSConfig != nil {
		t.Skip("the server that the environment names speaks TLS")
	}
	proxy := newProxy(t, cc.Host, cc.Port) // a Unix socket never speaks TLS
	_, err := pgdbm.Open(t.Context(), pgdbm.Config{Host: "127.0.0.1", Port: proxy.port, Database: cc.Database, User: cc.User, Password: cc.Password, TLS: pgdbm.TLSConfig{Mode: "require"}})
	testkit.ErrorContains(t, err, "attempt 1 of 6", "the server does not speak TLS: turn ssl on there, or set TLS.Mode to disable")
	if errors.Is(err, pgdbm.ErrUnavailable) {
		t.Errorf("%v is taken for something that passes", err)
	}
}

// Of two hosts, one that is down may come back: there is something to wait for.
func tlsBesideAHostThatIsDown(t *testing.T, s *secureServer) {
	t.Helper()
	_, err := pgdbm.Open(t.Context(), pgdbm.Config{
		ConnString: fmt.Sprintf("postgres://plain@localhost:1,127.0.0.1:%d/postgres", s.port), TLS: pgdbm.TLSConfig{RootCert: s.root},
		ConnectRetry: pgdbm.RetryConfig{Attempts: 2, Delay: time.Millisecond},
	})
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.ErrorContains(t, err, "attempt 2 of 2", "connection refused", "is for localhost, not for 127.0.0.1")
}

// mutualTLS renews the client's certificate while the pool is open.
func mutualTLS(t *testing.T, s *secureServer) {
	t.Helper()
	cert, key := s.ca.issued(t, "mutual", nil)
	cfg := s.config("mutual")
	cfg.TLS = pgdbm.TLSConfig{RootCert: s.root, Cert: cert, Key: key}
	log := &logBuffer{}
	cfg.Logger = log.logger()
	pool := open(t, cfg)
	show := func() (serial string) {
		t.Helper()
		pool.Pgx().Reset()
		if err := pool.Pgx().QueryRow(t.Context(), "select client_serial::text from pg_stat_ssl where pid = pg_backend_pid()").Scan(&serial); err != nil {
			t.Fatal(err)
		}
		return serial
	}
	first := show()
	if first == "" {
		t.Error("no certificate was shown")
	}

	renewed, err := s.ca.issue("mutual", nil)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, cert, renewed.cert) // only one of the files is new yet
	if got := show(); got != first || !strings.Contains(log.String(), "client certificate cannot be read again") {
		t.Errorf("serial %s, was %s; log: %s", got, first, log)
	}
	rewrite(t, key, renewed.key)
	if got := show(); got == first {
		t.Error("the new certificate is not used")
	}
}

// badCertificates has the server show certificates that are no good, one after
// the other.
func badCertificates(t *testing.T, s *secureServer) {
	t.Helper()
	defer func() {
		if err := errors.Join(s.serveAs(t.Context(), nil), s.settled(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	tomorrow := time.Now().Add(24 * time.Hour).UTC()
	for _, bad := range []struct {
		change func(*x509.Certificate)
		want   string
	}{
		{expired, "the server's certificate expired on 2021-03-04: renew it"},
		{func(c *x509.Certificate) { c.NotBefore, c.NotAfter = tomorrow, tomorrow.Add(time.Hour) }, "the server's certificate is not valid before " + tomorrow.Format(time.DateOnly) + ": check the clocks"},
		{func(c *x509.Certificate) { c.DNSNames = nil }, "the server's certificate names no host (it has no subject alternative names): issue it anew for localhost"},
		{func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "the server's certificate may not be used for this: issue it anew"},
	} {
		if err := s.serveAs(t.Context(), bad.change); err != nil {
			t.Fatal(err)
		}
		cfg := s.config("plain")
		cfg.TLS.RootCert = s.root
		var err error
		testkit.Eventually(t, "the server does not show a certificate of which to say: "+bad.want, func() bool { // once it has read its files again
			var pool *pgdbm.Pool
			if pool, err = pgdbm.Open(t.Context(), cfg); err == nil {
				testkit.NoError(t, pool.Close(t.Context()))
			}
			return err != nil && strings.Contains(err.Error(), bad.want)
		})
		testkit.ErrorContains(t, err, "attempt 1 of 5")
		if errors.Is(err, pgdbm.ErrUnavailable) {
			t.Errorf("%v is taken for something that passes", err)
		}
	}
}
