package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// defaultMaxSchemasPerConn keeps what a server process remembers of tables within
// some 60 MB for schemas of 10 tables.
const defaultMaxSchemasPerConn = 500

// service is what a connection of the pool does for managers: in which mode it
// runs statements, and how many schemas it has served.
type service struct {
	pool    *Pool
	config  *pgx.ConnConfig   // the connection's own; nil: its mode cannot be changed
	mode    pgx.QueryExecMode // when no manager asks for another
	schemas schemaSet
}

const serviceKey = "pgdbm.service" // in a connection's custom data

// serviceOf returns nil for a connection that is not of our making.
func serviceOf(conn *pgx.Conn) *service {
	s, _ := conn.PgConn().CustomData()[serviceKey].(*service)
	return s
}

// speaks notes whose statement is the next on conn, and has it run in the mode of
// its manager. Somebody else's transaction keeps its own.
func (b *Binding) speaks(conn *pgx.Conn, lent bool) {
	s := serviceOf(conn)
	if s == nil {
		return
	}
	if !lent {
		s.use(b.ExecMode)
	}
	if limit := s.pool.cfg.MaxSchemasPerConn; limit > 0 && b.Schema != "" {
		s.schemas.add(b.schema, limit)
	}
}

// use changes the mode of statements, batches and COPY; 0 is the pool's.
func (s *service) use(mode pgx.QueryExecMode) {
	switch {
	case s.config == nil:
		return
	case mode == 0:
		mode = s.mode
	case s.pool.isPooled():
		mode = pooledMode(mode)
	}
	s.config.DefaultQueryExecMode = mode
}

// serviceTracer makes the service of each connection, and ends it when the
// connection is released. It comes last, so that the other tracers see a connection
// that is open.
type serviceTracer struct{ pool *Pool }

// What pgx calls.
var (
	_ pgx.QueryTracer       = serviceTracer{}
	_ pgx.ConnectTracer     = serviceTracer{}
	_ pgxpool.ReleaseTracer = serviceTracer{}
)

// connecting is the key of a connection's configuration while it is being made.
type connecting struct{}

// TraceConnectStart implements [pgx.ConnectTracer]. The connection keeps the
// configuration that is shown here and looks there for the mode of every call. pgx
// has no other way to run a batch, or what travels with BEGIN, in a mode that is
// not the same for all; obeys makes sure that it stays so.
func (serviceTracer) TraceConnectStart(ctx context.Context, data pgx.TraceConnectStartData) context.Context {
	return context.WithValue(ctx, connecting{}, data.ConnConfig)
}

// TraceConnectEnd implements [pgx.ConnectTracer].
func (v serviceTracer) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	if data.Err != nil {
		return
	}
	s := &service{pool: v.pool}
	if config, ok := ctx.Value(connecting{}).(*pgx.ConnConfig); ok {
		s.config, s.mode = config, config.DefaultQueryExecMode
	}
	if !s.obeys(data.Conn) {
		s.config = nil // managers run in the pool's mode then, where everything works as well
		v.pool.log.LogAttrs(ctx, slog.LevelWarn, "this release of pgx does not let managers have modes of their own")
	}
	data.Conn.PgConn().CustomData()[serviceKey] = s
}

// obeys reports whether the configuration is the connection's own.
func (s *service) obeys(conn *pgx.Conn) bool {
	if s.config == nil {
		return false
	}
	defer s.use(0)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		s.config.DefaultQueryExecMode = mode
		if conn.Config().DefaultQueryExecMode != mode {
			return false
		}
	}
	return true
}

// TraceQueryStart implements [pgx.QueryTracer].
func (serviceTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (serviceTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceRelease implements [pgxpool.ReleaseTracer]: the pool throws away, and
// replaces, a connection that it finds closed then.
func (v serviceTracer) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	s := serviceOf(data.Conn)
	if s == nil {
		return
	}
	s.use(0)
	limit, raw := v.pool.cfg.MaxSchemasPerConn, data.Conn.PgConn()
	if limit <= 0 || s.schemas.n <= limit || v.pool.isPooled() || raw.IsClosed() || raw.IsBusy() || raw.TxStatus() != 'I' {
		return
	}
	ctx := context.Background()
	_ = raw.Conn().SetDeadline(time.Now().Add(time.Second)) // a goodbye is all there is to write
	_ = raw.Close(ctx)
	v.pool.retired.Add(1)
	v.pool.log.LogAttrs(ctx, slog.LevelDebug, "connection retired", slog.Int("schemas", s.schemas.n), slog.Int("limit", limit))
}

// admits reports why no manager of p can have a mode of its own.
func (p *Pool) admits(mode pgx.QueryExecMode) error {
	switch mode {
	case 0:
		return nil
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol:
	case pgx.QueryExecModeDescribeExec:
		return errors.New("pgdbm: Binding.ExecMode describe_exec takes two round trips for every statement, and behind a transaction pooler " +
			"the second may reach a session where another client has prepared something else; use pgx.QueryExecModeExec")
	default:
		return fmt.Errorf("pgdbm: Binding.ExecMode %d is none: use pgx.QueryExecModeExec, or leave it out for the pool's", mode)
	}
	if !p.owned {
		return errors.New("pgdbm: Binding.ExecMode: a borrowed pool's connections are made as its owner configured them; " +
			"leave it out, and set ConnConfig.DefaultQueryExecMode there")
	}
	return nil
}
