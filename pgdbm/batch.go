package pgdbm

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// batchResults adds to pgx's results classified errors and giving back the
// connection at the end.
type batchResults struct {
	pgx.BatchResults
	schema string

	conn *pgxpool.Conn // released by Close; nil in a transaction
	tx   *txConn       // told by Close how the first round trip went; nil outside a transaction
	head func() error  // reads the results that are not the caller's
}

// skip reads what comes before the caller's first result.
func (r *batchResults) skip() error {
	if r.head == nil {
		return nil
	}
	head := r.head
	r.head = nil
	return classify(head(), r.schema, "begin")
}

func (r *batchResults) Exec() (pgconn.CommandTag, error) {
	if err := r.skip(); err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := r.BatchResults.Exec()
	return tag, classify(err, r.schema, "")
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
	rs, err := r.BatchResults.Query()
	return &rows{Rows: rs, schema: r.schema}, classify(err, r.schema, "")
}

func (r *batchResults) Close() error {
	err := classify(r.BatchResults.Close(), r.schema, "")
	if r.tx != nil {
		r.tx.began(err)
		r.tx = nil
	}
	if r.conn != nil {
		r.conn.Release()
		r.conn = nil
	}
	return err
}

// Tx returns nil: transactions are [Tx] values here.
func (r *batchResults) Tx() pgx.Tx { return nil }

// expandBatch expands the templates of all queued statements in place.
func expandBatch(b *pgx.Batch, expand func(string) (string, error)) error {
	for _, q := range b.QueuedQueries {
		text, err := expand(q.SQL)
		if err != nil {
			return err
		}
		q.SQL = text
	}
	return nil
}
