package pgdbm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Validate reports every mistake at once. It reads no file and no environment.
func (c Config) Validate() error {
	return errors.Join(c.validateServer(), c.validateRest())
}

// mistakes collects what is wrong with a Config.
type mistakes []error

func (m *mistakes) add(format string, args ...any) {
	*m = append(*m, fmt.Errorf("pgdbm: config: "+format, args...))
}

func (c Config) validateServer() error {
	var wrong mistakes
	switch {
	case c.ConnString == "" && c.Host == "":
		wrong.add("no server: set ConnString or Host, or use ConfigFromEnv")
	case c.ConnString != "" && (c.Host != "" || c.Port != 0 || c.Database != "" || c.User != ""):
		wrong.add("ConnString excludes Host, Port, Database and User: set one or the other")
	case strings.Contains(c.Host, "@") || strings.Contains(c.Host, "://"): // there may be a password in it
		wrong.add("Host is a URL: that is for ConnString")
	case strings.Count(c.Host, ":") == 1:
		wrong.add("Host %q has a port in it: set Port, or ConnString for ports that differ", c.Host)
	}
	return errors.Join(wrong...)
}

// validateRest is Validate without the question which server it is.
func (c Config) validateRest() error {
	var wrong mistakes
	if c.Schema != "" {
		if err := ValidateSchema(c.Schema); err != nil {
			wrong = append(wrong, err)
		}
	}
	c.validateRoles(&wrong)
	c.validateSizes(&wrong)
	c.validateTLS(&wrong)
	c.validateSession(&wrong)
	return errors.Join(wrong...)
}

func (c Config) validateSizes(wrong *mistakes) {
	for _, n := range []struct {
		name string
		n    int
	}{
		{"MaxConns", int(c.MaxConns)},
		{"MinConns", int(c.MinConns)},
		{"MinIdleConns", int(c.MinIdleConns)},
		{"StatementCache", c.StatementCache},
		{"ConnectRetry.Attempts", c.ConnectRetry.Attempts},
	} {
		if n.n < 0 {
			wrong.add("%s is %d: use 0 or a positive number", n.name, n.n)
		}
	}
	for _, n := range []struct {
		name string
		n    int32
	}{{"MinConns", c.MinConns}, {"MinIdleConns", c.MinIdleConns}} {
		if c.MaxConns > 0 && n.n > c.MaxConns {
			wrong.add("%s (%d) exceeds MaxConns (%d): lower it, or raise MaxConns", n.name, n.n, c.MaxConns)
		}
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"MaxConnLifetime", c.MaxConnLifetime},
		{"MaxConnLifetimeJitter", c.MaxConnLifetimeJitter},
		{"MaxConnIdleTime", c.MaxConnIdleTime},
		{"ConnectTimeout", c.ConnectTimeout},
		{"SlowQuery", c.SlowQuery},
		{"Watchdog", c.Watchdog},
		{"ConnectRetry.Delay", c.ConnectRetry.Delay},
		{"ConnectRetry.MaxDelay", c.ConnectRetry.MaxDelay},
	} {
		if d.d < 0 {
			wrong.add("%s is %s: use 0 or a positive duration", d.name, d.d)
		}
	}
	if c.Watchdog > 0 && c.Watchdog < minWatchdog {
		wrong.add("Watchdog is %s: a busy server takes that long; use %s or more", c.Watchdog, minWatchdog)
	}
	r := c.ConnectRetry
	if r.MaxDelay > 0 && r.Delay > r.MaxDelay {
		wrong.add("ConnectRetry.Delay (%s) exceeds ConnectRetry.MaxDelay (%s): raise the second", r.Delay, r.MaxDelay)
	}
	if r.Backoff != 0 && !(r.Backoff >= 1) {
		wrong.add("ConnectRetry.Backoff is %g: use 0 for the default, or a factor from 1 on", r.Backoff)
	}
	if !(r.Jitter <= 1) {
		wrong.add("ConnectRetry.Jitter is %g: use 0 for the default, up to 1 for a random part, negative for none", r.Jitter)
	}
}

func (c Config) validateTLS(wrong *mistakes) {
	t := c.TLS
	switch t.Mode {
	case "", "disable", "allow", "prefer", "require", "verify-ca", "verify-full":
	default:
		wrong.add("TLS.Mode is %q: use disable, require, verify-ca or verify-full", t.Mode)
	}
	files := t.RootCert != "" || t.Cert != "" || t.Key != ""
	if files && isOptional(t.Mode) {
		wrong.add("TLS.Mode %s contradicts the certificate files: use verify-full", t.Mode)
	}
	for _, dsn := range []struct{ field, text string }{{"ConnString", c.ConnString}, {"DirectConnString", c.DirectConnString}, {"ReplicaConnString", c.ReplicaConnString}} {
		if mode := sslModeOf(dsn.text); files && t.Mode == "" && isOptional(mode) {
			wrong.add("%s has sslmode=%s, which contradicts the certificate files of TLS: remove it, or set TLS.Mode", dsn.field, mode)
		}
	}
	if t.RootCert == "system" && t.Mode != "" && t.Mode != "disable" && t.Mode != "verify-full" {
		wrong.add(`TLS.RootCert "system" is for TLS.Mode verify-full, not %s: anybody can get a certificate from one of those authorities`, t.Mode)
	}
	switch {
	case t.Cert != "" && t.Key == "":
		wrong.add("TLS.Cert needs TLS.Key, the file with its key")
	case t.Key != "" && t.Cert == "":
		wrong.add("TLS.Key needs TLS.Cert, the file with its certificate")
	case t.KeyPassword != "" && t.Key == "":
		wrong.add("TLS.KeyPassword needs TLS.Key, the file that it opens")
	}
}

// isOptional reports whether a connection may be unencrypted in this mode.
func isOptional(sslmode string) bool {
	return sslmode == "disable" || sslmode == "allow" || sslmode == "prefer"
}

func (c Config) validateSession(wrong *mistakes) {
	for _, name := range slices.Sorted(maps.Keys(c.RuntimeParams)) {
		c.validateParam(wrong, name)
	}
	for i, sql := range c.OnConnect {
		if strings.TrimSpace(sql) == "" {
			wrong.add("OnConnect[%d] is empty: remove it", i)
		}
	}
	for i, t := range c.Tracers {
		if t == nil {
			wrong.add("Tracers[%d] is nil: remove it", i)
		}
	}
	if c.SlowQueryPlan && c.SlowQuery == 0 {
		wrong.add("SlowQueryPlan needs SlowQuery, the duration from which a statement is slow")
	}
	switch c.Pooler {
	case PoolerAuto, PoolerNone, PoolerTransaction:
	default:
		wrong.add("Pooler is %q: use %q or %q, or nothing to find out", c.Pooler, PoolerNone, PoolerTransaction)
	}
	if c.Pooler == PoolerTransaction && len(c.OnConnect) > 0 {
		wrong.add("OnConnect does not work behind a transaction pooler: use ALTER ROLE … SET, or SET LOCAL in a transaction")
	}
}

// validateParam checks one of RuntimeParams, which the server gets as it is.
func (c Config) validateParam(wrong *mistakes, name string) {
	switch lower := strings.ToLower(name); {
	case name == "" || strings.ContainsAny(name, "= \t\n\x00") || strings.Contains(c.RuntimeParams[name], "\x00"):
		wrong.add("RuntimeParams has %q, which is not a setting", name)
	case isConnParam(lower):
		wrong.add("RuntimeParams has %q, which is not a setting of the server: it belongs in ConnString or a field of its own", name)
	case lower == "application_name" && c.ApplicationName != "":
		wrong.add("RuntimeParams has %q beside ApplicationName: keep one of them", name)
	default:
		for _, l := range limits {
			if lower == l.setting && l.of(c) != 0 {
				wrong.add("RuntimeParams has %q beside %s: keep one of them", name, l.field)
			}
		}
	}
}
