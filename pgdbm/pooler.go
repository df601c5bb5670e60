package pgdbm

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pooled reports whether a transaction pooler stands between the pool and the
// server. It asks the server once, unless [Config.Pooler] tells.
func (p *Pool) Pooled(ctx context.Context) (bool, error) {
	if known := p.pooled.Load(); known != nil {
		return *known, nil
	}
	if err := p.probe(ctx); err != nil {
		return false, err
	}
	return p.isPooled(), nil
}

func (p *Pool) isPooled() bool {
	known := p.pooled.Load()
	return known != nil && *known
}

// probe opens a connection and finds out what is at its other end: a pooler
// that refuses our settings, one that shows another backend's process, or the
// server itself.
func (p *Pool) probe(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return classify(err, "", "")
	}
	conn, err := p.pgx.Acquire(ctx)
	if p.owned && p.pooled.Load() == nil && refusesSettings(err) {
		if err := p.found(true); err != nil {
			return err
		}
		conn, err = p.pgx.Acquire(ctx)
	}
	if err != nil {
		return classify(err, "", "")
	}
	defer conn.Release()
	if p.pooled.Load() != nil {
		err = conn.Ping(ctx)
	} else if pooled, err := behindPooler(ctx, conn); err != nil {
		return classify(err, "", "")
	} else if err := p.found(pooled); err != nil {
		return err
	} else if pooled && p.owned {
		p.pgx.Reset() // connections made before we knew carry the wrong settings
	}
	if err == nil && p.dog != nil {
		p.dog.begin(ctx)
	}
	return classify(err, "", "")
}

// found notes whether there is a pooler, unless the configuration does not work
// through one.
func (p *Pool) found(pooled bool) error {
	if pooled && p.owned {
		if len(p.cfg.OnConnect) > 0 {
			return errors.New("pgdbm: a transaction pooler was found, through which OnConnect does not work")
		}
		if err := worksPooled(p.pgx.Config().ConnConfig.DefaultQueryExecMode); err != nil {
			return err
		}
	}
	p.pooled.Store(&pooled)
	return nil
}

// behindPooler compares the process that the connection says it talks to with
// the one that answers.
func behindPooler(ctx context.Context, conn *pgxpool.Conn) (bool, error) {
	var pid uint32
	err := conn.QueryRow(ctx, "select pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pid)
	return err == nil && pid != conn.Conn().PgConn().PID(), err
}

// refusesSettings reports whether err is PgBouncer's answer to a startup
// parameter that it does not pass on.
func refusesSettings(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "08P01" && strings.Contains(pg.Message, "startup parameter")
}

// stateOf returns the SQLSTATE of an error: where PgBouncer up to 1.20 refuses a
// connection for good, and says 08P01 as always, the server's for the same.
func stateOf(pg *pgconn.PgError) string {
	if pg.Code != "08P01" || pg.Routine != "" {
		return pg.Code
	}
	for _, r := range refusals {
		if strings.HasPrefix(pg.Message, r.message) {
			return r.state
		}
	}
	return pg.Code
}

// refusals are the beginnings of what PgBouncer says. What it repeats of a server
// stands behind other words.
var refusals = []struct{ message, state string }{
	{"no such database", "3D000"},
	{"password authentication failed", "28P01"},
	{"SASL authentication failed", "28P01"},
	{"no such user", "28P01"},
	{"login rejected", "28000"},
	{"certificate authentication failed", "28000"},
	{"TLS client certificate required", "28000"},
	{"TLS connection required", "28000"},
	{"SSL required", "28000"},
}

// adaptToPooler makes a connection that works through a transaction pooler: no
// startup parameters but those that PgBouncer tracks, and no prepared
// statements that outlive a transaction.
func adaptToPooler(cc *pgx.ConnConfig) {
	for name := range cc.RuntimeParams {
		if !slices.Contains(trackedParams, strings.ToLower(name)) {
			delete(cc.RuntimeParams, name)
		}
	}
	cc.DefaultQueryExecMode = pooledMode(cc.DefaultQueryExecMode)
}

// pooledMode returns the mode that statements run in through a pooler when mode
// was asked for. Whether cache_statement was asked for or is pgx's default cannot
// be told, and it fails there: on servers that never prepared the statement, or
// after a table has changed.
func pooledMode(mode pgx.QueryExecMode) pgx.QueryExecMode {
	if mode == pgx.QueryExecModeCacheStatement {
		return pgx.QueryExecModeCacheDescribe
	}
	return mode
}

// execMode names the mode that statements run in.
func (p *Pool) execMode() string {
	mode := p.pgx.Config().ConnConfig.DefaultQueryExecMode
	if p.owned && p.isPooled() {
		mode = pooledMode(mode)
	}
	return mode.String()
}

// worksPooled returns why statements cannot be run in a mode through a pooler,
// nil when they can.
func worksPooled(mode pgx.QueryExecMode) error {
	if mode != pgx.QueryExecModeDescribeExec {
		return nil
	}
	return errors.New("pgdbm: config: default_query_exec_mode=describe_exec does not work behind a transaction pooler: " +
		"it prepares in one round trip and executes in the next, which may reach a session where another client has prepared something else; " +
		"leave it out, which is cache_describe there, or use exec")
}

// trackedParams are the startup parameters that PgBouncer accepts.
var trackedParams = []string{"application_name", "client_encoding", "datestyle", "timezone", "standard_conforming_strings"}

// limit bounds a statement outside a transaction where the server cannot be told
// to: behind a pooler settings are those of a transaction. cancel is nil when
// there is nothing to bound.
func (p *Pool) limit(ctx context.Context) (limited context.Context, cancel context.CancelFunc) {
	if p.statementLimit > 0 && p.isPooled() {
		return context.WithTimeout(ctx, p.statementLimit)
	}
	return ctx, nil
}

// limitBy notes the settings that bound what a session does.
func (p *Pool) limitBy(settings map[string]string) {
	p.limits, p.statementLimit = settings, duration(settings["statement_timeout"])
}

// duration reads a time as PostgreSQL writes it, 0 where it is none: "60000",
// "30s" or "5 min".
func duration(setting string) time.Duration {
	digits := strings.TrimLeft(setting, "0123456789")
	n, err := strconv.ParseInt(strings.TrimSuffix(setting, digits), 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(n) * units[strings.TrimSpace(digits)]
}

var units = map[string]time.Duration{
	"us": time.Microsecond, "ms": time.Millisecond, "": time.Millisecond,
	"s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// localTimeouts returns the statements that set the configured limits for one
// transaction, where they cannot be set for the session.
func (p *Pool) localTimeouts() []string {
	if !p.isPooled() {
		return nil
	}
	var stmts []string
	for _, name := range slices.Sorted(maps.Keys(p.limits)) {
		stmts = append(stmts, "set local "+name+" to '"+strings.ReplaceAll(p.limits[name], "'", "''")+"'")
	}
	return stmts
}
