package pgdbm

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rows adds to pgx's rows what a statement of this package needs: classified
// errors, and giving back what the statement holds when it ends.
type rows struct {
	pgx.Rows
	statement

	conn  *pgxpool.Conn    // released at the end; nil in a transaction
	batch pgx.BatchResults // closed at the end: what the statement travelled in, with BEGIN for example
	tx    *txConn          // told at the end how that went; nil outside a transaction
	err   error            // known at the end, or why nothing was sent
	ended bool

	begin   bool // the transaction begins in batch
	guarded bool // batch has a guard in it

	by     rerunner           // may send the statement again; nil: nobody, or not any more
	tries  tries              // of by
	cancel context.CancelFunc // called at the end; nil for none
	looked bool               // at the first row, before it was asked for
	row    bool               // there is one
}

// failedRows are rows that only report err.
func failedRows(err error) *rows { return &rows{Rows: noRows{}, err: err, ended: true} }

func (r *rows) Next() bool {
	row := r.row
	if !r.looked {
		row = r.advance()
	}
	r.looked = false
	if !row {
		r.end()
	}
	return row
}

// advance moves to the next row, for the first of which the statement may have to
// be sent again.
func (r *rows) advance() bool {
	if r.err == nil && r.Rows.Next() {
		r.by = nil
		return true
	}
	return r.again() && r.advance()
}

// FieldDescriptions returns the columns. Before the first row they may be those of
// an attempt that is to fail: of a table as it was.
func (r *rows) FieldDescriptions() []pgconn.FieldDescription {
	if r.by != nil && !r.ended {
		r.row, r.looked = r.advance(), true
	}
	return r.Rows.FieldDescriptions()
}

func (r *rows) Close() {
	r.Rows.Close()
	if r.again() {
		r.Rows.Close()
	}
	r.end()
}

func (r *rows) Err() error {
	if r.err == nil {
		r.err = r.fail(r.Rows.Err())
	}
	return r.err
}

// Scan closes the rows when it fails, as pgx's do.
func (r *rows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err == nil {
		return nil
	}
	r.Close()
	return r.classify(err)
}

// Values closes the rows when it fails, as pgx's do.
func (r *rows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	if err == nil {
		return values, nil
	}
	r.Close()
	return values, r.classify(err)
}

// end gives back what the statement holds, once.
func (r *rows) end() {
	if r.ended {
		return
	}
	r.ended = true
	if r.conn != nil {
		defer r.conn.Release()
	}
	if r.cancel != nil {
		defer r.cancel()
	}
	err := r.Rows.Err()
	if r.batch != nil {
		if closed := r.batch.Close(); err == nil {
			err = closed
		}
	}
	if r.err == nil {
		r.err = r.fail(err)
	}
	if r.begin {
		r.tx.beganAlone(err)
	}
	if r.tx != nil {
		r.tx.saw(r.CommandTag())
	}
}

// dropped gives back what the statement holds if nothing took it: an argument's own
// method panicked while it was being sent.
func (r *rows) dropped() {
	if r.Rows == nil {
		r.Rows = noRows{}
		r.end()
	}
}

// take takes what sending the statement returned.
func (r *rows) take(next pgx.Rows, err error) {
	r.Rows = next
	if err != nil { // pgx's rows then panic when they are asked for their columns
		r.Rows, r.err = noRows{}, r.fail(err)
	}
}

// sent returns why the statement could not be sent, for good.
func (r *rows) sent() error {
	for r.err != nil {
		if !r.again() {
			r.end()
			break
		}
	}
	return r.err
}

// fail classifies an error of the statement.
func (r *rows) fail(err error) error {
	if r.tx != nil {
		return r.tx.fail(&r.statement, err)
	}
	return r.classify(err)
}

// row is the single row of QueryRow; it reports its errors as pgx does.
type row struct{ rows *rows }

func (r row) Scan(dest ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return r.rows.classify(pgx.ErrNoRows)
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
