package embedded

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
)

// setPassword gives the superuser a new random password. The server is told only
// what verifies it, so that the password is in no log.
func (s *Server) setPassword(ctx context.Context) error {
	conn, err := session(ctx, s.inst.socketURL("postgres"), "pgdbm start")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost with it
	password := rand.Text()
	verifier, err := scramVerifier(password)
	if err == nil {
		_, err = conn.Exec(ctx, "ALTER ROLE postgres PASSWORD '"+verifier+"'")
	}
	if err != nil {
		return fmt.Errorf("embedded: set the password: %w", err)
	}
	s.password = password
	return nil
}

// scramVerifier returns what PostgreSQL stores of a password of ASCII characters.
func scramVerifier(password string) (string, error) {
	const rounds = 4096
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	sign := func(text string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(sign("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, b64(salt), b64(stored[:]), b64(sign("Server Key"))), nil
}

// freePort returns a TCP port of 127.0.0.1 that nobody uses. PostgreSQL cannot
// choose one itself: port 0 is an error to it.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("embedded: no free port: %w", err)
	}
	defer l.Close() //nolint:errcheck // it only chose the port
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("embedded: no free port: %s", l.Addr())
	}
	return addr.Port, nil
}
