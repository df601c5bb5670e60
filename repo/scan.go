package repo

import (
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/rowscan"
)

// Rows are mapped by scany: package rowscan. A statement of the repository's own
// lists the columns of the struct in its order, so scany is asked only once for a
// type which fields they are (see meta.compare); it maps the columns of other
// statements when they come.

// scanner returns a scanner of rows of the repository's own columns.
func (r *Repository[T]) scanner(rows pgx.Rows) *rowscan.Scanner[T] {
	if r.t.meta.pointers {
		return rowscan.New[T](rows)
	}
	scratch := new(T)
	return rowscan.At(rows, scratch, r.t.meta.targets(reflect.ValueOf(scratch).Elem(), 0))
}

// scanInto reads a row of the repository's own columns, followed by more.
func (r *Repository[T]) scanInto(rows pgx.Rows, row *T, more ...any) error {
	m := r.t.meta
	if m.pointers {
		return rowscan.Into(rows, row, more...)
	}
	targets := m.targets(reflect.ValueOf(row).Elem(), len(more))
	if m.enums {
		targets = rowscan.Adapt(rows, targets)
	}
	return rowscan.Row(rows, append(targets, more...))
}

// targets returns the addresses of a row's fields, with room for more.
func (m *meta) targets(row reflect.Value, more int) []any {
	targets := make([]any, len(m.fields), len(m.fields)+more)
	for i, f := range m.fields {
		targets[i] = f.value(row).Addr().Interface()
	}
	return targets
}
