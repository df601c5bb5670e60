package pgdbm

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

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
		p.pooled.Store(new(true))
		conn, err = p.pgx.Acquire(ctx)
	}
	if err != nil {
		return classify(err, "", "")
	}
	defer conn.Release()
	if p.pooled.Load() != nil {
		return classify(conn.Ping(ctx), "", "")
	}
	pooled, err := behindPooler(ctx, conn)
	if err != nil {
		return classify(err, "", "")
	}
	if pooled && len(p.cfg.OnConnect) > 0 {
		return errors.New("pgdbm: a transaction pooler was found, through which OnConnect does not work")
	}
	p.pooled.Store(&pooled)
	if pooled && p.owned {
		p.pgx.Reset() // connections made before we knew carry the wrong settings
	}
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

// adaptToPooler makes a connection that works through a transaction pooler: no
// startup parameters but those that PgBouncer tracks, and no prepared
// statements that outlive a transaction.
func adaptToPooler(cc *pgx.ConnConfig) {
	for name := range cc.RuntimeParams {
		if !slices.Contains(trackedParams, strings.ToLower(name)) {
			delete(cc.RuntimeParams, name)
		}
	}
	cc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
}

// trackedParams are the startup parameters that PgBouncer accepts.
var trackedParams = []string{"application_name", "client_encoding", "datestyle", "timezone", "standard_conforming_strings"}

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
