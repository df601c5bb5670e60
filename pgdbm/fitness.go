package pgdbm

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	peekAfter  = time.Millisecond // of idleness: one round trip earlier the server was there
	pingAfter  = time.Second
	renewEvery = time.Second // at most
)

// fitness is what we know of a connection.
type fitness struct {
	generation int64   // of the pool, when it was made
	writable   bool    // was when it was made
	refused    bool    // a write, since it was looked at
	socket     *socket // nil: cannot be looked at
	replayed   int64   // of a replica: how far it was when it was last asked
}

const fitnessName = "pgdbm" // in a connection's custom data

// fitnessOf returns nil for a connection that is not of our making.
func fitnessOf(conn *pgconn.PgConn) *fitness {
	f, _ := conn.CustomData()[fitnessName].(*fitness)
	return f
}

// watchFitness adds to pgx's configuration what keeps statements away from
// connections that have become useless while nobody looked: those that the
// server has closed, that lead to a server which takes no writes any more, or
// that remember a table as it was before a migration.
func (p *Pool) watchFitness(pc *pgxpool.Config) {
	born := pc.AfterConnect
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if born != nil {
			if err := born(ctx, conn); err != nil {
				return err
			}
		}
		raw := conn.PgConn()
		raw.CustomData()[fitnessName] = &fitness{
			generation: p.generation.Load(), writable: !takesNoWrites(raw), socket: newSocket(raw.Conn()),
		}
		return nil
	}
	pc.ShouldPing = func(_ context.Context, params pgxpool.ShouldPingParams) bool {
		if params.IdleDuration < peekAfter {
			return false
		}
		f := fitnessOf(params.Conn.PgConn())
		return params.IdleDuration > pingAfter || f != nil && !f.socket.quiet() // what it says is a goodbye, most likely
	}
	pc.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) {
		f := fitnessOf(conn.PgConn())
		if f == nil || !f.writable && !f.refused {
			return true, nil
		}
		f.refused = false
		if !p.lostWrites(conn.PgConn()) {
			return true, nil
		}
		p.renew(f) // the others have not heard of it yet
		return false, nil
	}
	report := pc.ConnConfig.OnPgError
	pc.ConnConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if f := fitnessOf(conn); f != nil {
			f.refused = f.refused || err.Code == "25006"
			if stalePlan(err) {
				p.renew(f)
			}
		}
		return report == nil || report(conn, err)
	}
}

// takesNoWrites reports whether the server said, without being asked, that it
// is a standby or that its transactions are read-only (PostgreSQL 14 and newer).
func takesNoWrites(conn *pgconn.PgConn) bool {
	return conn.ParameterStatus("in_hot_standby") == "on" || conn.ParameterStatus("default_transaction_read_only") == "on"
}

// lostWrites reports whether the server of conn takes no writes though nobody
// has asked for that.
func (p *Pool) lostWrites(conn *pgconn.PgConn) bool {
	return p.owned && p.cfg.RuntimeParams["default_transaction_read_only"] != "on" && takesNoWrites(conn)
}

// renew has all connections replaced that are as old as that of f or older:
// what made it useless concerns them all.
func (p *Pool) renew(f *fitness) {
	last, now := p.renewed.Load(), time.Now().UnixNano()
	if f.generation != p.generation.Load() || time.Duration(now-last) < renewEvery || !p.renewed.CompareAndSwap(last, now) {
		return
	}
	if p.generation.CompareAndSwap(f.generation, f.generation+1) {
		p.pgx.Reset()
	}
}
