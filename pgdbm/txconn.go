package pgdbm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
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
	role    txRole   // of the last statement

	conn       *pgxpool.Conn // nil until the first statement, and after the end
	tx         pgx.Tx        // nil until the first statement
	open       *rows         // the rows handed out last
	batch      *batchResults // the batch that was sent last, until it is closed
	savepoints int           // for their names
	cause      error         // the error that aborted the transaction
	failed     bool          // by cause, before it could begin
	copying    bool          // a CopyFrom reads its rows
	lent       bool          // tx belongs to the caller of Adopt
}

// start readies the connection for a statement. It reports whether the
// transaction has yet to begin, with that statement travelling along.
func (c *txConn) start(ctx context.Context, schema string) (begin bool, err error) {
	switch {
	case c.failed:
		return false, c.aborted(nil)
	case c.tx != nil:
		return false, c.check(schema)
	case c.conn != nil && c.alone:
		return false, c.beginNow(ctx, schema)
	case c.conn != nil:
		return true, nil
	}
	if err := ctx.Err(); err != nil {
		return false, classify(err, schema, "begin")
	}
	c.conn, err = c.pool.acquire(ctx)
	c.pool.monitor.acquired(c.conn, c.holder, err)
	if err != nil {
		c.failed, c.cause = true, err
		return false, err
	}
	c.by(cmp.Or(c.speaker, c.holder))
	if c.alone {
		return false, c.beginNow(ctx, schema)
	}
	return true, nil
}

// over reports whether an adopted transaction was ended by who began it. Its
// connection is somebody else's then, and must not even be looked at. pgx refuses
// to begin in a transaction, for one reason or the other, without doing so.
func (c *txConn) over(ctx context.Context) bool {
	if !c.lent {
		return false
	}
	b := &pgx.Batch{}
	b.BeginTx(pgx.TxOptions{})
	return errors.Is(c.tx.SendBatch(ctx, b).Close(), pgx.ErrTxClosed)
}

// by notes whose statement is the next.
func (c *txConn) by(b *Binding) {
	c.speaker = b
	switch {
	case c.conn != nil:
		c.pool.monitor.speaks(c.conn.Conn(), b)
		b.speaks(c.conn.Conn(), false)
	case c.lent:
		c.pool.monitor.speaks(c.tx.Conn(), b)
		b.speaks(c.tx.Conn(), true)
	}
}

// begin begins the transaction with nothing travelling along.
func (c *txConn) begin(ctx context.Context, schema string) error {
	begin, err := c.start(ctx, schema)
	if err != nil || !begin {
		return err
	}
	return c.beginNow(ctx, schema)
}

func (c *txConn) beginNow(ctx context.Context, schema string) error {
	results, _ := c.send(ctx, nil)
	err := results.Close()
	failed := c.fail(&statement{ctx: ctx, schema: schema, sql: "begin"}, err)
	c.began(err)
	return failed
}

// send begins the transaction and sends queued in the same round trip. The first
// results of the returned ones, lead of them, of BEGIN and what follows it, are
// still to be read.
func (c *txConn) send(ctx context.Context, queued []*pgx.QueuedQuery) (results pgx.BatchResults, lead int) {
	all := &pgx.Batch{QueuedQueries: make([]*pgx.QueuedQuery, 0, 2+len(c.head)+len(queued))}
	all.BeginTx(c.opts)
	for _, sql := range c.head {
		all.Queue(sql)
	}
	if c.role = (txRole{}); c.turns() {
		all.Queue(c.turn())
	}
	lead = all.Len()
	all.QueuedQueries = append(all.QueuedQueries, queued...)
	results = c.conn.SendBatch(ctx, all)
	c.tx = results.Tx()
	return results, lead
}

// skipLead reads the first results of those that send returned.
func skipLead(results pgx.BatchResults, lead int) error {
	for range lead {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	return nil
}

// began learns how the first round trip went: err is that of the whole batch.
// When it failed before the server saw BEGIN then there is no transaction. Where
// nothing was sent, for example because an argument could not be encoded, the
// next statement begins it. Otherwise, as when the server could not prepare the
// statement, the next statements must fail as in a transaction that is aborted.
func (c *txConn) began(err error) {
	switch {
	case err == nil || c.tx == nil || c.status() != 'I':
	case sqlState(err) == "" && !c.tx.Conn().IsClosed():
		c.tx, c.cause = nil, nil
	default:
		c.failed = true
		c.note(classify(err, "", "begin"))
	}
}

// beganAlone is began for a single statement. Where its arguments could not be
// encoded pgx, which had queued BEGIN, closes the connection: another will do.
func (c *txConn) beganAlone(err error) {
	if c.tx != nil && sqlState(err) == "" && strings.HasPrefix(fmt.Sprint(err), buildFailed) {
		c.release()
		c.tx, c.cause = nil, nil
		return
	}
	c.began(err)
}

// note keeps the first error that aborted the transaction, or broke it.
func (c *txConn) note(err error) {
	if c.cause == nil && err != nil && (sqlState(err) != "" || c.tx != nil && c.tx.Conn().IsClosed()) {
		c.cause = err
	}
}

// status returns what the server said of the transaction last: T, E when it is
// aborted, I when there is none.
func (c *txConn) status() byte { return c.tx.Conn().PgConn().TxStatus() }

// check reports why no statement can be sent: the connection still reads (pgx
// would not only refuse, but also forget what it reads), is lost, or somebody else
// ended the transaction, so that what follows would be committed one by one.
func (c *txConn) check(schema string) error {
	if c.tx == nil {
		return nil
	}
	if c.copying {
		return errCopying
	}
	switch pc := c.tx.Conn().PgConn(); {
	case pc.IsClosed():
		if c.cause != nil {
			return c.aborted(pgconn.ErrConnClosed)
		}
	case pc.IsBusy():
		return classify(errBusy, schema, "")
	case pc.TxStatus() == 'I' && !c.lent:
		return errEnded
	case pc.TxStatus() == 'T':
		c.cause = nil // a savepoint of somebody else's healed it
	}
	return nil
}

var errCopying = errors.New("pgdbm: the Tx is in a CopyFrom, whose rows cannot come from the same Tx; read them first, or use INSERT … SELECT")

var errEnded = errors.New("pgdbm: the transaction has ended under this Tx: COMMIT and ROLLBACK must not be run as SQL, nor on what Tx.Pgx returns")

// fail classifies the error of a statement. A server's error aborts the
// transaction: what follows, COMMIT included, tells the reason.
func (c *txConn) fail(s *statement, err error) error {
	if err == nil {
		return nil
	}
	s.role, c.role.vague = c.speaks(), true
	err = s.classify(err)
	code := sqlState(err)
	if code == "25P02" && c.cause != nil {
		return c.aborted(err)
	}
	c.note(err)
	if e, ok := errors.AsType[*Error](err); ok && code == "25006" && c.opts.AccessMode == pgx.ReadOnly {
		e.Hint = "the transaction was begun with TxOptions.ReadOnly"
	}
	return err
}

// aborted is what a statement returns after the one that failed.
func (c *txConn) aborted(err error) error {
	return &contextError{what: "the transaction was aborted by an earlier error", err: c.cause, also: err}
}

func (c *txConn) query(ctx context.Context, schema, sql string, args []any) (*rows, error) {
	begin, err := c.start(ctx, schema)
	if err == nil && begin && unfit(sql, args) {
		err, begin = c.begin(ctx, schema), false
	}
	var restore func() error
	if err == nil && !begin {
		restore, err = c.take(ctx, schema, sql)
	}
	if err != nil {
		return failedRows(err), err
	}
	r := &rows{Rows: noRows{}, statement: statement{ctx, schema, sql, args, nil}, tx: c, begin: begin}
	if restore != nil {
		r.cancel = func() { r.err = cmp.Or(r.err, restore()) }
	}
	c.open = r
	if begin {
		var lead int
		r.batch, lead = c.send(ctx, []*pgx.QueuedQuery{{SQL: sql, Arguments: args}})
		if err = skipLead(r.batch, lead); err == nil {
			r.Rows, err = r.batch.Query()
		}
	} else {
		r.Rows, err = c.tx.Query(ctx, sql, args...)
	}
	if err != nil {
		r.end()
		return r, r.Err()
	}
	return r, nil
}

func (c *txConn) exec(ctx context.Context, schema, sql string, args []any) (pgconn.CommandTag, error) {
	if c.tx == nil && several(sql, args) { // which a batch cannot carry
		if err := c.begin(ctx, schema); err != nil {
			return pgconn.CommandTag{}, err
		}
	}
	if c.tx != nil && !c.failed {
		if err := c.check(schema); err != nil {
			return pgconn.CommandTag{}, err
		}
		if c.turns() {
			return c.execTurned(ctx, schema, sql, args)
		}
		return c.execPlain(ctx, schema, sql, args)
	}
	r, err := c.query(ctx, schema, sql, args)
	r.Close()
	if err == nil {
		err = r.Err()
	}
	return r.CommandTag(), err
}

func (c *txConn) execPlain(ctx context.Context, schema, sql string, args []any) (pgconn.CommandTag, error) {
	tag, err := c.tx.Exec(ctx, sql, args...)
	if err != nil {
		return tag, c.fail(&statement{ctx, schema, sql, args, nil}, err)
	}
	c.saw(tag)
	if c.pool.roles != nil && several(sql, args) {
		c.role.vague = true // one of them may have changed it
	}
	return tag, nil
}

func (c *txConn) sendBatch(ctx context.Context, schema string, b *pgx.Batch) pgx.BatchResults {
	begin, err := c.start(ctx, schema)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	r := &batchResults{ctx: ctx, schema: schema, queued: b.QueuedQueries, tx: c}
	if begin {
		r.BatchResults, r.lead = c.send(ctx, b.QueuedQueries)
	} else {
		restore, err := c.take(ctx, schema, "")
		if err != nil {
			return pgx.FailedBatchResults(b, err)
		}
		if restore != nil {
			r.cancel = func() { r.err = cmp.Or(r.err, restore()) }
		}
		r.BatchResults = c.tx.SendBatch(ctx, b)
	}
	c.batch = r
	return r
}

// finish ends what still reads: a statement that was left half read would keep
// the connection busy. It returns the error of a batch that was not closed.
func (c *txConn) finish(ctx context.Context) error {
	defer c.interrupt(ctx)()
	if c.open != nil {
		c.open.Close()
		c.open = nil
	}
	if c.batch != nil {
		return c.batch.Close()
	}
	return nil
}

// discard is finish for what will be rolled back: the functions of a batch are
// not called.
func (c *txConn) discard(ctx context.Context) {
	defer c.interrupt(ctx)()
	if c.open != nil {
		c.open.Close()
		c.open = nil
	}
	if b := c.batch; b != nil {
		b.closed, b.err = true, errTxOver
		_ = b.finish()
		b.release()
	}
}

// interrupt breaks the connection when ctx ends before the returned function is
// called: what reads may run under another context.
func (c *txConn) interrupt(ctx context.Context) (stop func()) {
	if c.tx == nil || c.batch == nil && (c.open == nil || c.open.ended) {
		return func() {}
	}
	conn := c.tx.Conn().PgConn().Conn()
	cancel := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() { cancel() }
}

// release gives the connection back.
func (c *txConn) release() {
	if c.conn != nil {
		c.conn.Release()
		c.conn = nil
	}
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
