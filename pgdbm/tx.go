package pgdbm

import (
	"cmp"
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
// statement; the connection goes back when the transaction ends. A Tx of
// [Manager.Begin] that is never ended keeps it for good: the server ends the
// session after [Config.IdleInTransactionTimeout], but the pool has one
// connection less, as [Pool.Stat] shows.
//
// A statement that fails aborts the transaction, or its savepoint: until the end
// every statement fails with the same reason.
type Tx struct {
	conn    *txConn
	binding *Binding
	level   *txLevel // shared by all views of one level
}

// txLevel is the transaction (parent nil) or a savepoint in it.
type txLevel struct {
	parent     *txLevel
	inner      *txLevel // the savepoint that is open in this level
	name       string   // of the savepoint
	searchPath string   // what it is to be again after the savepoint; "" when it did not change
	managed    bool     // by InTx, which ends it
	unusable   error    // why it cannot be used (any more)
}

var (
	errTxOver = fmt.Errorf("pgdbm: a Tx must not be used after its InTx, Commit or Rollback: %w", pgx.ErrTxClosed)
	errInner  = errors.New("pgdbm: a savepoint is open in this transaction: use the Tx of the inner InTx or Begin until that ends")
	errLent   = errors.New("pgdbm: an adopted transaction is ended by who began it")
)

// check reports why nothing can be done in the level.
func (l *txLevel) check() error {
	if l.unusable == nil && l.inner != nil {
		return errInner
	}
	return l.unusable
}

// end marks the level, and all in it, as ended.
func (l *txLevel) end() {
	for inner := l; inner != nil; inner = inner.inner {
		inner.unusable = errTxOver
	}
	if l.parent != nil {
		l.parent.inner = nil
	}
	l.inner = nil
}

// In returns tx's schema on the connection of other; see [DB]. Both may be
// views of the same transaction.
func (tx *Tx) In(other *Tx) DB {
	return view(tx.conn.pool, tx.binding, other)
}

// view returns a binding of pool on the connection of tx.
func view(pool *Pool, binding *Binding, tx *Tx) *Tx {
	if !tx.conn.pool.serves(pool) {
		return &Tx{conn: tx.conn, binding: binding, level: &txLevel{unusable: errOtherPool}}
	}
	return &Tx{conn: tx.conn, binding: binding, level: tx.level}
}

var errOtherPool = errors.New("pgdbm: In: the transaction belongs to another pool; modules share a transaction only on one shared pool")

// Pgx begins the transaction if nothing was sent yet and returns pgx's own, for
// libraries that take one. It must not be committed or rolled back; templates
// are not expanded and errors not classified there. With [Config.ModuleRoles] it
// has tx's role until another module speaks; one that was adopted has its owner's.
func (tx *Tx) Pgx(ctx context.Context) (pgx.Tx, error) {
	if err := tx.begin(ctx); err != nil {
		return nil, err
	}
	if !tx.conn.lent {
		if _, err := tx.conn.take(ctx, tx.binding.Schema, ""); err != nil {
			return nil, err
		}
		tx.conn.role.shared = true
	}
	return tx.conn.tx, nil
}

// usable reports why nothing can be sent.
func (tx *Tx) usable(ctx context.Context) error {
	if err := tx.level.check(); err != nil {
		return err
	}
	if tx.conn.over(ctx) {
		return errTxOver
	}
	return nil
}

// begin begins the transaction with nothing travelling along.
func (tx *Tx) begin(ctx context.Context) error {
	if err := tx.usable(ctx); err != nil {
		return err
	}
	tx.conn.by(tx.binding)
	return tx.conn.begin(ctx, tx.binding.Schema)
}

// Schema returns the bound schema, "" when none is bound.
func (tx *Tx) Schema() string { return tx.binding.Schema }

// Expand returns sql with its templates expanded.
func (tx *Tx) Expand(sql string) (string, error) {
	return tx.conn.pool.texts.expand(tx.binding, sql)
}

// expand is Expand for a statement about to be sent.
func (tx *Tx) expand(ctx context.Context, sql string) (string, error) {
	if err := tx.usable(ctx); err != nil {
		return "", err
	}
	tx.conn.by(tx.binding)
	return tx.Expand(sql)
}

// Exec is [DB].Exec in the transaction.
func (tx *Tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	text, err := tx.expand(ctx, sql)
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
	text, err := tx.expand(ctx, sql)
	if err != nil {
		return failedRows(err), err
	}
	return tx.conn.query(ctx, tx.binding.Schema, text, args)
}

// SendBatch is [DB].SendBatch in the transaction. The results must be closed
// before the next statement.
func (tx *Tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	err := tx.usable(ctx)
	if err == nil {
		err = expandBatch(b, tx.Expand)
	}
	if err == nil && tx.binding.role != nil {
		_, err = stays(b.QueuedQueries)
	}
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	tx.conn.by(tx.binding)
	return tx.conn.sendBatch(ctx, tx.binding.Schema, b)
}

// CopyFrom is [DB].CopyFrom in the transaction.
func (tx *Tx) CopyFrom(ctx context.Context, table string, columns []string, src pgx.CopyFromSource) (int64, error) {
	name, err := tx.binding.identifier(table)
	if err == nil {
		err = tx.begin(ctx)
	}
	if err != nil {
		return 0, err
	}
	restore, err := tx.conn.take(ctx, tx.binding.Schema, "")
	if err != nil {
		return 0, err
	}
	tx.conn.copying = true
	defer func() { tx.conn.copying = false }()
	n, err := copyFrom(ctx, tx.conn.tx, name, columns, src)
	err = tx.conn.fail(&statement{ctx: ctx, schema: tx.binding.Schema, sql: "copy " + name.Sanitize()}, err)
	if restore != nil {
		err = cmp.Or(err, restore())
	}
	return n, err
}
