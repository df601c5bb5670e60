package pgdbm

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// poolConfig turns a valid Config with its defaults into pgx's.
func (c Config) poolConfig() (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(c.connString())
	if err != nil {
		return nil, parseError(err, c)
	}
	cc := pc.ConnConfig
	if c.Password != "" {
		cc.Password = c.Password
	}
	if c.MaxConns > 0 {
		pc.MaxConns = c.MaxConns
	}
	if c.MinConns > 0 {
		pc.MinConns = c.MinConns
	}
	pc.MaxConnLifetime = c.MaxConnLifetime
	pc.MaxConnLifetimeJitter = c.MaxConnLifetimeJitter
	pc.MaxConnIdleTime = c.MaxConnIdleTime
	if c.StatementCache > 0 {
		cc.StatementCacheCapacity = c.StatementCache
	}
	params := cc.RuntimeParams
	if params["application_name"] == "" || c.ApplicationName != defaultApplicationName {
		params["application_name"] = c.ApplicationName
	}
	maps.Copy(params, c.RuntimeParams)
	for name, value := range c.timeouts() {
		if _, set := params[name]; !set {
			params[name] = value
		}
	}
	return pc, nil
}

// timeouts returns the server settings of the configured limits, in milliseconds.
func (c Config) timeouts() map[string]string {
	settings := map[string]string{}
	for name, d := range map[string]time.Duration{
		"statement_timeout":                   c.StatementTimeout,
		"lock_timeout":                        c.LockTimeout,
		"idle_in_transaction_session_timeout": c.IdleInTransactionTimeout,
	} {
		if d > 0 {
			settings[name] = strconv.FormatInt(max(1, d.Milliseconds()), 10)
		}
	}
	return settings
}

// connString returns the connection string that pgx parses: ConnString, or one
// made of the fields, completed by the TLS fields.
func (c Config) connString() string {
	params := map[string]string{
		"sslmode": c.TLS.Mode, "sslrootcert": c.TLS.RootCert, "sslcert": c.TLS.Cert,
		"sslkey": c.TLS.Key, "sslpassword": c.TLS.KeyPassword,
	}
	base := c.ConnString
	if base == "" {
		params["host"], params["dbname"], params["user"] = c.Host, c.Database, c.User
		if c.Port != 0 {
			params["port"] = strconv.Itoa(int(c.Port))
		}
	}
	maps.DeleteFunc(params, func(_, v string) bool { return v == "" })
	if isURL(base) {
		if len(params) == 0 {
			return base
		}
		u, err := url.Parse(base)
		if err != nil {
			return base // pgx reports it
		}
		query := u.Query()
		for name, value := range params {
			query.Set(name, value)
		}
		u.RawQuery = query.Encode()
		return u.String()
	}
	var b strings.Builder
	b.WriteString(base)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		fmt.Fprintf(&b, " %s='%s'", name, quoteValue.Replace(params[name]))
	}
	return strings.TrimSpace(b.String())
}

var quoteValue = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

func isURL(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

// parseError says why a connection string was refused without repeating it.
func parseError(err error, c Config) error {
	reason := err.Error()
	if pe, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		reason = "it is malformed"
		if cause := pe.Unwrap(); cause != nil {
			reason = cause.Error()
		}
	}
	for _, secret := range []string{c.ConnString, c.Password, c.TLS.KeyPassword} {
		if secret != "" {
			reason = strings.ReplaceAll(reason, secret, mask)
		}
	}
	return fmt.Errorf("pgdbm: config: connection string: %s", Mask(reason))
}

const mask = "xxxxx"

var (
	queryPassword   = regexp.MustCompile(`(?i)([?&](?:ssl)?password=)[^&\s]*`)
	keywordPassword = regexp.MustCompile(`(?i)(\b(?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'?|[^\s&]+)`)
)

// Mask replaces the passwords in a connection string of any form (URL, password
// as a query parameter, keyword/value) by xxxxx.
func Mask(connString string) string {
	s := connString
	if i := strings.Index(s, "://"); i >= 0 {
		s = s[:i] + maskUserInfo(s[i:])
	}
	s = queryPassword.ReplaceAllString(s, "${1}"+mask)
	return keywordPassword.ReplaceAllString(s, "${1}"+mask)
}

// maskUserInfo masks the password of "://user:password@host…". The password may
// hold any character, so it ends at the last @ before the path.
func maskUserInfo(s string) string {
	const sep = "://"
	authority := s[len(sep):]
	if i := strings.IndexAny(authority, "?# \t\n"); i >= 0 {
		authority = authority[:i]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return s
	}
	colon := strings.IndexByte(authority[:at], ':')
	if colon < 0 {
		return s
	}
	return sep + authority[:colon+1] + mask + s[len(sep)+at:]
}

// String returns the configuration with its passwords masked.
func (c Config) String() string {
	type plain Config // without String
	c.ConnString, c.DirectConnString = Mask(c.ConnString), Mask(c.DirectConnString)
	if c.Password != "" {
		c.Password = mask
	}
	if c.TLS.KeyPassword != "" {
		c.TLS.KeyPassword = mask
	}
	if _, ok := c.RuntimeParams["password"]; ok {
		c.RuntimeParams = maps.Clone(c.RuntimeParams)
		c.RuntimeParams["password"] = mask
	}
	c.Logger, c.Tracers = nil, nil
	return fmt.Sprintf("%+v", plain(c))
}

// GoString is String: %#v must not print passwords either.
func (c Config) GoString() string { return c.String() }

// LogValue logs the configuration as String does.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText keeps passwords out of JSON and other encodings.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
