package testkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// server is the PostgreSQL that the tests of this process use.
type server struct {
	about      string                       // for people, without a password
	connString func(database string) string // of any database
	admin      string                       // database from which others are made
	embedded   *embedded.Server             // kept until the process ends; nil if the server was named
}

// findServer returns the server that the environment names, or the embedded
// one. A named server that does not answer is an error: tests that quietly ran
// somewhere else would prove nothing.
func findServer(ctx context.Context, e env) (server, error) {
	variable, s := named(e.get)
	if variable == "" {
		return startEmbedded(ctx, e)
	}
	for _, s.admin = range []string{s.admin, "postgres"} {
		conn, err := pgx.Connect(ctx, s.connString(s.admin))
		if err == nil {
			cfg := conn.Config()
			s.about = fmt.Sprintf("PostgreSQL %s at %s:%d, named by %s",
				conn.PgConn().ParameterStatus("server_version"), cfg.Host, cfg.Port, variable)
			return s, conn.Close(ctx)
		}
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "3D000" || s.admin == "postgres" {
			return s, fmt.Errorf("testkit: the server named by %s cannot be used "+
				"(start it, correct %[1]s, or unset it to use an embedded server): %w", variable, err)
		}
	}
	return s, nil
}

// named looks for a server in the environment, in the order of precedence, and
// returns the variable that names it.
func named(get func(string) string) (variable string, s server) {
	for _, variable := range []string{"TEST_DATABASE_URL"} {
		if value := get(variable); value != "" {
			return variable, fromConnString(value)
		}
	}
	for _, variable := range []string{"TEST_DB_HOST", "TEST_DB_PORT", "TEST_DB_USER", "TEST_DB_PASSWORD", "TEST_DB_NAME", "TEST_DB_SSLMODE"} {
		if get(variable) != "" {
			return variable, fromParts(get)
		}
	}
	if value := get("DATABASE_URL"); value != "" {
		return "DATABASE_URL", fromConnString(value)
	}
	for _, variable := range []string{"PGHOST", "PGSERVICE"} {
		if get(variable) != "" { // libpq's variables: pgx reads the rest of them itself
			return variable, server{
				admin:      cmp.Or(get("PGDATABASE"), "postgres"),
				connString: func(database string) string { return "dbname=" + quoteValue(database) },
			}
		}
	}
	return "", server{}
}

// fromConnString takes a URL or a keyword/value string.
func fromConnString(base string) server {
	s := server{admin: "postgres", connString: func(database string) string { return withDatabase(base, database) }}
	if cfg, err := pgconn.ParseConfig(base); err == nil && cfg.Database != "" {
		s.admin = cfg.Database
	}
	return s
}

// fromParts makes a connection string of TEST_DB_HOST and so on.
func fromParts(get func(string) string) server {
	var b strings.Builder
	for _, p := range []struct{ keyword, value string }{
		{"host", cmp.Or(get("TEST_DB_HOST"), "localhost")},
		{"port", cmp.Or(get("TEST_DB_PORT"), "5432")},
		{"user", cmp.Or(get("TEST_DB_USER"), "postgres")},
		{"password", cmp.Or(get("TEST_DB_PASSWORD"), "postgres")},
		{"sslmode", get("TEST_DB_SSLMODE")},
	} {
		if p.value != "" {
			b.WriteString(p.keyword + "=" + quoteValue(p.value) + " ")
		}
	}
	base := b.String()
	return server{
		admin:      cmp.Or(get("TEST_DB_NAME"), "postgres"),
		connString: func(database string) string { return base + "dbname=" + quoteValue(database) },
	}
}

// withDatabase returns the connection string with another database.
func withDatabase(base, database string) string {
	if !strings.HasPrefix(base, "postgres://") && !strings.HasPrefix(base, "postgresql://") {
		return base + " dbname=" + quoteValue(database) // the last one counts
	}
	u, err := url.Parse(base)
	if err != nil {
		return base // connecting reports it, without the password
	}
	u.Path = "/" + database
	u.RawPath = ""
	q := u.Query()
	q.Del("dbname")
	q.Del("database")
	u.RawQuery = q.Encode()
	return u.String()
}

// quoteValue quotes a value of a keyword/value connection string.
func quoteValue(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// startEmbedded joins or starts the shared embedded server.
func startEmbedded(ctx context.Context, e env) (server, error) {
	srv, err := embedded.Start(ctx, embedded.Config{Dir: e.dir, Idle: e.idle})
	if errors.Is(err, embedded.ErrNoBinaries) {
		return server{}, fmt.Errorf("%w\n  export TEST_DATABASE_URL=postgres://user:password@host:5432/postgres", err)
	}
	if err != nil {
		return server{}, err
	}
	return server{about: srv.String(), connString: srv.ConnString, admin: "postgres", embedded: srv}, nil
}

// revive starts the embedded server again if it is gone, which is the case when
// a test killed it, and reports whether it is worth trying again.
func (k *kit) revive(ctx context.Context) bool {
	if k.server.embedded == nil || k.admin.Ping(ctx) == nil {
		return false
	}
	again, err := startEmbedded(ctx, k.env)
	if err != nil || again.connString("postgres") != k.server.connString("postgres") {
		return false // another server has other databases
	}
	return true
}
