package pgdbm

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// complete returns the connection string that pgx parses: dsn, or without one
// the fields that name the server, completed by what pgx must know of TLS while
// it parses. The last of two equal parameters counts.
func (c Config) complete(dsn string) string {
	params := map[string]string{}
	if dsn == "" {
		params = c.server()
	}
	params["sslmode"], params["sslrootcert"] = c.sslMode(dsn), c.TLS.RootCert
	maps.DeleteFunc(params, func(_, v string) bool { return v == "" })
	if c.TLS.Cert != "" { // pgx shall not read other files than ours, and not ours only once
		params["sslcert"], params["sslkey"], params["sslpassword"] = "", "", ""
	}
	return appendParams(dsn, params)
}

// server returns the parameters that name the server, of those that are set.
func (c Config) server() map[string]string {
	params := map[string]string{"host": c.Host, "dbname": c.Database, "user": c.User}
	if c.Port != 0 {
		params["port"] = strconv.Itoa(int(c.Port))
	}
	maps.DeleteFunc(params, func(_, v string) bool { return v == "" })
	return params
}

// sslMode returns the mode that the fields ask for, "" for none.
func (c Config) sslMode(dsn string) string {
	if c.TLS.Mode != "" || c.TLS.RootCert == "" && c.TLS.Cert == "" || sslModeOf(dsn) != "" {
		return c.TLS.Mode
	}
	return defaultSSLMode
}

// sslModeOf returns the mode that a connection string asks for, "" for none.
func sslModeOf(dsn string) string {
	mode := ""
	for _, p := range scan(dsn) {
		if p.name == "sslmode" || p.name == "ssl" {
			mode = strings.Trim(dsn[p.start:p.end], "' ")
		}
	}
	return mode
}

// appendParams adds parameters to a connection string of either form.
func appendParams(dsn string, params map[string]string) string {
	if len(params) == 0 {
		return dsn
	}
	names := slices.Sorted(maps.Keys(params))
	var b strings.Builder
	if !isURL(dsn) {
		if backslashes := len(dsn) - len(strings.TrimRight(dsn, `\`)); backslashes%2 == 1 {
			dsn = dsn[:len(dsn)-1] // at the end it stands for nothing; before a space it would escape it
		}
		b.WriteString(dsn)
		for _, name := range names {
			b.WriteString(" " + name + "='" + quoteValue.Replace(params[name]) + "'")
		}
		return strings.TrimSpace(b.String())
	}
	b.WriteString(dsn)
	for i, name := range names {
		switch {
		case i == 0 && queryOf(dsn) < 0:
			b.WriteByte('?')
		case i == 0 && strings.ContainsAny(dsn[len(dsn)-1:], "?&"):
		default:
			b.WriteByte('&')
		}
		b.WriteString(name + "=" + strings.ReplaceAll(url.QueryEscape(params[name]), "+", "%20"))
	}
	return b.String()
}

var quoteValue = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

// isURL reports whether pgx takes s for a URL.
func isURL(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

// queryOf returns where the query of a URL begins, -1 without one. As to pgx,
// the user ends at an @ before the first /, and may have a ? in his password.
func queryOf(s string) int {
	start := strings.Index(s, "://") + len("://")
	if i := strings.IndexAny(s[start:], "@/"); i >= 0 && s[start+i] == '@' {
		start += i + 1
	}
	i := strings.IndexByte(s[start:], '?')
	if i < 0 {
		return -1
	}
	return start + i
}

// param is a parameter in a connection string.
type param struct {
	name       string // in lower case
	key        int    // where it begins
	start, end int    // of its value, quotes included
	broken     bool   // the string cannot be read from key on
}

// scan returns the parameters of a connection string: the query of a URL, or
// keywords and values.
func scan(s string) []param {
	if isURL(s) {
		if at := queryOf(s); at >= 0 {
			return scanQuery(s, at)
		}
		return nil
	}
	return scanKeywords(s)
}

// scanQuery takes what follows a ? or & for parameters, from at on.
func scanQuery(s string, at int) []param {
	var params []param
	for at < len(s) {
		key := at + 1
		end := len(s)
		if i := strings.IndexAny(s[key:], "&?"); i >= 0 {
			end = key + i
		}
		if eq := strings.IndexByte(s[key:end], '='); eq >= 0 {
			name := s[key : key+eq]
			if decoded, err := url.PathUnescape(name); err == nil {
				name = decoded
			}
			value := key + eq + 1
			stop := len(s) // a ? may stand in a value
			if i := strings.IndexByte(s[value:], '&'); i >= 0 {
				stop = value + i
			}
			params = append(params, param{name: strings.ToLower(strings.TrimSpace(name)), key: key, start: value, end: stop})
		}
		at = end
	}
	return params
}

const spaces = " \t\n\r\v\f"

// scanKeywords reads keyword = value …, as libpq and pgx do. The last of the
// parameters is broken when the string is.
func scanKeywords(s string) []param {
	var params []param
	for i := skip(s, 0); i < len(s); i = skip(s, i) {
		p := param{key: i, broken: true}
		eq := strings.IndexByte(s[i:], '=')
		if eq < 0 {
			return append(params, p)
		}
		p.name = strings.ToLower(strings.TrimRight(s[i:i+eq], spaces))
		if strings.ContainsFunc(p.name, func(r rune) bool { return !isNameRune(r) }) || p.name == "" {
			return append(params, p)
		}
		p.start = skip(s, i+eq+1)
		var ok bool
		if p.end, ok = valueEnd(s, p.start); !ok {
			return append(params, p)
		}
		p.broken = false
		params = append(params, p)
		i = p.end
	}
	return params
}

func isNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '.' || r == '-'
}

func skip(s string, i int) int {
	for i < len(s) && strings.IndexByte(spaces, s[i]) >= 0 {
		i++
	}
	return i
}

// valueEnd returns where the value at i ends; false where its quote is not closed.
func valueEnd(s string, i int) (int, bool) {
	quoted := i < len(s) && s[i] == '\''
	if quoted {
		i++
	}
	for ; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case quoted && s[i] == '\'':
			return i + 1, true
		case !quoted && strings.IndexByte(spaces, s[i]) >= 0:
			return i, true
		}
	}
	return len(s), !quoted
}

// isConnParam reports whether a name is a parameter of the connection, for libpq
// or pgx, rather than a setting of the server.
func isConnParam(name string) bool {
	return slices.Contains(connParams, name) || strings.HasPrefix(name, "pool_")
}

var connParams = []string{
	"host", "hostaddr", "port", "dbname", "database", "user", "password", "passfile", "connect_timeout",
	"sslmode", "ssl", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcertmode", "sslsni", "sslnegotiation", "sslcrl",
	"target_session_attrs", "load_balance_hosts", "service", "servicefile", "krbspn", "krbsrvname", "channel_binding", "require_auth",
	"min_protocol_version", "max_protocol_version", "keepalives", "gssencmode", "replication",
	"statement_cache_capacity", "description_cache_capacity", "default_query_exec_mode",
}
