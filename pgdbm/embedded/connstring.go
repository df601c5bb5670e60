package embedded

import (
	"net/url"
	"os"
	"strconv"
	"strings"
)

// neutral lists the variables with which libpq and pgx let the environment
// change a connection, and the parameter that undoes each. What was meant for
// another server must not reach this one.
var neutral = []struct{ variable, parameter, value string }{
	{"PGOPTIONS", "options", ""},
	{"PGTZ", "timezone", "UTC"},
	{"PGTARGETSESSIONATTRS", "target_session_attrs", "any"},
	{"PGCONNECT_TIMEOUT", "connect_timeout", "10"},
	{"PGCHANNELBINDING", "channel_binding", "prefer"},
	{"PGREQUIREAUTH", "require_auth", ""},
}

// socketURL is the address of a database through the socket.
func (i *instance) socketURL(database string) string {
	q := url.Values{"host": {i.socketDir()}, "port": {strconv.Itoa(i.Port)}}
	return connURL(url.User("postgres"), "", database, q)
}

// tcpURL is the address of a database through TCP.
func (i *instance) tcpURL(database, password string) string {
	return connURL(url.UserPassword("postgres", password), "127.0.0.1:"+strconv.Itoa(i.Port), database, url.Values{})
}

func connURL(user *url.Userinfo, host, database string, q url.Values) string {
	q.Set("sslmode", "disable")
	for _, n := range neutral {
		if os.Getenv(n.variable) != "" {
			q.Set(n.parameter, n.value)
		}
	}
	u := url.URL{Scheme: "postgres", User: user, Host: host, Path: "/" + database, RawQuery: strings.ReplaceAll(q.Encode(), "+", "%20")} // + is no space to PostgreSQL
	return u.String()
}
