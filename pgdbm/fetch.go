package pgdbm

import (
	"context"
	"errors"
	"iter"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/rowscan"
)

// The fetch helpers return rows as values of T: a struct whose fields are tagged
// `db:"column"` (as in scany: untagged fields map to snake case, embedded structs
// flatten, a column without a field is an error), a scalar when there is one
// column, or a map[string]any.

// FetchOne returns the only row: ErrNotFound when there is none, an error when
// there are several.
func FetchOne[T any](ctx context.Context, db DB, sql string, args ...any) (T, error) {
	var (
		value T
		found bool
	)
	for row, err := range Each[T](ctx, db, sql, args...) {
		switch {
		case err != nil:
			return value, err
		case found:
			return value, errors.New("pgdbm: FetchOne: more than one row; use FetchAll, or LIMIT 1 if any row will do")
		}
		value, found = row, true
	}
	if !found {
		return value, classify(pgx.ErrNoRows, db.Schema(), sql)
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

// FetchValue returns the first column of the first row, ErrNotFound when there
// is none. A NULL needs a T that can hold it, such as a pointer.
func FetchValue[T any](ctx context.Context, db DB, sql string, args ...any) (T, error) {
	var value T
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return value, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return value, err
		}
		return value, classify(pgx.ErrNoRows, db.Schema(), sql)
	}
	targets := make([]any, len(rows.FieldDescriptions())) // nil skips a column
	if len(targets) == 0 {
		return value, errors.New("pgdbm: FetchValue: the statement returns no columns")
	}
	targets[0] = &value
	if err := rows.Scan(targets...); err != nil {
		return value, err
	}
	rows.Close()
	return value, rows.Err()
}

// Each streams the rows. The first error ends the sequence. The connection is
// held until the loop ends, however it ends.
func Each[T any](ctx context.Context, db DB, sql string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		rows, err := db.Query(ctx, sql, args...)
		if err != nil {
			yield(zero, err)
			return
		}
		defer rows.Close()
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
		if err := rows.Err(); err != nil {
			yield(zero, err)
		}
	}
}

// ExecMany runs one statement for every set of arguments in a single round trip
// and returns the number of rows affected. On a [Manager] all of it happens or
// nothing.
func ExecMany(ctx context.Context, db DB, sql string, argSets [][]any) (int64, error) {
	if len(argSets) == 0 {
		return 0, nil
	}
	var (
		b        pgx.Batch
		affected int64
	)
	for _, args := range argSets {
		b.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
			affected += tag.RowsAffected()
			return nil
		})
	}
	if err := db.SendBatch(ctx, &b).Close(); err != nil {
		return 0, err
	}
	return affected, nil
}
