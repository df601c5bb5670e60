package pgdbm

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Tx is a [DB] whose statements run in one transaction, or in a savepoint of
// one. It belongs to one goroutine at a time.
//
// The transaction begins, and takes a connection from the pool, with its first
// statement; the connection goes back when the transaction ends.
type Tx struct {
	conn    *txConn
	binding *Binding
	level   *txLevel // shared by all views of one level
}

// txLevel is the transaction (savepoint nil) or a savepoint in it.
type txLevel struct {
	savepoint pgx.Tx
	unusable  error // why it cannot be used (any more)
}

var errTxOver = fmt.Errorf("pgdbm: a Tx must not be used after its InTx, Commit or Rollback: %w", pgx.ErrTxClosed)

// Commit ends the transaction, or releases the savepoint. After Commit or
// Rollback every method returns an error for which errors.Is(err,
// pgx.ErrTxClosed) is true, so a deferred Rollback does no harm.
//
// An error of class [ErrCommitUnknown] means that the connection was lost
// before the server's answer came.
func (tx *Tx) Commit(ctx context.Context) error {
	if err := tx.close(); err != nil {
		return err
	}
	savepoint := tx.level.savepoint
	if savepoint == nil {
		return tx.conn.commit(ctx)
	}
	tx.conn.closeOpen()
	err := ctx.Err()
	if err == nil && savepoint.Conn().PgConn().TxStatus() == 'E' {
		err = pgx.ErrTxCommitRollback
	}
	if err != nil {
		return errors.Join(classify(err, tx.Schema(), "release savepoint"), rollback(ctx, savepoint))
	}
	return classify(savepoint.Commit(ctx), tx.Schema(), "release savepoint")
}

// Rollback undoes what the transaction, or the savepoint, did. It works after
// ctx has ended: the server is then given 5 seconds to answer before the
// connection is closed, which rolls back as well.
func (tx *Tx) Rollback(ctx context.Context) error {
	if err := tx.close(); err != nil {
		return err
	}
	if tx.level.savepoint == nil {
		return tx.conn.rollback(ctx)
	}
	tx.conn.closeOpen()
	return rollback(ctx, tx.level.savepoint)
}

// close marks this level as ended.
func (tx *Tx) close() error {
	if err := tx.level.unusable; err != nil {
		return err
	}
	if tx.conn.lent && tx.level.savepoint == nil {
		return errors.New("pgdbm: an adopted transaction is ended by who began it")
	}
	tx.level.unusable = errTxOver
	return nil
}

// Begin sets a savepoint and returns it as a Tx, which must be ended by Commit
// or Rollback before tx is. [Tx.InTx] does that by itself.
func (tx *Tx) Begin(ctx context.Context) (*Tx, error) {
	if err := tx.level.unusable; err != nil {
		return nil, err
	}
	tx.conn.by(tx.binding)
	if err := tx.conn.begin(ctx); err != nil {
		return nil, classify(err, tx.binding.Schema, "begin")
	}
	savepoint, err := tx.conn.tx.Begin(ctx)
	if err != nil {
		return nil, classify(err, tx.binding.Schema, "savepoint")
	}
	return &Tx{conn: tx.conn, binding: tx.binding, level: &txLevel{savepoint: savepoint}}, nil
}

// InTx runs fn in a savepoint: what fn did is undone when it returns an error
// or panics, and the transaction goes on.
func (tx *Tx) InTx(ctx context.Context, fn func(*Tx) error) error {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	return run(ctx, savepoint, fn)
}

// In returns tx's schema on the connection of other; see [DB]. Both may be
// views of the same transaction.
func (tx *Tx) In(other *Tx) DB {
	return view(tx.conn.pool, tx.binding, other)
}

// view returns a binding of pool on the connection of tx.
func view(pool *Pool, binding *Binding, tx *Tx) *Tx {
	if pool.pgx != tx.conn.pool.pgx {
		return &Tx{conn: tx.conn, binding: binding, level: &txLevel{unusable: errOtherPool}}
	}
	return &Tx{conn: tx.conn, binding: binding, level: tx.level}
}

var errOtherPool = errors.New("pgdbm: In: the transaction belongs to another pool; modules share a transaction only on one shared pool")

// Pgx begins the transaction if nothing was sent yet and returns pgx's own, for
// libraries that take one. It must not be committed or rolled back; templates
// are not expanded.
func (tx *Tx) Pgx(ctx context.Context) (pgx.Tx, error) {
	if err := tx.level.unusable; err != nil {
		return nil, err
	}
	tx.conn.by(tx.binding)
	if err := tx.conn.begin(ctx); err != nil {
		return nil, classify(err, tx.binding.Schema, "begin")
	}
	return tx.conn.tx, nil
}

// Schema returns the bound schema, "" when none is bound.
func (tx *Tx) Schema() string { return tx.binding.Schema }

// Expand returns sql with its templates expanded.
func (tx *Tx) Expand(sql string) (string, error) {
	return tx.conn.pool.texts.expand(tx.binding, sql)
}

// expand is Expand for a statement about to be sent.
func (tx *Tx) expand(sql string) (string, error) {
	if err := tx.level.unusable; err != nil {
		return "", err
	}
	tx.conn.by(tx.binding)
	return tx.Expand(sql)
}

// Exec is [DB].Exec in the transaction.
func (tx *Tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	text, err := tx.expand(sql)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	return tx.conn.exec(ctx, tx.binding.Schema, text, args)
}

// Query is [DB].Query in the transaction. The rows must be closed or read to the
// end before the next statement.
func (tx *Tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return tx.query(ctx, sql, args)
}

// QueryRow is [DB].QueryRow in the transaction.
func (tx *Tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	r, _ := tx.query(ctx, sql, args) // Scan reports the error
	return row{r}
}

func (tx *Tx) query(ctx context.Context, sql string, args []any) (*rows, error) {
	text, err := tx.expand(sql)
	if err != nil {
		return failedRows(err), err
	}
	return tx.conn.query(ctx, tx.binding.Schema, text, args)
}

// SendBatch is [DB].SendBatch in the transaction.
func (tx *Tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := tx.level.unusable; err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	if err := expandBatch(b, tx.Expand); err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	tx.conn.by(tx.binding)
	begin, err := tx.conn.start(ctx)
	if err != nil {
		return pgx.FailedBatchResults(b, classify(err, tx.binding.Schema, ""))
	}
	if !begin {
		return &batchResults{BatchResults: tx.conn.tx.SendBatch(ctx, b), schema: tx.binding.Schema}
	}
	results := &batchResults{BatchResults: tx.conn.send(ctx, b), schema: tx.binding.Schema, tx: tx.conn}
	results.head = func() error { return tx.conn.skipHead(results.BatchResults) }
	return results
}

// CopyFrom is [DB].CopyFrom in the transaction.
func (tx *Tx) CopyFrom(ctx context.Context, table string, columns []string, src pgx.CopyFromSource) (int64, error) {
	name, err := tx.binding.identifier(table)
	if err == nil {
		err = tx.level.unusable
	}
	if err == nil {
		tx.conn.by(tx.binding)
		err = tx.conn.begin(ctx)
	}
	if err != nil {
		return 0, classify(err, tx.binding.Schema, "begin")
	}
	n, err := tx.conn.tx.CopyFrom(ctx, name, columns, src)
	return n, classify(err, tx.binding.Schema, "copy "+name.Sanitize())
}
