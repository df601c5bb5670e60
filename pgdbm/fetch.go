package pgdbm

import (
	"context"
	"errors"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/rowscan"
)

// The fetch helpers return rows as values of T:
//
//   - a struct, or a pointer to one, whose fields are tagged `db:"column"` as in
//     scany: fields without a tag map to snake case, `db:"-"` maps to nothing,
//     embedded structs are flattened, and the columns of nested ones are named
//     "address.city". A column without a field is an error, a field without a
//     column stays zero. A nested struct behind a pointer is nil when all its
//     columns are NULL, as those of a LEFT JOIN that found nothing are.
//   - a value of one column: whatever pgx scans into, such as int64, string,
//     []string, time.Time, netip.Addr, [16]byte, pgtype.Numeric, a sql.Scanner;
//     or a pointer to it where the column can be NULL.
//   - a map with string keys, most often map[string]any.
//   - a type that reads rows itself, as a [pgx.RowScanner].
//
// NULL into something that cannot hold it is an error that names the column and
// the field. It has no class: the program is wrong, not its input.

// FetchOne returns the only row: ErrNotFound when there is none, an error when
// there are several.
func FetchOne[T any](ctx context.Context, db DB, sql string, args ...any) (T, error) {
	var (
		zero, value T
		found       bool
	)
	for row, err := range Each[T](ctx, db, sql, args...) {
		switch {
		case err != nil:
			return zero, err
		case found:
			return zero, errors.New("pgdbm: FetchOne: more than one row; use FetchAll, or LIMIT 1 if any row will do")
		}
		value, found = row, true
	}
	if !found {
		return zero, classify(pgx.ErrNoRows, db.Schema(), sql)
	}
	return value, nil
}

// FetchAll returns all rows, an empty slice when there are none.
func FetchAll[T any](ctx context.Context, db DB, sql string, args ...any) ([]T, error) {
	values := []T{}
	for value, err := range Each[T](ctx, db, sql, args...) {
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// FetchValue returns the first column of the first row, whatever comes after it:
// ErrNotFound when there is no row. T is a value of one column; a struct or map
// is read from JSON. A NULL needs a T that can hold it, such as a pointer.
func FetchValue[T any](ctx context.Context, db DB, sql string, args ...any) (T, error) {
	value, _, err := fetchFirst[T](ctx, db, sql, args)
	return value, err
}

// fetchFirst returns the first column of the first row, and whether there are
// more rows.
func fetchFirst[T any](ctx context.Context, db DB, sql string, args []any) (value T, more bool, err error) {
	var zero T
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return zero, false, err
	}
	defer rows.Close()
	targets := make([]any, len(rows.FieldDescriptions())) // nil skips a column
	if !rows.Next() {
		if err := ended(rows, len(targets)); err != nil {
			return zero, false, err
		}
		return zero, false, classify(pgx.ErrNoRows, db.Schema(), sql)
	}
	if len(targets) == 0 {
		return zero, false, errNoColumns
	}
	targets[0] = &value
	rowscan.Adapt(rows, targets[:1])
	if err := rows.Scan(targets...); err != nil {
		return zero, false, err
	}
	more = rows.Next()
	rows.Close()
	if err := rows.Err(); err != nil {
		return zero, false, err
	}
	return value, more, nil
}

// Each streams the rows. The first error ends the sequence. The connection is
// held until the loop ends, however it ends; a break reads and drops the rest of
// the answer, so put a LIMIT where few of many rows are wanted. Each use of the
// sequence runs the statement anew.
func Each[T any](ctx context.Context, db DB, sql string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		rows, err := db.Query(ctx, sql, args...)
		if err != nil {
			yield(zero, err)
			return
		}
		defer rows.Close()
		columns := len(rows.FieldDescriptions())
		scanner := rowscan.New[T](rows)
		for rows.Next() {
			value, err := scanner.Scan()
			if err != nil {
				yield(zero, classify(err, db.Schema(), sql))
				return
			}
			if !yield(value, nil) {
				return
			}
		}
		if err := ended(rows, columns); err != nil {
			yield(zero, err)
		}
	}
}

var errNoColumns = errors.New("pgdbm: the statement returns no columns; use Exec, or add RETURNING")

// ended returns the error of rows that were read to their end. columns is how many
// there were: by now the connection may belong to somebody else.
func ended(rows pgx.Rows, columns int) error {
	if err := rows.Err(); err != nil {
		return err
	}
	if columns == 0 {
		return errNoColumns
	}
	return nil
}
