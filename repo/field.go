package repo

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"net"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// field is a field of a struct that a column maps to.
type field struct {
	name     string // of the column
	quoted   string
	path     string // in Go: Address.City
	index    []int
	typ      reflect.Type
	opts     option
	pointers bool // index leads through pointers to structs
	nullable bool // the type can hold NULL
	grid     bool // the type is a slice of slices, an array of two dimensions

	one reflect.Value // of a version: that of a new row
}

func newField(name, path string, index []int, typ reflect.Type, opts option) *field {
	return &field{
		name: name, path: path, index: index, typ: typ, opts: opts, nullable: holdsNull(typ),
		grid: isGrid(typ), quoted: quote(name),
	}
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// value returns the field of a row, invalid when a nested struct on the way to
// it is a nil pointer.
func (f *field) value(row reflect.Value) reflect.Value {
	if len(f.index) == 1 {
		return row.Field(f.index[0])
	}
	if !f.pointers {
		return row.FieldByIndex(f.index)
	}
	v, err := row.FieldByIndexErr(f.index)
	if err != nil {
		return reflect.Value{}
	}
	return v
}

// arg returns the field of a row as an argument of a statement.
func (f *field) arg(row reflect.Value) (any, error) {
	v := f.value(row)
	if !v.IsValid() {
		return nil, nil
	}
	if f.grid || f.opts.has(optJSON) || convertible(f.typ) {
		return f.encode(v.Interface())
	}
	switch f.typ { // small values need no memory in an interface, but reflect does not know
	case boolType:
		return v.Bool(), nil
	case intType:
		return int(v.Int()), nil
	}
	return v.Interface(), nil
}

// encode returns a value of the field's type as an argument of a statement.
func (f *field) encode(v any) (any, error) {
	if !f.opts.has(optJSON) {
		if f.grid && ragged(reflect.ValueOf(v)) {
			return nil, fmt.Errorf("%w: column %s: its slices differ in length, which those of an array cannot", pgdbm.ErrInvalid, f.name)
		}
		return plain(v), nil
	}
	if isNull(v) {
		return nil, nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", f.name, err)
	}
	return string(text), nil // text works whatever the server and pgx know of the type
}

// holdsNull reports whether values of t can stand for NULL.
func holdsNull(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return true
	}
	return zeroIsNull(t) // sql.NullString does, a decimal does not
}

// zeroIsNull reports whether pgx sends the zero value of t as NULL.
func zeroIsNull(t reflect.Type) (null bool) {
	defer func() { null = recover() == nil && null }() // a Value need not know what to do with zero
	return isNull(reflect.Zero(t).Interface())
}

// isNull reports whether pgx sends v as NULL.
func isNull(v any) bool {
	if v == nil {
		return true
	}
	rv := reflect.ValueOf(v)
	switch rv.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		if rv.IsNil() {
			return true
		}
	case reflect.Array: // an own uuid: its text is not made for nothing
		if !rv.IsZero() {
			return false
		}
	}
	switch v := v.(type) {
	case interface{ IsNull() bool }: // pgtype.Range, a composite
		return v.IsNull()
	case driver.Valuer: // sql.NullString, pgtype.Text, a string type that is NULL when empty, …
		value, err := v.Value()
		return err == nil && value == nil
	}
	return false
}

var (
	valuerType  = reflect.TypeFor[driver.Valuer]()
	boolType    = reflect.TypeFor[bool]()
	intType     = reflect.TypeFor[int]()
	scannerType = reflect.TypeFor[sql.Scanner]()
	textValuer  = reflect.TypeFor[pgtype.TextValuer]()

	multirangeType = reflect.TypeFor[pgtype.MultirangeGetter]()

	// A pointer to a type that pgx reads as one value implements one of these.
	valueTypes = []reflect.Type{
		scannerType, valuerType,
		reflect.TypeFor[pgtype.CompositeIndexScanner](),
		reflect.TypeFor[pgtype.RangeScanner](),
		reflect.TypeFor[pgtype.ArraySetter](),
		reflect.TypeFor[pgtype.TextScanner](),
		reflect.TypeFor[pgtype.BytesScanner](),
	}
	ipNetType = reflect.TypeFor[net.IPNet]()
)

// oneColumn reports whether a struct type is the value of one column.
func oneColumn(t reflect.Type) bool {
	if t == ipNetType {
		return true
	}
	for _, value := range valueTypes {
		if t.Implements(value) || reflect.PointerTo(t).Implements(value) {
			return true
		}
	}
	for f := range t.Fields() {
		if f.IsExported() || f.Anonymous {
			return false
		}
	}
	return true
}

// isText reports whether pgx reads JSON into t as it is written.
func isText(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t == reflect.TypeFor[string]() || t == reflect.TypeFor[[]byte]()
}

// isGrid reports whether t is a slice of slices that pgx sends as an array.
func isGrid(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Slice && t.Elem().Elem().Kind() != reflect.Uint8 &&
		!t.Implements(valuerType) && !t.Elem().Implements(valuerType)
}

// ragged reports whether the slices in a slice differ in length. pgx takes that of
// the first one for all.
func ragged(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	for i := 1; v.IsValid() && i < v.Len(); i++ {
		if v.Index(i).Len() != v.Index(0).Len() {
			return true
		}
	}
	return false
}

// convertible reports whether plain may change values of t.
func convertible(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && isEnum(t.Elem())
}

// isArray reports whether pgx sends values of t as an array: a slice that is
// neither bytes, nor a multirange, nor a type that says itself what it is.
func isArray(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 &&
		!t.Implements(valuerType) && !t.Implements(multirangeType)
}

// isEnum reports whether t is a string type of the program's own, which pgx knows
// nothing about.
func isEnum(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.String && t.PkgPath() != "" &&
		!t.Implements(valuerType) && !t.Implements(textValuer)
}

// plain turns a slice of an own string type into one of strings: pgx sends those
// as an array of whatever type the server expects, an enum for instance.
func plain(v any) any {
	if v == nil {
		return nil
	}
	t := reflect.TypeOf(v)
	if !convertible(t) {
		return v
	}
	rv := reflect.ValueOf(v)
	if rv.IsNil() {
		return nil
	}
	if t.Elem().Kind() == reflect.Pointer {
		out := make([]*string, rv.Len())
		for i := range out {
			if e := rv.Index(i); !e.IsNil() {
				out[i] = new(e.Elem().String())
			}
		}
		return out
	}
	out := make([]string, rv.Len())
	for i := range out {
		out[i] = rv.Index(i).String()
	}
	return out
}
