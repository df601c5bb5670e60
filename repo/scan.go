package repo

import (
	"reflect"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/rowscan"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Rows are mapped by scany: package rowscan. A statement of the repository's own
// lists the columns of the struct in its order, so scany is asked only once for a
// type which fields they are (see meta.compare); it maps the columns of other
// statements when they come.

// reader reads rows of the repository's own columns, followed by more.
type reader[T any] struct {
	*rowscan.Scanner[T]

	from *sync.Pool // where it goes when it is done with; nil: nowhere
	rows pgx.Rows
	more []any
}

// reader returns a reader, of which done must be called. Its addresses and what
// they are decoded by serve one statement after another.
func (r *Repository[T]) reader(rows pgx.Rows, more ...any) reader[T] {
	m := r.t.meta
	if m.pointers || m.enums {
		return reader[T]{rowscan.New[T](rows), nil, rows, more}
	}
	from := &r.t.scanners[min(len(more), 1)]
	s, ok := from.Get().(*rowscan.Scanner[T])
	if !ok {
		scratch := new(T)
		s = rowscan.At(scratch, m.targets(reflect.ValueOf(scratch).Elem(), len(more)))
	}
	s.Reset(rows, more...)
	return reader[T]{s, from, rows, more}
}

// one reads the current row, with what follows it.
func (r *reader[T]) one(row *T) error {
	if r.from == nil {
		return rowscan.Into(r.rows, row, r.more...)
	}
	return r.ScanTo(row)
}

func (r *reader[T]) done() {
	if r.from != nil {
		r.Reset(nil)
		r.from.Put(r.Scanner)
	}
}

// targets returns the addresses of a row's fields, with room for more.
func (m *meta) targets(row reflect.Value, more int) []any {
	targets := make([]any, len(m.fields), len(m.fields)+more)
	for i, f := range m.fields {
		targets[i] = f.value(row).Addr().Interface()
	}
	return targets
}

// scanFailed is the error of a row of the repository's own columns that could not be
// scanned.
func (t *table) scanFailed(err error) error {
	return t.wrap(rowscan.Describe(pgdbm.Classify(err), t.meta.typ, func(column int) (name, field string) {
		if column >= len(t.meta.fields) {
			return "", ""
		}
		return t.meta.fields[column].name, t.meta.fields[column].path
	}))
}
