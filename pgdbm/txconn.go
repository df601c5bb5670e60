package pgdbm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rollbackTimeout bounds what is sent after the caller's context has ended:
// long enough for a busy server, short enough that a frozen one does not hold
// a request.
const rollbackTimeout = 5 * time.Second

// txConn is a transaction on a connection. It begins with its first statement,
// in the same round trip: an empty transaction costs nothing.
type txConn struct {
	pool  *Pool
	opts  pgx.TxOptions
	head  []string // statements that follow BEGIN, such as SET LOCAL
	alone bool     // head changes how statements are prepared: none may travel along

	holder  *Binding // began it; nil if lent
	speaker *Binding // sends the next statement; nil: holder

	conn   *pgxpool.Conn // nil until the first statement, and after the end
	tx     pgx.Tx        // nil until the first statement
	open   *rows         // the rows handed out last
	failed error         // why the transaction could not begin
	lent   bool          // tx belongs to the caller of Adopt
}

// start readies the connection for a statement. It reports whether the
// transaction has yet to begin, with that statement travelling along.
func (c *txConn) start(ctx context.Context) (begin bool, err error) {
	switch {
	case c.failed != nil:
		return false, c.aborted()
	case c.tx != nil:
		return false, nil
	case c.conn != nil:
		return true, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c.conn, err = c.pool.acquire(ctx)
	c.pool.monitor.acquired(c.conn, c.holder, err)
	if err != nil {
		c.failed = err
		return false, err
	}
	c.by(cmp.Or(c.speaker, c.holder))
	if c.alone {
		return false, c.beginNow(ctx)
	}
	return true, nil
}

// by notes whose statement is the next.
func (c *txConn) by(b *Binding) {
	c.speaker = b
	switch {
	case c.conn != nil:
		c.pool.monitor.speaks(c.conn.Conn(), b)
	case c.lent:
		c.pool.monitor.speaks(c.tx.Conn(), b)
	}
}

// begin begins the transaction with nothing travelling along.
func (c *txConn) begin(ctx context.Context) error {
	begin, err := c.start(ctx)
	if err != nil || !begin {
		return err
	}
	return c.beginNow(ctx)
}

func (c *txConn) beginNow(ctx context.Context) error {
	err := c.send(ctx, &pgx.Batch{}).Close()
	c.began(err)
	return err
}

// send begins the transaction and sends b in the same round trip. The first
// results of the returned ones, of BEGIN and head, are still to be read.
func (c *txConn) send(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	all := &pgx.Batch{}
	all.BeginTx(c.opts)
	for _, sql := range c.head {
		all.Queue(sql)
	}
	all.QueuedQueries = append(all.QueuedQueries, b.QueuedQueries...)
	results := c.conn.SendBatch(ctx, all)
	c.tx = results.Tx()
	return results
}

// skipHead reads the results of BEGIN and head.
func (c *txConn) skipHead(results pgx.BatchResults) error {
	for range 1 + len(c.head) {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	return nil
}

// began learns how the first round trip went: err is that of the whole batch.
// When it failed before the server saw BEGIN, for example because a statement
// could not be prepared, then there is no transaction, and later statements
// must fail as they do in one that is aborted.
func (c *txConn) began(err error) {
	if err != nil && c.conn.Conn().PgConn().TxStatus() == 'I' {
		c.failed = err
	}
}

// aborted is what a transaction answers after it could not begin.
func (c *txConn) aborted() error {
	return within("the transaction was aborted by its first statement", c.failed)
}

func (c *txConn) query(ctx context.Context, schema, sql string, args []any) (*rows, error) {
	begin, err := c.start(ctx)
	if err == nil && begin && hasOptions(args) { // a batch cannot carry them
		err, begin = c.begin(ctx), false
	}
	if err != nil {
		err = classify(err, schema, sql)
		return failedRows(err), err
	}
	r := &rows{schema: schema, sql: sql, tx: c}
	c.open = r
	if !begin {
		r.Rows, err = c.tx.Query(ctx, sql, args...)
		return r, classify(err, schema, sql)
	}
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	r.batch = c.send(ctx, b)
	if err := c.skipHead(r.batch); err != nil {
		r.Rows = noRows{}
		r.end()
		return r, r.err
	}
	if r.Rows, err = r.batch.Query(); err != nil {
		r.end()
		return r, r.Err()
	}
	return r, nil
}

func (c *txConn) exec(ctx context.Context, schema, sql string, args []any) (pgconn.CommandTag, error) {
	if c.tx != nil && c.failed == nil {
		tag, err := c.tx.Exec(ctx, sql, args...)
		return tag, classify(err, schema, sql)
	}
	r, err := c.query(ctx, schema, sql, args)
	r.Close()
	if err == nil {
		err = r.Err()
	}
	return r.CommandTag(), err
}

// closeOpen closes the rows that were handed out last: a statement that was left
// half read would keep the connection busy.
func (c *txConn) closeOpen() {
	if c.open != nil {
		c.open.Close()
		c.open = nil
	}
}

// end ends the transaction by fn and gives the connection back.
func (c *txConn) end(fn func(pgx.Tx) error) error {
	c.closeOpen()
	var err error
	if c.tx != nil && c.failed == nil {
		err = fn(c.tx)
	}
	if c.conn != nil {
		c.conn.Release()
		c.conn = nil
	}
	return err
}

func (c *txConn) commit(ctx context.Context) error {
	if c.failed != nil {
		return errors.Join(fmt.Errorf("%w: %w", c.aborted(), pgx.ErrTxCommitRollback), c.rollback(ctx))
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(classify(err, "", ""), c.rollback(ctx))
	}
	return c.end(func(tx pgx.Tx) error {
		err := tx.Commit(ctx)
		_, answered := errors.AsType[*pgconn.PgError](err)
		if err == nil || answered || errors.Is(err, pgx.ErrTxCommitRollback) || errors.Is(err, pgx.ErrTxClosed) {
			return classify(err, "", "commit")
		}
		return &Error{
			Class: ErrCommitUnknown, SQL: "commit", Err: err,
			Hint: "the transaction is stored whole or not at all; read it back before repeating it",
		}
	})
}

func (c *txConn) rollback(ctx context.Context) error {
	return c.end(func(tx pgx.Tx) error { return rollback(ctx, tx) })
}

// rollback rolls back a transaction or a savepoint whatever became of ctx. Where
// the connection is lost there is nothing left to roll back.
func rollback(ctx context.Context, tx pgx.Tx) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	err := tx.Rollback(ctx)
	if errors.Is(err, pgx.ErrTxClosed) || tx.Conn().IsClosed() {
		return nil
	}
	return classify(err, "", "rollback")
}

// hasOptions reports whether args begin with one of pgx's query options, which
// a batch does not accept.
func hasOptions(args []any) bool {
	if len(args) == 0 {
		return false
	}
	switch args[0].(type) {
	case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
		return true
	}
	return false
}
