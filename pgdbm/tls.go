package pgdbm

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// clientCert is the certificate that this side shows, read from its files. They
// may be replaced at any time. It is safe for concurrent use.
type clientCert struct {
	cfg TLSConfig
	log *slog.Logger

	mu        sync.Mutex
	cert, key []byte // contents of the files
	pair      *tls.Certificate
}

// load reads the files of t and reports all that is wrong with them. It returns
// nil when there is no client certificate.
func (t TLSConfig) load(log *slog.Logger) (*clientCert, error) {
	err := t.checkRoot()
	if t.Cert == "" {
		return nil, err
	}
	c := &clientCert{cfg: t, log: log}
	if e := c.read(); e != nil {
		return nil, errors.Join(err, e)
	}
	if leaf := c.pair.Leaf; leaf != nil && time.Now().After(leaf.NotAfter) {
		err = errors.Join(err, fmt.Errorf("pgdbm: config: TLS.Cert: the certificate in %s expired on %s: renew it", t.Cert, day(leaf.NotAfter)))
	}
	return c, err
}

// checkRoot says what is wrong with RootCert in terms of the field; pgx reads it
// again.
func (t TLSConfig) checkRoot() error {
	if t.RootCert == "" || t.RootCert == "system" {
		return nil
	}
	content, err := os.ReadFile(t.RootCert)
	if err != nil {
		return fmt.Errorf("pgdbm: config: TLS.RootCert: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(content) {
		return fmt.Errorf("pgdbm: config: TLS.RootCert: %s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", t.RootCert)
	}
	return nil
}

// use has all connections of cc show the certificate.
func (c *clientCert) use(cc *pgx.ConnConfig) {
	if c == nil {
		return
	}
	all := []*tls.Config{cc.TLSConfig}
	for _, f := range cc.Fallbacks {
		all = append(all, f.TLSConfig)
	}
	for _, t := range all {
		if t != nil {
			t.GetClientCertificate = c.get
		}
	}
}

// get is called by crypto/tls when a server asks. Files that cannot be used, for
// example because only one of them is new yet, leave the last good pair in use.
func (c *clientCert) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.read(); err != nil {
		c.log.Warn("client certificate cannot be read again, using the last one", "error", err.Error())
	}
	return c.pair, nil
}

// read makes pair of the files, if they have changed.
func (c *clientCert) read() error {
	cert, certErr := os.ReadFile(c.cfg.Cert)
	if certErr != nil {
		certErr = fmt.Errorf("pgdbm: config: TLS.Cert: %w", certErr)
	}
	key, keyErr := os.ReadFile(c.cfg.Key)
	if keyErr != nil {
		keyErr = fmt.Errorf("pgdbm: config: TLS.Key: %w", keyErr)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return err
	}
	if c.pair != nil && bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return nil
	}
	open, err := c.cfg.openKey(key)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, open)
	if err != nil {
		return fmt.Errorf("pgdbm: config: TLS.Cert %s and TLS.Key %s: %s", c.cfg.Cert, c.cfg.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	c.cert, c.key, c.pair = cert, key, &pair
	return nil
}

// openKey returns the private key among the PEM blocks of a file, decrypted.
func (t TLSConfig) openKey(content []byte) ([]byte, error) {
	wrong := func(format string, args ...any) ([]byte, error) {
		return nil, fmt.Errorf("pgdbm: config: TLS.Key "+t.Key+": "+format, args...)
	}
	var block *pem.Block
	for rest := content; ; {
		if block, rest = pem.Decode(rest); block == nil {
			return wrong("it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)")
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			break
		}
	}
	pkcs8 := block.Type == "ENCRYPTED PRIVATE KEY"
	legacy := x509.IsEncryptedPEMBlock(block) //nolint:staticcheck // weak, but what "openssl rsa -traditional" writes
	if !pkcs8 && !legacy {
		return pem.EncodeToMemory(block), nil
	}
	if t.KeyPassword == "" {
		return wrong("it is encrypted: set TLS.KeyPassword")
	}
	var der []byte
	var err error
	if pkcs8 {
		der, err = decryptPKCS8(block.Bytes, t.KeyPassword)
	} else {
		der, err = x509.DecryptPEMBlock(block, []byte(t.KeyPassword)) //nolint:staticcheck // as above
	}
	switch {
	case errors.Is(err, errKeyPassword), errors.Is(err, x509.IncorrectPasswordError):
		return wrong("TLS.KeyPassword does not open it")
	case err != nil:
		return wrong("%w", err)
	}
	open := &pem.Block{Type: "PRIVATE KEY", Bytes: der} // crypto/tls finds out which kind
	return pem.EncodeToMemory(open), nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
