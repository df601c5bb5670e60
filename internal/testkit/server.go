package testkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

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
//
// Advisory locks belong to a database. Processes that name different ones on the
// same server meet in postgres, unless they may not connect to it.
func findServer(ctx context.Context, e env) (server, error) {
	variable, s := named(e.get)
	if variable == "" {
		return startEmbedded(ctx, e)
	}
	own := s.admin
	for _, s.admin = range slices.Compact([]string{"postgres", own}) {
		conn, err := s.connect(ctx, e.patience)
		if err == nil {
			cfg := conn.Config()
			s.about = fmt.Sprintf("PostgreSQL %s at %s:%d, named by %s",
				conn.PgConn().ParameterStatus("server_version"), cfg.Host, cfg.Port, variable)
			return s, conn.Close(ctx)
		}
		if _, answers := errors.AsType[*pgconn.PgError](err); !answers || s.admin == own {
			return s, fmt.Errorf("pgdbmtest: the server named by %s cannot be used "+
				"(start it, correct %[1]s, or unset it to use an embedded server): %w", variable, err)
		}
	}
	return s, nil
}

// connect opens a connection to the admin database. A server that says nothing is
// given that long, unless connect_timeout says otherwise, and so is one that says
// that it is starting.
func (s server) connect(ctx context.Context, patience time.Duration) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(s.connString(s.admin))
	if err != nil {
		return nil, err
	}
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, patience)
	var conn *pgx.Conn
	err = persist(ctx, patience, func() error {
		conn, err = pgx.ConnectConfig(ctx, cfg)
		return err
	})
	return conn, err
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
	u.RawQuery = withoutParams(u.RawQuery, "dbname", "database")
	return u.String()
}

// withoutParams removes parameters from the query of a URL and leaves the others
// as they are: net/url writes a space as +, which to PostgreSQL is a plus.
func withoutParams(query string, names ...string) string {
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(param string) bool {
		key, _, _ := strings.Cut(param, "=")
		name, err := url.PathUnescape(key)
		return err == nil && slices.Contains(names, name)
	})
	return strings.Join(kept, "&")
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

// revive makes sure that the server answers again after it was killed or has
// restarted itself, and reports whether it is worth trying again. An embedded
// server that is gone is started.
func (k *kit) revive(ctx context.Context, because error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](because); ok && !away(pgErr) {
		return false // it answers
	}
	k.admin.Reset() // its connections may be those of before
	if k.answers(ctx) {
		return true
	}
	if k.server.embedded == nil {
		return false
	}
	again, err := startEmbedded(ctx, k.env)
	return err == nil && again.connString("postgres") == k.server.connString("postgres") // another server has other databases
}

// answers reports whether the server answers.
func (k *kit) answers(ctx context.Context) bool {
	return persist(ctx, k.env.patience, func() error { return k.admin.Ping(ctx) }) == nil
}

// persist tries again while a server says that it is stopping, starting or full.
func persist(ctx context.Context, patience time.Duration, try func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := try()
		pgErr, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || !away(pgErr) && !full(err) || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		wait(ctx, 20*time.Millisecond)
	}
}

// away reports whether the server said that it is stopping or starting.
func away(err *pgconn.PgError) bool { return strings.HasPrefix(err.Code, "57P0") }

// full reports whether the server has no connection left.
func full(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "53300"
}
