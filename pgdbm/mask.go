package pgdbm

import (
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const mask = "xxxxx"

// Mask replaces the passwords in a connection string of any form (URL, password
// as a query parameter, keyword/value) by xxxxx. Where a string is not what a
// connection string should be, for example with an @ in the password that is not
// percent-encoded, it hides too much rather than too little.
func Mask(connString string) string {
	if i := strings.Index(connString, "://"); i >= 0 && !strings.Contains(connString[:i], "=") {
		return hide(connString, secretsOfURL(connString, i+len("://")))
	}
	return hide(connString, secretsOfKeywords(connString))
}

// span is a part of a string.
type span struct{ start, end int }

// secretKey is the beginning of what must not be shown.
var secretKey = regexp.MustCompile(`(?i)\w*(?:password|passwd|secret|token)\w*\s*=`)

func isSecret(name string) bool { return secretKey.MatchString(name + "=") }

// secretsOfURL finds passwords in a URL whose scheme ends at start.
func secretsOfURL(s string, start int) []span {
	var hidden []span
	host := start
	// Whatever is in the password, it ends at an @, and there is none behind it.
	if at := strings.LastIndexByte(s[start:], '@'); at >= 0 {
		if colon := strings.IndexByte(s[start:start+at], ':'); colon >= 0 {
			hidden = append(hidden, span{start + colon + 1, start + at})
		}
		host += at + 1
	}
	// Without the host, the password stands where a port should.
	for part := range strings.SplitSeq(authority(s[host:]), ",") {
		if colon := strings.LastIndexByte(part, ':'); colon >= 0 && !strings.HasSuffix(part, "]") {
			if _, err := strconv.ParseUint(part[colon+1:], 10, 16); err != nil && part[colon+1:] != "" {
				hidden = append(hidden, span{host + colon + 1, host + len(part)})
			}
		}
		host += len(part) + 1
	}
	if at := strings.IndexAny(s[start:], "?&"); at >= 0 {
		for _, p := range scanQuery(s, start+at) {
			if isSecret(p.name) {
				hidden = append(hidden, span{p.start, p.end})
			}
		}
	}
	for _, key := range secretKey.FindAllStringIndex(s, -1) { // wherever else it stands
		hidden = append(hidden, span{key[1], endOfParam(s, key[1])})
	}
	return hidden
}

func authority(s string) string {
	if i := strings.IndexAny(s, "/?"); i >= 0 {
		return s[:i]
	}
	return s
}

func endOfParam(s string, i int) int {
	if n := strings.IndexByte(s[i:], '&'); n >= 0 {
		return i + n
	}
	return len(s)
}

// secretsOfKeywords finds passwords in keyword = value …. After one, what is no
// parameter that we know is taken for the rest of it: a password with spaces
// that was not quoted.
func secretsOfKeywords(s string) []span {
	var hidden []span
	open := false
	for _, p := range scanKeywords(s) {
		switch {
		case p.broken && isSecret(p.name) && p.start > 0:
			hidden = append(hidden, span{p.start, len(s)})
		case p.broken:
			hidden = append(hidden, span{p.key, len(s)})
		case isSecret(p.name):
			hidden = append(hidden, span{p.start, p.end})
			open = true
		case open && !isConnParam(p.name) && p.name != "application_name":
			hidden = append(hidden, span{p.key, p.end})
		default:
			open = false
		}
	}
	return hidden
}

// hide replaces parts of s.
func hide(s string, hidden []span) string {
	slices.SortFunc(hidden, func(a, b span) int { return a.start - b.start })
	var b strings.Builder
	at := 0
	for _, h := range hidden {
		if h.start >= at && h.end > h.start {
			b.WriteString(s[at:h.start] + mask)
		}
		at = max(at, h.end)
	}
	return b.String() + s[at:]
}

// masked returns c without its passwords, and without what has no text.
func (c Config) masked() Config {
	c.ConnString, c.DirectConnString, c.ReplicaConnString = Mask(c.ConnString), Mask(c.DirectConnString), Mask(c.ReplicaConnString)
	if strings.Contains(c.Host, "@") { // what is for ConnString
		c.Host = hide(c.Host, secretsOfURL(c.Host, 0))
	}
	c.Password, c.TLS = hideAll(c.Password), c.TLS.masked()
	c.RuntimeParams = maps.Clone(c.RuntimeParams)
	for name, value := range c.RuntimeParams {
		if isSecret(name) {
			c.RuntimeParams[name] = hideAll(value)
		}
	}
	return c
}

func (t TLSConfig) masked() TLSConfig {
	t.KeyPassword = hideAll(t.KeyPassword)
	return t
}

func hideAll(s string) string {
	if s == "" {
		return ""
	}
	return mask
}

// String returns the fields that are set, with passwords masked. It is what fmt,
// encoders and loggers get. There is one way around it: fmt reads a Config in an
// unexported field of another struct by reflection. Keep a pointer there, of
// which %v shows the address.
func (c Config) String() string { return fields(reflect.ValueOf(c.masked())) }

// GoString is String: %#v must not print passwords either.
func (c Config) GoString() string { return c.String() }

// LogValue logs the configuration as String does.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText keeps passwords out of JSON and other encodings.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// String returns the fields that are set, with the password masked.
func (t TLSConfig) String() string { return fields(reflect.ValueOf(t.masked())) }

// GoString is String.
func (t TLSConfig) GoString() string { return t.String() }

// MarshalText keeps the password out of JSON and other encodings.
func (t TLSConfig) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// fields renders the fields of a struct that are set. Of functions, loggers and
// tracers it says only that they are.
func fields(v reflect.Value) string {
	var set []string
	for i := range v.NumField() {
		f := v.Field(i)
		if f.IsZero() {
			continue
		}
		text := "set"
		switch f.Kind() {
		case reflect.Func, reflect.Pointer:
		case reflect.Slice:
			text = strconv.Itoa(f.Len())
		case reflect.Struct:
			text = fields(f)
		default:
			text = fmt.Sprint(f.Interface())
		}
		set = append(set, v.Type().Field(i).Name+":"+text)
	}
	return "{" + strings.Join(set, " ") + "}"
}
