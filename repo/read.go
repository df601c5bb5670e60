package repo

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Get returns the row with a key: one value for each field tagged key, in the
// order of the fields, each of exactly the field's type.
//
// It returns [pgdbm.ErrNotFound] when there is none, or a soft-deleted one only.
func (r *Repository[T]) Get(ctx context.Context, key ...any) (T, error) {
	var row T
	args, err := r.t.key(key)
	if err != nil {
		return row, err
	}
	found, err := r.readInto(ctx, &row, r.t.byKey().get, args)
	if err == nil && !found {
		err = r.t.absent(r.db, pgdbm.ErrNotFound, "")
	}
	return row, err
}

// readInto reads the first row of a statement into row. Fields without a column
// stay as they are, and the whole of row does if there is an error or no row.
func (r *Repository[T]) readInto(ctx context.Context, row *T, text string, args []any, more ...any) (found bool, err error) {
	rows, err := r.db.Query(ctx, text, args...)
	if err != nil {
		return false, r.t.wrap(err)
	}
	defer rows.Close()
	scratch := *row
	if rows.Next() {
		reader := r.reader(rows, more...)
		err := reader.one(&scratch)
		reader.done()
		if err != nil {
			return false, r.t.scanFailed(err)
		}
		found = true
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return false, r.t.wrap(err)
	}
	if found {
		*row = scratch
	}
	return found, nil
}

// All returns the rows, an empty slice when there are none.
func (q Query[T]) All(ctx context.Context) ([]T, error) {
	text, args, err := q.selection("All", q.limit)
	if err != nil {
		return nil, err
	}
	return q.repo.fetch(ctx, text, args, q.limit)
}

// One returns the only row: [pgdbm.ErrNotFound] when there is none, an error when
// there are several.
func (q Query[T]) One(ctx context.Context) (T, error) {
	var zero T
	if q.limited {
		q.limit = min(q.limit, 2)
	} else {
		q.limit, q.limited = 2, true
	}
	text, args, err := q.selection("One", q.limit)
	if err != nil {
		return zero, err
	}
	rows, err := q.repo.fetch(ctx, text, args, q.limit)
	switch {
	case err != nil:
		return zero, err
	case len(rows) == 0:
		return zero, q.repo.t.absent(q.repo.db, pgdbm.ErrNotFound, "")
	case len(rows) > 1:
		return zero, q.repo.t.misuse("One: more than one row meets the conditions; narrow them, or add OrderBy and Limit(1) if the first will do")
	}
	return rows[0], nil
}

// Each streams the rows. The first error ends the sequence. The connection is
// held until the loop ends, however it ends.
func (q Query[T]) Each(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		text, args, err := q.selection("Each", q.limit)
		if err != nil {
			yield(zero, err)
			return
		}
		rows, err := q.repo.db.Query(ctx, text, args...)
		if err != nil {
			yield(zero, q.repo.t.wrap(err))
			return
		}
		defer rows.Close()
		reader := q.repo.reader(rows)
		defer reader.done()
		for rows.Next() {
			row, err := reader.Scan()
			if err != nil {
				yield(zero, q.repo.t.scanFailed(err))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(zero, q.repo.t.wrap(err))
		}
	}
}

// Count returns the number of rows that All would.
func (q Query[T]) Count(ctx context.Context) (int64, error) {
	verb := verbCount
	if q.limited {
		verb = verbCountSome
	}
	var n int64
	return n, q.scalar(ctx, "Count", verb, &n)
}

// Exists reports whether there is a row.
func (q Query[T]) Exists(ctx context.Context) (bool, error) {
	var ok bool
	return ok, q.scalar(ctx, "Exists", verbExists, &ok)
}

// scalar runs a query whose result is one value; its order does not matter.
func (q Query[T]) scalar(ctx context.Context, method string, verb verb, dst any) error {
	if err := q.checkRead(method); err != nil {
		return err
	}
	w := q.repo.t.statement(verb)
	q.writeWhere(w)
	if q.limited {
		writeLimit(w, q.limit)
	}
	text, args, err := w.build(q.repo.t)
	if err != nil {
		return err
	}
	return q.repo.t.wrap(q.repo.db.QueryRow(ctx, text, args...).Scan(dst))
}

// selection returns the statement that reads the rows.
func (q Query[T]) selection(method string, limit int, more ...*node) (string, []any, error) {
	if err := q.checkRead(method); err != nil {
		return "", nil, err
	}
	w := q.repo.t.statement(verbSelect)
	q.writeWhere(w, more...)
	writeOrder(w, q.order)
	if q.limited {
		writeLimit(w, limit)
	}
	w.text(q.lock.mode)
	return w.build(q.repo.t)
}

// How much is allocated before any row has come, and at once when there are more.
const (
	maxPresize = 1024     // rows
	maxGrow    = 16 << 20 // bytes
)

// fetch returns the rows of a statement, of which about expected will come.
func (r *Repository[T]) fetch(ctx context.Context, text string, args []any, expected int) ([]T, error) {
	rows, err := r.db.Query(ctx, text, args...)
	if err != nil {
		return nil, r.t.wrap(err)
	}
	defer rows.Close()
	var zero T
	values := make([]T, 0, min(expected, maxPresize))
	reader := r.reader(rows)
	defer reader.done()
	for rows.Next() {
		if len(values) == maxPresize && expected > maxPresize {
			values = slices.Grow(values, min(expected-maxPresize, maxGrow/int(max(r.t.meta.typ.Size(), 1))))
		}
		values = append(values, zero)
		if err := reader.ScanTo(&values[len(values)-1]); err != nil {
			return nil, r.t.scanFailed(err)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, r.t.wrap(err)
	}
	return values, nil
}

// SelectSQL returns the rows of a SELECT of the program's own, in which
// {{columns}} stands for the columns of T and {{table}} for the table:
//
//	users.SelectSQL(ctx, `select {{columns}} from {{table}} where email ~ $1`, pattern)
//
// Soft-deleted rows are not left out: the SQL says what it wants. For rows of
// another shape there is [pgdbm.FetchAll].
func (r *Repository[T]) SelectSQL(ctx context.Context, sql string, args ...any) ([]T, error) {
	values := []T{}
	for value, err := range pgdbm.Each[T](ctx, r.db, r.t.expand(sql), args...) { // the columns are in any order
		if err != nil {
			return nil, r.t.wrap(err)
		}
		values = append(values, value)
	}
	return values, nil
}

// expand replaces {{columns}} and {{table}}; {{{{ stays what it is.
func (t *table) expand(sql string) string {
	pieces := strings.Split(sql, "{{{{")
	names := strings.NewReplacer("{{columns}}", t.meta.columns, "{{table}}", t.ref)
	for i := range pieces {
		pieces[i] = names.Replace(pieces[i])
	}
	return strings.Join(pieces, "{{{{")
}
