package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// batchResults adds to pgx's results classified errors, also in the functions
// that are queued with statements, and giving back the connection at the end.
type batchResults struct {
	pgx.BatchResults
	ctx    context.Context // of the batch, for the errors of its statements
	schema string
	queued []*pgx.QueuedQuery
	read   int // how many of queued were

	conn   *pgxpool.Conn      // released by Close; nil in a transaction
	cancel context.CancelFunc // called by Close; nil for none

	tx   *txConn // told by Close how the first round trip went; nil outside a transaction
	role *role   // that it runs as; nil for that of the connection
	lead int     // results of BEGIN and what follows it, of a guard or a role, that are yet to be read

	own    *Tx // ends with the results; nil: none does
	err    error
	closed bool
}

func (r *batchResults) Exec() (pgconn.CommandTag, error) {
	if err := r.skip(); err != nil {
		return pgconn.CommandTag{}, err
	}
	s := r.next()
	tag, err := r.BatchResults.Exec()
	if r.tx != nil {
		r.tx.saw(tag)
	}
	return tag, r.fail(&s, err)
}

func (r *batchResults) Query() (pgx.Rows, error) { return r.query() }

func (r *batchResults) QueryRow() pgx.Row {
	rs, _ := r.query() // Scan reports the error
	return row{rs}
}

func (r *batchResults) query() (*rows, error) {
	if err := r.skip(); err != nil {
		return failedRows(err), err
	}
	rs := &rows{statement: r.next(), tx: r.tx}
	rs.role = r.role
	var err error
	if rs.Rows, err = r.BatchResults.Query(); err != nil {
		rs.ended, rs.err = true, r.fail(&rs.statement, err)
		return rs, rs.err
	}
	return rs, nil
}

// Close reads the results that were not, by the functions that were queued with
// them. What one of these returns is Close's error, as it is.
func (r *batchResults) Close() (err error) {
	if r.closed {
		return r.err
	}
	r.closed = true
	defer func() {
		r.release()
		err = r.err
	}()
	r.err = r.skip()
	for r.err == nil && r.read < len(r.queued) {
		if fn := r.queued[r.read].Fn; fn != nil {
			r.err = fn(r)
		} else {
			_, r.err = r.Exec()
		}
	}
	if err := r.finish(); r.err == nil {
		r.err = r.fail(&statement{ctx: r.ctx, schema: r.schema}, err)
	}
	if r.tx != nil && r.err != nil {
		r.tx.note(r.err)
	}
	if r.own != nil && r.err == nil {
		r.err = r.own.Commit(r.ctx)
	}
	return r.err
}

// finish reads what is left of the results, calling nobody.
func (r *batchResults) finish() error {
	for _, q := range r.queued[min(r.read, len(r.queued)):] {
		q.Fn = nil
	}
	err := r.BatchResults.Close()
	if r.tx != nil {
		r.tx.began(err)
	}
	return err
}

// dropped is that of rows.
func (r *batchResults) dropped() {
	if r.BatchResults == nil {
		r.release()
	}
}

func (r *batchResults) release() {
	if own, err := r.own, r.err; own != nil {
		r.own = nil
		_ = own.Rollback(r.ctx) // unless it was committed
		r.err = err
	}
	if r.conn != nil {
		r.conn.Release()
		r.conn = nil
	}
	if r.cancel != nil {
		r.cancel()
	}
	if r.tx != nil && r.tx.batch == r {
		r.tx.batch = nil
	}
}

// Tx returns nil: transactions are [Tx] values here.
func (r *batchResults) Tx() pgx.Tx { return nil }

// skip reads what comes before the caller's first result.
func (r *batchResults) skip() error {
	lead := r.lead
	r.lead = 0
	for range lead {
		if _, err := r.BatchResults.Exec(); err != nil {
			s := statement{ctx: r.ctx, schema: r.schema, sql: guard}
			if r.tx != nil {
				s.sql = "begin"
			}
			return r.fail(&s, err)
		}
	}
	return nil
}

// next returns the statement whose result is read next.
func (r *batchResults) next() statement {
	s := statement{ctx: r.ctx, schema: r.schema}
	if r.read < len(r.queued) {
		q := r.queued[r.read]
		s.sql, s.args = q.SQL, q.Arguments
	}
	r.read++
	return s
}

// fail classifies an error of a statement of the batch. One that cannot be
// prepared fails the whole batch, before its own turn.
func (r *batchResults) fail(s *statement, err error) error {
	if err == nil {
		return nil
	}
	if early, ok := errors.AsType[pgx.ErrPreprocessingBatch](err); ok {
		s = &statement{ctx: r.ctx, schema: r.schema, sql: early.SQL()}
	}
	if r.tx != nil {
		return r.tx.fail(s, err)
	}
	s.role = r.role
	return s.classify(err)
}

// expandBatch expands the templates of all queued statements in place.
func expandBatch(b *pgx.Batch, expand func(string) (string, error)) error {
	if b.Len() > 0 && strings.HasPrefix(b.QueuedQueries[0].SQL, "begin") && pgx.FailedBatchResults(b, nil).Tx() != nil {
		return errors.New("pgdbm: SendBatch: Batch.BeginTx does not go with a DB; send the batch in InTx")
	}
	for i, q := range b.QueuedQueries {
		text, err := expand(q.SQL)
		if err != nil {
			return err
		}
		if text == "" { // pgx panics
			return fmt.Errorf("pgdbm: SendBatch: statement %d is empty", i+1)
		}
		q.SQL = text
	}
	return nil
}
