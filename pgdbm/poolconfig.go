package pgdbm

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const defaultConnectTimeout = 10 * time.Second

// poolConfig turns a valid Config with its defaults into pgx's. What ConnString
// says of the pool holds where the fields say nothing. field is where it comes
// from.
func (c Config) poolConfig(cert *clientCert, field string) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(c.complete(c.ConnString))
	if err != nil && c.ConnString == "" {
		return nil, parseError("Host, Port, Database and User", err)
	}
	if err != nil {
		return nil, parseError(field, err)
	}
	c.session(pc.ConnConfig, cert)
	pc.MaxConns = cmp.Or(c.MaxConns, pc.MaxConns)
	pc.MinConns = min(cmp.Or(c.MinConns, pc.MinConns), pc.MaxConns)
	pc.MinIdleConns = min(cmp.Or(c.MinIdleConns, pc.MinIdleConns), pc.MaxConns)
	pc.MaxConnLifetime = cmp.Or(c.MaxConnLifetime, pc.MaxConnLifetime)
	pc.MaxConnLifetimeJitter = cmp.Or(c.MaxConnLifetimeJitter, pc.MaxConnLifetimeJitter, pc.MaxConnLifetime/10)
	pc.MaxConnIdleTime = cmp.Or(c.MaxConnIdleTime, pc.MaxConnIdleTime)
	if pc.MaxConnIdleTime > 0 { // a connection that is idle for too long shall not wait a minute for it to be noticed
		pc.HealthCheckPeriod = min(pc.HealthCheckPeriod, max(pc.MaxConnIdleTime, 100*time.Millisecond))
	}
	return pc, nil
}

// directConfig is how connections past the pooler are made, nil without
// [Config.DirectConnString].
func (c Config) directConfig(cert *clientCert) (*pgx.ConnConfig, error) {
	if c.DirectConnString == "" {
		return nil, nil
	}
	pc, err := pgxpool.ParseConfig(c.complete(c.DirectConnString)) // it may say something of pools, as ConnString may
	if err != nil {
		return nil, parseError("DirectConnString", err)
	}
	c.session(pc.ConnConfig, cert)
	return pc.ConnConfig, nil
}

// session completes how one connection is made.
func (c Config) session(cc *pgx.ConnConfig, cert *clientCert) {
	cc.Password = cmp.Or(c.Password, cc.Password)
	cc.ConnectTimeout = cmp.Or(c.ConnectTimeout, cc.ConnectTimeout, defaultConnectTimeout)
	if c.StatementCache > 0 {
		cc.StatementCacheCapacity, cc.DescriptionCacheCapacity = c.StatementCache, c.StatementCache
	}
	cc.DialFunc, cc.BuildFrontend = dialer(cc.ConnectTimeout), hearOut(cc.BuildFrontend)
	cert.use(cc)
	params := cc.RuntimeParams
	maps.Copy(params, c.RuntimeParams)
	params["application_name"] = cmp.Or(c.ApplicationName, params["application_name"], defaultApplicationName)
	maps.Copy(params, c.limits(params))
}

// limits returns the settings of the configured limits, in milliseconds, given
// the settings that were made in other ways.
func (c Config) limits(params map[string]string) map[string]string {
	settings := map[string]string{}
	for _, l := range limits {
		d := l.of(c)
		switch made := params[l.setting]; {
		case d == 0 && made == "":
			d = l.def
		case d <= 0 && made != "":
			settings[l.setting] = made
		}
		if d > 0 {
			settings[l.setting] = strconv.FormatInt(max(1, d.Milliseconds()), 10)
		}
	}
	return settings
}

// parseError says why a connection string was refused without repeating any of
// it: where it is malformed, a password may be anywhere.
func parseError(field string, err error) error {
	reason := "it is malformed"
	if e, ok := err.(*pgconn.ParseConfigError); ok { //nolint:errorlint // it is as pgx made it
		// What pgx adds to the connection string that it repeats.
		added := strings.TrimPrefix(e.Error(), pgconn.NewParseConfigError(e.ConnString, "", nil).Error())
		reason = parseReason(added, e.Unwrap())
	}
	return fmt.Errorf("pgdbm: config: %s: %s", field, reason)
}

func parseReason(added string, cause error) string {
	what, _, _ := strings.Cut(added, " (")
	switch what {
	case "failed to parse as URL":
		return "it is not a valid URL: percent-encode special characters in the user, the password and the parameters"
	case "failed to parse as keyword/value":
		return "it is neither a URL (postgres://…) nor a list of key=value: quote values with spaces, as in password='…'"
	case "invalid port":
		return "the port is not a number from 1 to 65535; if it is part of the password, percent-encode that"
	case "failed to configure TLS":
		if cause.Error() == "sslmode is invalid" {
			return "sslmode is invalid: use disable, require, verify-ca or verify-full"
		}
		return "TLS: " + strings.TrimPrefix(cause.Error(), "unable to ")
	case "failed to read service":
		return strings.TrimPrefix(cause.Error(), "failed to ")
	}
	// Where a value follows, it is dropped: "unknown channel_binding value: x".
	what, _, _ = strings.Cut(what, ":")
	if strings.ContainsAny(what, "\"'`@=") {
		return "it is malformed"
	}
	return what
}
