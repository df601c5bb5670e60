package pgdbm

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// teachUntyped lets arguments of more types be sent in the modes that do not ask
// the server for the types of its parameters (exec, simple_protocol), so that what
// works in the others works there too. The others know the types, and never ask.
func teachUntyped(conn *pgx.Conn) {
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "unknown type", Codec: untyped{}}) // OID 0
}

// untyped says what a value is as text where nobody knows its PostgreSQL type: by
// its Go type alone. What it has no plan for pgx unwraps, or cannot send.
type untyped struct{ pgtype.TextCodec }

// PlanEncode implements [pgtype.Codec].
func (c untyped) PlanEncode(m *pgtype.Map, _ uint32, format int16, value any) pgtype.EncodePlan {
	if format != pgtype.TextFormatCode || value == nil {
		return nil
	}
	switch value := value.(type) {
	case time.Time:
		return zonedTime{}
	case *time.Time, []time.Time, []*time.Time: // unwrapped to the former
		return nil
	case [16]byte:
		return m.PlanEncode(pgtype.UUIDOID, format, value)
	case pgtype.FlatArray[time.Time]:
		return c.array(m, value)
	}
	if t, ok := m.TypeForValue(value); ok {
		return m.PlanEncode(t.OID, format, value)
	}
	switch value := value.(type) {
	case driver.Valuer:
		return nil
	case pgtype.ArrayGetter:
		return c.array(m, value)
	case pgtype.RangeValuer:
		codec := &pgtype.RangeCodec{ElementType: &pgtype.Type{Codec: c}}
		return codec.PlanEncode(m, 0, format, value)
	case pgtype.MultirangeGetter:
		codec := &pgtype.MultirangeCodec{ElementType: &pgtype.Type{Codec: c}}
		return codec.PlanEncode(m, 0, format, value)
	}
	switch t := reflect.TypeOf(value); {
	case isDocument(m, t):
		document, _ := m.TypeForOID(pgtype.JSONBOID)
		return document.Codec.PlanEncode(m, document.OID, format, value)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Slice && t.Elem().Elem().Kind() != reflect.Uint8:
		return matrix{m}
	}
	return nil
}

// array plans an array of what untyped has plans for.
func (c untyped) array(m *pgtype.Map, value pgtype.ArrayGetter) pgtype.EncodePlan {
	codec := &pgtype.ArrayCodec{ElementType: &pgtype.Type{Codec: c}}
	return codec.PlanEncode(m, 0, pgtype.TextFormatCode, value)
}

// matrix sends slices of slices as an array of several dimensions.
type matrix struct{ m *pgtype.Map }

func (p matrix) Encode(value any, buf []byte) ([]byte, error) {
	plan, next, ok := pgtype.TryWrapMultiDimSliceEncodePlan(value)
	if !ok {
		return nil, errors.New("its slices differ in length")
	}
	array, ok := next.(pgtype.ArrayGetter)
	if !ok {
		return nil, fmt.Errorf("%T is no array", value)
	}
	of := untyped{}.array(p.m, array)
	if of == nil {
		return nil, fmt.Errorf("cannot find encode plan for %T", array.IndexType())
	}
	plan.SetNext(of)
	return plan.Encode(value, buf)
}

// isDocument reports whether values of a type are sent as JSON: maps, structs and
// what marshals itself, unless they have another text; and slices of those.
func isDocument(m *pgtype.Map, t reflect.Type) bool {
	if t.Implements(stringerType) || t.Implements(valuerType) || t.Implements(textValuerType) || t.Implements(rangeValuerType) {
		return false
	}
	switch t.Kind() {
	case reflect.Map, reflect.Interface:
		return true
	case reflect.Struct:
		_, known := m.TypeForValue(reflect.Zero(t).Interface())
		return !known
	case reflect.Pointer:
		return isDocument(m, t.Elem())
	case reflect.Slice:
		return t.Implements(marshalerType) || isDocument(m, t.Elem())
	case reflect.Array:
		return isDocument(m, t.Elem())
	}
	return false
}

var (
	stringerType    = reflect.TypeFor[fmt.Stringer]()
	valuerType      = reflect.TypeFor[driver.Valuer]()
	textValuerType  = reflect.TypeFor[pgtype.TextValuer]()
	rangeValuerType = reflect.TypeFor[pgtype.RangeValuer]()
	marshalerType   = reflect.TypeFor[json.Marshaler]()
)

// zonedTime sends a time with its offset. A timestamptz is the same then as with
// the UTC time that pgx sends, and a timestamp or date what it is in the modes
// that know the type: what the clock showed.
type zonedTime struct{}

func (zonedTime) Encode(value any, buf []byte) ([]byte, error) {
	t, ok := value.(time.Time)
	if !ok {
		return nil, fmt.Errorf("%T is not a time", value)
	}
	t = t.Truncate(time.Microsecond)
	era, year := "", t.Year()
	if year < 1 { // 0 is 1 BC
		era, year = " BC", 1-year
	}
	buf = fmt.Appendf(buf, "%04d", year)
	return append(t.AppendFormat(buf, "-01-02 15:04:05.999999-07:00:00"), era...), nil
}
