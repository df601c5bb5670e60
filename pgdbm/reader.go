package pgdbm

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Replica returns m's schema for reads that need not be the newest, on the
// replica of [Config.ReplicaConnString]. With a token they see everything that
// was committed when [Manager.Token] returned it; with "" they may be as old as
// the replica is behind, and a read right after a write usually misses it.
//
// Each statement or transaction waits up to 25 ms for a replica that is there
// and has caught up, and then goes to the primary, as it does when no replica is
// configured. A statement that a replica did not finish (the connection was
// lost, or replay needed its rows gone) goes to the primary as well, unless rows
// were read already.
//
// Writes fail with [ErrReadOnly] wherever they go. A malformed token is the error
// of every statement. Transactions take their connection at once; serializable
// ones run on the primary.
func (m *Manager) Replica(token string) DB {
	at, err := parseToken(token)
	return &reader{m: m, token: at, err: err}
}

// reader is the DB of [Manager.Replica].
type reader struct {
	m     *Manager
	token int64
	err   error // of the token
}

// guard makes the statements that follow it in the same round trip read-only.
const guard = "select set_config('transaction_read_only', 'on', true)"

var errReads = &Error{Class: ErrReadOnly, Hint: "Replica is for reads; write through the manager itself"}

func (d *reader) Schema() string { return d.m.Schema() }

func (d *reader) In(tx *Tx) DB { return d.m.In(tx) }

func (d *reader) CopyFrom(context.Context, string, []string, pgx.CopyFromSource) (int64, error) {
	return 0, errReads
}

// conn returns a connection and whose it is.
func (d *reader) conn(ctx context.Context) (*pgxpool.Conn, *Pool, error) {
	if d.err != nil {
		return nil, nil, d.err
	}
	primary := d.m.pool
	if primary.closed.Load() {
		return nil, nil, errClosed(nil)
	}
	if r := primary.replica; r != nil {
		if conn := r.acquire(ctx, d.token); conn != nil {
			primary.monitor.acquired(conn, d.m.binding, nil)
			d.m.binding.speaks(conn.Conn(), false)
			return conn, r.pool, nil
		}
	}
	conn, err := d.m.acquire(ctx)
	return conn, primary, err
}

// free reports whether a server reached through p takes writes, so that a guard
// is needed.
func (d *reader) free(p *Pool) bool { return p == d.m.pool || p.isPooled() }

func (d *reader) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	r, err := d.query(ctx, sql, args)
	r.Close()
	if err == nil {
		err = r.Err()
	}
	return r.CommandTag(), err
}

func (d *reader) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return d.query(ctx, sql, args)
}

func (d *reader) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	r, _ := d.query(ctx, sql, args) // Scan reports the error
	return row{r}
}

func (d *reader) query(ctx context.Context, sql string, args []any) (*rows, error) {
	text, err := d.m.Expand(sql)
	if err == nil && hasOptions(args) {
		err = errors.New("pgdbm: Replica: query options such as pgx.QueryExecMode are not supported")
	}
	if err != nil {
		return failedRows(err), err
	}
	if commits(text) {
		return queryInTx(ctx, d, TxOptions{ReadOnly: true}, text, args)
	}
	conn, pool, err := d.conn(ctx)
	if err != nil {
		return failedRows(err), err
	}
	ctx, cancel := pool.limit(ctx)
	r := &rows{statement: statement{ctx, d.Schema(), text, args, d.m.binding.role}, conn: conn, by: d, cancel: cancel}
	defer r.dropped()
	d.send(r, pool)
	return r, r.sent()
}

// send sends the statement of r, on r.conn of pool.
func (d *reader) send(r *rows, pool *Pool) {
	r.guarded = d.free(pool)
	if !r.guarded {
		d.m.send(r)
		return
	}
	r.sendBehind(d.m.binding.role, true)
}

// rerun is the second attempt at a statement: where the first was made if a plan
// was stale, else on the primary.
func (d *reader) rerun(r *rows, err error) bool {
	server, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case r.ctx.Err() != nil || r.guarded || r.tries.once:
		return false
	}
	switch r.tries.once = true; {
	case answered && stalePlan(server):
		d.m.send(r)
		return true
	case answered && server.Code == "40001", errors.Is(classify(err, "", ""), ErrUnavailable):
		r.closeBatch()
		r.conn.Release()
		conn, err := d.m.acquire(r.ctx)
		if err != nil {
			return false
		}
		r.conn = conn
		d.send(r, d.m.pool)
		return true
	}
	return false
}

func (d *reader) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	begin, err := false, expandBatch(b, d.m.Expand)
	if err == nil {
		begin, err = stays(b.QueuedQueries)
	}
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	if begin {
		return sendInTx(ctx, d, TxOptions{ReadOnly: true}, b)
	}
	conn, pool, err := d.conn(ctx)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	ctx, cancel := pool.limit(ctx)
	results := &batchResults{ctx: ctx, schema: d.Schema(), queued: b.QueuedQueries, conn: conn, cancel: cancel, role: d.m.binding.role}
	if d.free(pool) {
		results.lead++
		b = &pgx.Batch{QueuedQueries: append([]*pgx.QueuedQuery{{SQL: guard}}, b.QueuedQueries...)}
	}
	if results.role != nil && b.Len() > 0 {
		results.lead++
		b = &pgx.Batch{QueuedQueries: results.role.behind(b.QueuedQueries)}
	}
	defer results.dropped()
	results.BatchResults = conn.SendBatch(ctx, b)
	return results
}

func (d *reader) InTx(ctx context.Context, fn func(*Tx) error) error {
	return d.InTxWith(ctx, TxOptions{}, fn)
}

func (d *reader) InTxWith(ctx context.Context, opts TxOptions, fn func(*Tx) error) error {
	opts.ReadOnly = true
	return d.m.inTx(ctx, d, opts, fn)
}

// BeginWith begins a transaction, wherever it is to run. A standby knows no
// serializable ones.
func (d *reader) BeginWith(ctx context.Context, opts TxOptions) (*Tx, error) {
	if err := errors.Join(d.err, opts.validate(d.Schema())); err != nil {
		return nil, err
	}
	if opts.Isolation == pgx.Serializable {
		return d.m.BeginWith(ctx, opts)
	}
	conn, pool, err := d.conn(ctx)
	if err != nil {
		return nil, err
	}
	tx := d.m.newTx(pool, opts)
	tx.conn.conn = conn
	return tx, nil
}
