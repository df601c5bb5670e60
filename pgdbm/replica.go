package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	replicaWait  = 25 * time.Millisecond // of a read, for a replica to be there and to have caught up
	replicaPause = time.Second           // until a replica that was not there is tried again
	replicaSlow  = time.Second           // for the question how far it is
)

// Token names the present state of the database, for [Manager.Replica]. Take it
// after a write has been committed; it costs a round trip to the primary.
//
// It is a short string of letters and digits that may travel, in a cookie for
// example. It tells how much the database has written, and nothing else.
func (m *Manager) Token(ctx context.Context) (string, error) {
	at, err := FetchValue[int64](ctx, m, "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%016X", at), nil
}

// parseToken returns the position that a token stands for; "" is the beginning.
func parseToken(token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	at, err := strconv.ParseInt(token, 16, 64)
	if err != nil || len(token) != 16 || at < 0 {
		return 0, &Error{Class: ErrInvalid, Err: errors.New("Replica: the token is none that Token returned")}
	}
	return at, nil
}

// replica is the pool of [Config.ReplicaConnString].
type replica struct {
	pool *Pool
	slow atomic.Int64 // since when reads wait in vain for a first connection, in Unix nanoseconds; 0: they do not
	away atomic.Int64 // since when it is; 0: it is there
	next atomic.Int64 // when it is tried again
}

// newReplica makes the pool without touching the network; nil when there is no
// replica.
func newReplica(primary *Pool) (*replica, error) {
	cfg := *primary.cfg
	if cfg.ReplicaConnString == "" {
		return nil, nil
	}
	cfg.ConnString, cfg.ReplicaConnString, cfg.DirectConnString = cfg.ReplicaConnString, "", ""
	cfg.Host, cfg.Port, cfg.Database, cfg.User = "", 0, "", ""
	cfg.MinConns, cfg.MinIdleConns = 0, 0
	cfg.RuntimeParams = maps.Clone(cfg.RuntimeParams)
	if cfg.RuntimeParams == nil {
		cfg.RuntimeParams = map[string]string{}
	}
	cfg.RuntimeParams["default_transaction_read_only"] = "on" // it may be promoted
	cfg.Logger = cfg.Logger.With("pool", "replica")
	pool := newPool(cfg)
	pool.primary, pool.texts, pool.monitor = primary, primary.texts, primary.monitor
	if err := pool.own(); err != nil {
		return nil, err
	}
	return &replica{pool: pool}, nil
}

// serves reports whether a transaction on p is open to the managers of other: p
// is the same pool, or that of its replica.
func (p *Pool) serves(other *Pool) bool {
	return p.pgx == other.pgx || p.primary != nil && p.primary.pgx == other.pgx
}

// spread begins with any of the hosts, so that all have their share.
func spread(cc *pgx.ConnConfig) {
	nodes := append([]*pgconn.FallbackConfig{{Host: cc.Host, Port: cc.Port, TLSConfig: cc.TLSConfig}}, cc.Fallbacks...)
	var first []int // nodes that begin another host; what follows are other ways to encrypt
	for i, n := range nodes {
		if i == 0 || n.Host != nodes[i-1].Host || n.Port != nodes[i-1].Port {
			first = append(first, i)
		}
	}
	at := first[rand.N(len(first))]
	nodes = append(nodes[at:len(nodes):len(nodes)], nodes[:at]...)
	cc.Host, cc.Port, cc.TLSConfig, cc.Fallbacks = nodes[0].Host, nodes[0].Port, nodes[0].TLSConfig, nodes[1:]
}

// connect opens a first connection, so that the first read finds one.
func (r *replica) connect(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, replicaPause)
	defer cancel()
	if err := r.pool.probe(bounded); err != nil {
		r.missed(ctx, err)
	}
}

// acquire returns a connection to a replica that is not behind token, nil if
// there is none within 25 ms.
func (r *replica) acquire(ctx context.Context, token int64) *pgxpool.Conn {
	if time.Now().UnixNano() < r.next.Load() {
		return nil
	}
	deadline := time.Now().Add(replicaWait)
	bounded, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, err := r.pool.attempt(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		s := r.pool.pgx.Stat()
		switch {
		case s.AcquiredConns() == s.MaxConns(): // it is there, and busy: the primary should not get it all
			conn, err = r.pool.acquire(ctx)
			deadline = time.Now().Add(replicaWait)
		case s.AcquiredConns()+s.IdleConns() > 0 || !r.tooSlow():
			return nil // a connection is being opened, for those who come later
		}
	}
	if err != nil {
		r.missed(ctx, err)
		return nil
	}
	reached, err := replayed(ctx, conn, token, deadline)
	if err != nil {
		r.missed(ctx, err)
	} else {
		r.present(ctx)
	}
	if !reached {
		conn.Release()
		return nil
	}
	return conn
}

// tooSlow reports whether reads have waited in vain for long enough to say that
// the replica is not there.
func (r *replica) tooSlow() bool {
	now := time.Now().UnixNano()
	return !r.slow.CompareAndSwap(0, now) && time.Duration(now-r.slow.Load()) > replicaPause
}

// present notes that the replica is there.
func (r *replica) present(ctx context.Context) {
	if r.slow.Load() != 0 {
		r.slow.Store(0)
	}
	if since := r.away.Load(); since != 0 && r.away.CompareAndSwap(since, 0) {
		r.pool.log.LogAttrs(ctx, slog.LevelInfo, "replica available again", slog.Duration("dur", time.Since(time.Unix(0, since))))
	}
}

// missed notes that the replica is not there.
func (r *replica) missed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // it says nothing about the replica
	}
	now := time.Now()
	r.next.Store(now.Add(replicaPause).UnixNano())
	if r.away.CompareAndSwap(0, now.UnixNano()) {
		r.pool.log.LogAttrs(ctx, slog.LevelWarn, "replica unavailable, reads go to the primary", slog.String("error", Mask(classify(err, "", "").Error())))
	}
}

// replayed waits until the server of conn has replayed what token stands for. A
// server that was promoted has.
func replayed(ctx context.Context, conn *pgxpool.Conn, token int64, deadline time.Time) (bool, error) {
	f := fitnessOf(conn.Conn().PgConn())
	if f.replayed >= token {
		return true, nil
	}
	asking, cancel := context.WithTimeout(ctx, replicaSlow)
	defer cancel()
	for pause := time.Millisecond; ; pause *= 2 {
		const position = "select case when pg_is_in_recovery() then coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'), 0) else 9223372036854775807 end::bigint"
		if err := conn.QueryRow(asking, position).Scan(&f.replayed); err != nil {
			return false, err
		}
		if f.replayed >= token {
			return true, nil
		}
		if time.Until(deadline) < pause || sleep(asking, pause) != nil {
			return false, nil
		}
	}
}
