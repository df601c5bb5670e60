package pgdbm

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rows adds to pgx's rows what a statement of this package needs: classified
// errors, and giving back what the statement holds when it ends.
type rows struct {
	pgx.Rows
	schema, sql string

	conn  *pgxpool.Conn    // released at the end; nil in a transaction
	batch pgx.BatchResults // closed at the end: a statement that BEGIN travelled with
	tx    *txConn          // told at the end how that went
	err   error            // of batch, or why nothing was sent
	ended bool
}

// failedRows are rows that only report err.
func failedRows(err error) *rows { return &rows{Rows: noRows{}, err: err, ended: true} }

func (r *rows) Next() bool {
	if r.err != nil || r.Rows.Next() {
		return r.err == nil
	}
	r.end()
	return false
}

func (r *rows) Close() {
	r.Rows.Close()
	r.end()
}

func (r *rows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return classify(err, r.schema, r.sql)
	}
	return r.err
}

func (r *rows) Scan(dest ...any) error {
	return classify(r.Rows.Scan(dest...), r.schema, r.sql)
}

func (r *rows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	return values, classify(err, r.schema, r.sql)
}

// end gives back what the statement holds, once.
func (r *rows) end() {
	if r.ended {
		return
	}
	r.ended = true
	if r.batch != nil {
		r.err = classify(r.batch.Close(), r.schema, r.sql)
		r.tx.began(r.err)
	}
	if r.conn != nil {
		r.conn.Release()
	}
}

// row is the single row of QueryRow; it reports its errors as pgx does.
type row struct{ rows *rows }

func (r row) Scan(dest ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return classify(pgx.ErrNoRows, r.rows.schema, r.rows.sql)
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// noRows are the rows of a statement that was never sent.
type noRows struct{}

func (noRows) Close()                                       {}
func (noRows) Err() error                                   { return nil }
func (noRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (noRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (noRows) Next() bool                                   { return false }
func (noRows) Scan(...any) error                            { return pgx.ErrNoRows }
func (noRows) Values() ([]any, error)                       { return nil, pgx.ErrNoRows }
func (noRows) RawValues() [][]byte                          { return nil }
func (noRows) Conn() *pgx.Conn                              { return nil }
func (noRows) TypeMap() *pgtype.Map                         { return nil }
