package pgdbm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Keys as OpenSSL writes them; see testdata/tls/README.md.
const keyPassword = "opensesame"

func tlsFile(name string) string { return filepath.Join("testdata", "tls", name) }

func TestKeysOfOpenSSL(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain", "legacy-aes256", "pkcs8-aes256-sha256", "pkcs8-aes128-sha1", "pkcs8-aes192-sha512"} {
		cfg := pgdbm.Config{Host: "localhost", TLS: pgdbm.TLSConfig{Cert: tlsFile("client.crt"), Key: tlsFile(name + ".key"), KeyPassword: keyPassword}}
		pool, err := pgdbm.New(cfg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		testkit.NoError(t, pool.Close(t.Context()))
		if name == "plain" {
			continue
		}
		for password, want := range map[string]string{
			"hunter2": "TLS.KeyPassword does not open it", "": "it is encrypted: set TLS.KeyPassword",
		} {
			cfg.TLS.KeyPassword = password
			_, err := pgdbm.New(cfg)
			testkit.ErrorContains(t, err, "pgdbm: config: TLS.Key "+tlsFile(name+".key")+": "+want)
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestTLSFilesThatAreWrong(t *testing.T) {
	t.Parallel()
	ca, err := newAuthority("authority")
	if err != nil {
		t.Fatal(err)
	}
	cert, key := ca.issued(t, "u", nil)
	oldCert, oldKey := ca.issued(t, "u", expired)
	text := file(t, "text", []byte("hello"))
	encrypted, err := os.ReadFile(tlsFile("pkcs8-aes256-sha256.key"))
	if err != nil {
		t.Fatal(err)
	}
	cut := file(t, "cut.key", []byte(strings.Replace(string(encrypted), "\nMI", "\n", 1)))
	for name, test := range map[string]struct {
		tls  pgdbm.TLSConfig
		want []string
	}{
		"missing": {
			pgdbm.TLSConfig{RootCert: "/nowhere/root.crt", Cert: "/nowhere/client.crt", Key: "/nowhere/client.key"},
			[]string{
				"pgdbm: config: TLS.RootCert: open /nowhere/root.crt: no such file", "pgdbm: config: TLS.Cert: open /nowhere/client.crt: no such file",
				"pgdbm: config: TLS.Key: open /nowhere/client.key: no such file",
			},
		},
		"no authority":       {pgdbm.TLSConfig{RootCert: text}, []string{"pgdbm: config: TLS.RootCert: " + text + " holds no certificate in PEM form"}},
		"no certificate":     {pgdbm.TLSConfig{Cert: text, Key: key}, []string{"TLS.Cert " + text + " and TLS.Key " + key + ": failed to find any PEM data in certificate"}},
		"no key":             {pgdbm.TLSConfig{Cert: cert, Key: text}, []string{"TLS.Key " + text + ": it holds no private key in PEM form"}},
		"certificate as key": {pgdbm.TLSConfig{Cert: cert, Key: cert}, []string{"TLS.Key " + cert + ": it holds no private key in PEM form"}},
		"another's key":      {pgdbm.TLSConfig{Cert: cert, Key: oldKey}, []string{"private key does not match public key"}},
		"expired":            {pgdbm.TLSConfig{Cert: oldCert, Key: oldKey}, []string{"TLS.Cert: the certificate in " + oldCert + " expired on 2021-03-04: renew it"}},
		"DES":                {pgdbm.TLSConfig{Cert: cert, Key: tlsFile("pkcs8-des3.key"), KeyPassword: keyPassword}, []string{"encrypted in a way that is not supported", "openssl pkcs8"}},
		"scrypt":             {pgdbm.TLSConfig{Cert: cert, Key: tlsFile("pkcs8-scrypt.key"), KeyPassword: keyPassword}, []string{"encrypted in a way that is not supported", "openssl pkcs8"}},
		"malformed":          {pgdbm.TLSConfig{Cert: cert, Key: cut, KeyPassword: keyPassword}, []string{"TLS.Key " + cut + ": it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pgdbm.New(pgdbm.Config{Host: "localhost", TLS: test.tls})
			testkit.ErrorContains(t, err, test.want...)
			if err != nil && strings.Contains(err.Error(), keyPassword) {
				t.Error("the password is in the error")
			}
		})
	}
}

// What ConnString says of files is pgx's to read, and says the file too.
func TestTLSFilesInConnString(t *testing.T) {
	t.Parallel()
	_, err := pgdbm.New(pgdbm.Config{ConnString: "postgres://localhost/d?sslmode=verify-full&sslrootcert=/nowhere/root.crt"})
	testkit.ErrorContains(t, err, "pgdbm: config: ConnString: TLS: read CA file: open /nowhere/root.crt: no such file")
}
