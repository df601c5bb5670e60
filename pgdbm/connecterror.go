package pgdbm

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// fromConnect classifies why no connection could be opened: ErrUnavailable, which
// waiting may cure, unless encryption is to blame.
func (e *Error) fromConnect(err *pgconn.ConnectError) {
	e.Class = ErrUnavailable
	all := dials(err)
	final := 0
	var class error
	for _, dial := range all {
		hint, c, ok := tlsHint(dial)
		if !ok {
			continue
		}
		final++
		class = cmp.Or(class, c)
		e.Hint = cmp.Or(e.Hint, hint)
	}
	// One host may have several addresses. Of several hosts another may come back.
	if final > 0 && (final == len(all) || oneHost(err.Config)) {
		e.Class = class
	}
}

func oneHost(cfg *pgconn.Config) bool {
	for _, f := range cfg.Fallbacks {
		if f.Host != cfg.Host || f.Port != cfg.Port {
			return false
		}
	}
	return true
}

// dials returns what happened at each address that was tried.
func dials(err *pgconn.ConnectError) []error {
	cause := err.Unwrap()
	if many, ok := cause.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{cause}
}

// connectText is err's message with a failed connection in one line: pgx takes
// several, and with sslmode=prefer says everything twice.
func connectText(err error) string {
	text := err.Error()
	ce, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return text
	}
	var parts []string
	for _, dial := range dials(ce) {
		if part := strings.ReplaceAll(dial.Error(), "\n", ", "); len(parts) == 0 || parts[len(parts)-1] != part {
			parts = append(parts, part)
		}
	}
	line := fmt.Sprintf("user=%s database=%s: %s", ce.Config.User, ce.Config.Database, strings.Join(parts, "; "))
	return strings.Replace(text, ce.Error(), line, 1)
}

// tlsHint says what to do about an error of encryption, and its class where it
// has one; false for other errors.
func tlsHint(err error) (hint string, class error, ok bool) {
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return hostnameHint(e), nil, true
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		by := "signed by " + issuer(e.Cert)
		if e.Cert != nil && !e.Cert.IsCA && e.Cert.Issuer.String() == e.Cert.Subject.String() {
			by = "signed by itself"
		}
		return "the server's certificate is " + by + ", which is not among the trusted authorities: set TLS.RootCert to the file with that authority's certificate", nil, true
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return invalidHint(e), nil, true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "what answers there does not speak TLS: check host and port", nil, true
	}
	text := err.Error()
	if strings.Contains(text, "server refused TLS connection") {
		return "the server does not speak TLS: turn ssl on there, or set TLS.Mode to disable", nil, true
	}
	if _, alert, ok := strings.Cut(text, "remote error: tls: "); ok {
		return alertHint(alert), ErrPermission, true
	}
	return "", nil, false
}

func hostnameHint(e x509.HostnameError) string {
	names := slices.Clone(e.Certificate.DNSNames)
	for _, ip := range e.Certificate.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "the server's certificate names no host (it has no subject alternative names): issue it anew for " + e.Host + ", or use TLS.Mode verify-ca"
	}
	return fmt.Sprintf("the server's certificate is for %s, not for %s: connect by that name, issue it for this one, or use TLS.Mode verify-ca", strings.Join(names, ", "), e.Host)
}

func invalidHint(e x509.CertificateInvalidError) string {
	whose := "the server's certificate"
	if e.Cert.IsCA {
		whose = "the certificate of the authority " + cmp.Or(e.Cert.Subject.CommonName, e.Cert.Subject.String())
	}
	switch now := time.Now(); {
	case e.Reason != x509.Expired:
		return whose + " may not be used for this: issue it anew"
	case now.Before(e.Cert.NotBefore):
		return fmt.Sprintf("%s is not valid before %s: check the clocks", whose, day(e.Cert.NotBefore))
	default:
		return fmt.Sprintf("%s expired on %s: renew it", whose, day(e.Cert.NotAfter))
	}
}

func issuer(cert *x509.Certificate) string {
	if cert == nil {
		return "somebody"
	}
	return cmp.Or(cert.Issuer.CommonName, cert.Issuer.String())
}

// alertHint explains why a server ended the encrypted connection.
func alertHint(alert string) string {
	switch {
	case strings.Contains(alert, "certificate required"):
		return "the server wants a client certificate: set TLS.Cert and TLS.Key"
	case strings.Contains(alert, "certificate"):
		return "the server rejects the client's certificate, TLS.Cert (" + alert + ")"
	default:
		return "the server ended the TLS handshake (" + alert + ")"
	}
}

// serverHint says what to do when a server refuses a connection; "" if it is
// something else.
func serverHint(pg *pgconn.PgError) string {
	has := func(part string) bool { return strings.Contains(pg.Message, part) }
	switch state := stateOf(pg); {
	case refusesSettings(pg):
		return "a pooler answers, which does not take the settings of a session: Config.Pooler must not be none, and DirectConnString must lead past it"
	case state == "28P01":
		return "check the user and the password (Config.Password, DB_PASSWORD, PGPASSWORD or the password file)"
	case state == "3D000":
		return "create the database, or correct its name"
	case state != "28000":
		return ""
	case has("valid client certificate"), has("client certificate required"):
		return "set TLS.Cert and TLS.Key"
	case has("certificate authentication failed"):
		return "the name (CN) in the client's certificate, TLS.Cert, must be the user's, or mapped to it in pg_ident.conf"
	case has("TLS connection required"), has("SSL required"):
		return "the pooler wants an encrypted connection: set TLS.Mode to verify-full"
	case has("no encryption"):
		return "pg_hba.conf may want an encrypted connection: set TLS.Mode to verify-full"
	case has("pg_hba.conf"):
		return "add a line to pg_hba.conf for this user, database and address"
	}
	return ""
}
