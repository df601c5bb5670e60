package repo

import (
	"fmt"
	"reflect"
	"strings"
)

// Column is a column of T's table whose values are V. It makes conditions,
// orders and assignments, and is safe for concurrent use.
//
// Declare columns once, beside the struct, with [Col].
type Column[T, V any] struct {
	f *field
}

// Col returns the column that a field of T maps to:
//
//	var email = repo.Col(func(u *User) *string { return &u.Email })
//
// It finds the field by its address in a zero User, and panics when the field
// has no column (it is tagged "-") or ref returns something else.
func Col[T, V any](ref func(*T) *V) Column[T, V] {
	m := metaOf(reflect.TypeFor[T]())
	row := m.zero()
	zero, _ := reflect.TypeAssert[*T](row.Addr())
	if address := ref(zero); address != nil {
		if f := m.fieldAt(row, address); f != nil {
			return Column[T, V]{f}
		}
	}
	panic(fmt.Sprintf("repo: Col: the function does not return the address of a field of %s that has a column; write repo.Col(func(r *%s) *%s { return &r.Field }) (columns: %s)",
		m.typ, m.typ.Name(), reflect.TypeFor[V](), strings.Join(m.names, ", ")))
}

// ColByName returns the column of that name, for names that come from outside,
// such as a sort order in a URL. The methods that take values check at run time
// that they have the type of the field: a value of another type is an error of
// the method that runs the query.
func ColByName[T any](name string) (Column[T, any], error) {
	m := metaOf(reflect.TypeFor[T]())
	f, ok := m.byName[name]
	if !ok {
		hint := ""
		if best := closest(name, m.names); best != "" {
			hint = fmt.Sprintf("; did you mean %q?", best)
		}
		return Column[T, any]{}, fmt.Errorf("repo: %s has no column %q (columns: %s)%s", m.typ.Name(), name, strings.Join(m.names, ", "), hint)
	}
	return Column[T, any]{f}, nil
}

// Name returns the column's name.
func (c Column[T, V]) Name() string {
	if c.f == nil {
		return ""
	}
	return c.f.name
}

// String returns the column's name.
func (c Column[T, V]) String() string { return c.Name() }

// value checks and encodes a value for the column.
func (c Column[T, V]) value(v V) (any, error) {
	if c.f == nil {
		return nil, errZeroColumn
	}
	if reflect.TypeFor[V]() == anyType && c.f.typ != anyType {
		if err := c.f.check(v); err != nil {
			return nil, err
		}
	}
	return c.f.encode(v)
}

// check reports whether the type of v is that of the field. Nil goes with every
// type that can hold it.
func (f *field) check(v any) error {
	if v == nil {
		if f.nullable {
			return nil
		}
		return fmt.Errorf("column %s wants %s, not nil", f.name, f.typ)
	}
	if t := reflect.TypeOf(v); t != f.typ {
		return fmt.Errorf("column %s wants %s, not %s", f.name, f.typ, t)
	}
	return nil
}

var (
	anyType       = reflect.TypeFor[any]()
	errZeroColumn = fmt.Errorf("a zero Column names no column; declare it with repo.Col")
)

// Asc sorts by the column, smallest first.
func (c Column[T, V]) Asc() Order[T] { return Order[T]{f: c.f} }

// Desc sorts by the column, greatest first. As everywhere in PostgreSQL, NULL
// counts as greatest; see [Order.NullsLast].
func (c Column[T, V]) Desc() Order[T] { return Order[T]{f: c.f, desc: true} }

// Order is a column and a direction.
type Order[T any] struct {
	f     *field
	expr  string // of an aggregate
	desc  bool
	nulls string
}

// NullsFirst puts NULL before all values.
func (o Order[T]) NullsFirst() Order[T] { o.nulls = " nulls first"; return o }

// NullsLast puts NULL behind all values.
func (o Order[T]) NullsLast() Order[T] { o.nulls = " nulls last"; return o }

func (o Order[T]) write(w *statement) {
	if o.f == nil {
		w.fail(errZeroColumn)
		return
	}
	if o.expr != "" {
		w.text(o.expr)
	} else {
		w.text(o.f.quoted)
	}
	if o.desc {
		w.text(" desc")
	}
	w.text(o.nulls)
}
