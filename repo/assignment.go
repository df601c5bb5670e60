package repo

import (
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5/pgtype"
)

// Assignment gives a column a value in [Query.Update]: an immutable value.
type Assignment[T any] struct {
	f     *field
	op    string // between the column's name and the argument
	arg   any
	frag  *fragment
	args  []any
	cause error
}

// Set is column = v; NULL when v is nil.
func (c Column[T, V]) Set(v V) Assignment[T] {
	arg, err := c.value(v)
	return Assignment[T]{f: c.f, arg: arg, cause: err}
}

// SetSQL is column = expression, for what Set and [Add] cannot say:
//
//	age.SetSQL("least(age, $1)", 99)
//
// The text is as in [SQL].
func (c Column[T, V]) SetSQL(text string, args ...any) Assignment[T] {
	if c.f == nil {
		return Assignment[T]{cause: errZeroColumn}
	}
	frag, err := metaOf(reflect.TypeFor[T]()).fragment(text)
	if err == nil {
		err = frag.checkArgs(args)
	}
	if err != nil {
		return Assignment[T]{f: c.f, cause: fmt.Errorf("%s.SetSQL %q: %w", c.f.name, text, err)}
	}
	return Assignment[T]{f: c.f, frag: frag, args: append([]any(nil), args...)}
}

// Number are the types that [Add] adds.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 |
		~float32 | ~float64 | pgtype.Numeric
}

// Add is column = column + n, computed by the database, so that nothing is lost
// when several add at once. A negative n subtracts.
func Add[T any, V Number](c Column[T, V], n V) Assignment[T] {
	a := c.Set(n)
	if a.f != nil {
		a.op = a.f.quoted + " + "
	}
	return a
}

func (a *Assignment[T]) write(w *statement) {
	if a.cause != nil || a.f == nil {
		w.fail(orZero(a.cause))
		return
	}
	w.text(a.f.quoted, " = ")
	if a.frag != nil {
		a.frag.write(w, a.args)
		return
	}
	w.text(a.op)
	w.arg(a.arg)
}

func orZero(cause error) error {
	if cause == nil {
		return fmt.Errorf("a zero Assignment; make one with Column.Set")
	}
	return cause
}
