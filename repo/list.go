package repo

import (
	"reflect"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// list collects values of one Go type.
type list interface {
	add(reflect.Value)
	array() any
	typ(column string) string // of the elements, for a column of that type
}

// typ returns the type that the server converts to the column's: a wide one, so that
// a column that becomes wide while the program runs keeps what it is sent.
func (l *values[E]) typ(column string) string {
	switch any(l.plain).(type) {
	case []int64:
		return "bigint"
	case []float64:
		return "float8"
	}
	return column
}

// values are values, or pointers to them where some may be NULL.
type values[E any] struct {
	nulls bool
	of    func(reflect.Value) E
	plain []E
	list  []*E
}

func (l *values[E]) add(v reflect.Value) {
	switch {
	case !l.nulls:
		l.plain = append(l.plain, l.of(v))
	case !v.IsValid() || v.IsNil():
		l.list = append(l.list, nil)
	default:
		if p, ok := reflect.TypeAssert[*E](v); ok {
			l.list = append(l.list, p)
			return
		}
		l.list = append(l.list, new(l.of(v.Elem())))
	}
}

func (l *values[E]) array() any {
	if l.nulls {
		return l.list
	}
	return l.plain
}

func listOf[E any](nulls bool, size int, of func(reflect.Value) E) list {
	l := &values[E]{nulls: nulls, of: of}
	if nulls {
		l.list = make([]*E, 0, size)
	} else {
		l.plain = make([]E, 0, size)
	}
	return l
}

// newList returns the list for a field whose values pgx sends as an array of the
// column's type in every exec mode; nil if there is none.
func newList(f *field, oid uint32, size int) list {
	t, nulls := f.typ, f.pointers
	if f.opts.has(optJSON) {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		t, nulls = t.Elem(), true
		if f.pointers {
			return nil
		}
	} else if nulls {
		return nil
	}
	for _, special := range []reflect.Type{valuerType, textValuer} {
		if t.Implements(special) || reflect.PointerTo(t).Implements(special) {
			return nil
		}
	}
	switch oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		if t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64 {
			return listOf(nulls, size, reflect.Value.Int)
		}
	case pgtype.Float4OID, pgtype.Float8OID:
		if t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64 {
			return listOf(nulls, size, reflect.Value.Float)
		}
	case pgtype.BoolOID:
		if t.Kind() == reflect.Bool {
			return listOf(nulls, size, reflect.Value.Bool)
		}
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID:
		if t.Kind() == reflect.String {
			return listOf(nulls, size, reflect.Value.String)
		}
	case pgtype.TimestamptzOID, pgtype.TimestampOID, pgtype.DateOID:
		if t == reflect.TypeFor[time.Time]() {
			return listOf(nulls, size, func(v reflect.Value) time.Time {
				at, _ := reflect.TypeAssert[time.Time](v)
				return at
			})
		}
	case pgtype.ByteaOID:
		if t == reflect.TypeFor[[]byte]() && !nulls {
			return listOf(false, size, reflect.Value.Bytes)
		}
	}
	return nil
}
