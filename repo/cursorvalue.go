package repo

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// A cursor has to bring back exactly the value that the row has: one that differs
// in its last digit leaves rows out, or shows them twice. The type decides how a
// value is written:
//
//   - numbers, booleans and strings as in JSON; floats that JSON does not have as
//     their names, strings that it does not have as an object with their bytes
//   - times as seconds and nanoseconds from 1970 and the offset of their zone:
//     RFC 3339 has neither years from 10,000 on nor the offsets of before there
//     were time zones, in seconds
//   - a driver.Valuer as what it gives pgx, all that the database knows of it; its
//     JSON, if it has any, is meant for others
//   - bytes, and arrays of them, in base64
//   - everything else, such as netip.Addr, as the text that pgx makes of it

// stored returns what stands for a value in the JSON of a cursor.
func stored(v reflect.Value) (any, error) {
	t := v.Type()
	switch b := basic(t); {
	case b != nil:
		return storedBasic(v.Convert(b)), nil
	case t == timeType:
		at, _ := reflect.TypeAssert[time.Time](v)
		_, offset := at.Zone()
		return []int64{at.Unix(), int64(at.Nanosecond()), int64(offset)}, nil
	case t.Kind() == reflect.Pointer && !v.IsNil():
		return stored(v.Elem())
	}
	if valuer, ok := reflect.TypeAssert[driver.Valuer](v); ok {
		value, err := valuer.Value()
		if err == nil {
			value, err = driver.DefaultParameterConverter.ConvertValue(value) // of an own type, perhaps
		}
		if err != nil {
			return nil, err
		}
		for tag, t := range driverTypes {
			if reflect.TypeOf(value) == t {
				text, err := stored(reflect.ValueOf(value))
				return []any{tag, text}, err
			}
		}
		return nil, errors.New("NULL has no place in an order of pages")
	}
	if isBytes(t) {
		out := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(out), v)
		return out, nil
	}
	text, err := pgtype.NewMap().Encode(0, pgtype.TextFormatCode, v.Interface(), nil)
	if err != nil || text == nil { // pgx's error quotes the value
		return nil, fmt.Errorf("there is no text for %s; let the type implement driver.Valuer", t)
	}
	return string(text), nil
}

// driverTypes are the types of what a driver.Valuer returns.
var driverTypes = map[string]reflect.Type{
	"i": reflect.TypeFor[int64](),
	"f": reflect.TypeFor[float64](),
	"b": reflect.TypeFor[bool](),
	"s": reflect.TypeFor[string](),
	"x": reflect.TypeFor[[]byte](),
	"t": timeType,
}

// oddString is a string that is not UTF-8.
type oddString struct {
	Bytes []byte `json:"bytes"`
}

func storedBasic(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		switch f := v.Float(); {
		case math.IsNaN(f):
			return "NaN"
		case math.IsInf(f, 1):
			return "Infinity"
		case math.IsInf(f, -1):
			return "-Infinity"
		}
	case reflect.String:
		if s := v.String(); !utf8.ValidString(s) {
			return oddString{[]byte(s)}
		}
	}
	return v.Interface()
}

// restored returns the argument for a value of type t that a cursor holds, false if
// it holds none.
func restored(text json.RawMessage, t reflect.Type) (arg any, ok bool) {
	switch b := basic(t); {
	case string(text) == "null":
		return nil, false
	case b != nil:
		v := reflect.New(b).Elem()
		if !restoreBasic(text, v) {
			return nil, false
		}
		return v.Convert(t).Interface(), true
	case t == timeType:
		var n []int64
		if json.Unmarshal(text, &n) != nil || len(n) != 3 {
			return nil, false
		}
		at := time.Unix(n[0], n[1]).UTC()
		if n[2] != 0 {
			at = at.In(time.FixedZone("", int(n[2])))
		}
		return at, true
	case t.Kind() == reflect.Pointer:
		return restored(text, t.Elem())
	case t.Implements(valuerType):
		var parts []json.RawMessage
		var tag string
		if json.Unmarshal(text, &parts) != nil || len(parts) != 2 || json.Unmarshal(parts[0], &tag) != nil || driverTypes[tag] == nil {
			return nil, false
		}
		return restored(parts[1], driverTypes[tag])
	case isBytes(t):
		var b []byte
		if json.Unmarshal(text, &b) != nil || t.Kind() == reflect.Array && len(b) != t.Len() {
			return nil, false
		}
		return reflect.ValueOf(b).Convert(t).Interface(), true
	}
	var s string
	return s, json.Unmarshal(text, &s) == nil
}

func restoreBasic(text json.RawMessage, v reflect.Value) bool {
	if json.Unmarshal(text, v.Addr().Interface()) == nil {
		return true
	}
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		switch string(text) {
		case `"NaN"`:
			v.SetFloat(math.NaN())
		case `"Infinity"`:
			v.SetFloat(math.Inf(1))
		case `"-Infinity"`:
			v.SetFloat(math.Inf(-1))
		default:
			return false
		}
		return true
	case reflect.String:
		var odd oddString
		err := json.Unmarshal(text, &odd)
		v.SetString(string(odd.Bytes))
		return err == nil && odd.Bytes != nil
	}
	return false
}

var timeType = reflect.TypeFor[time.Time]()

// isBytes reports whether t is a slice or an array of bytes.
func isBytes(t reflect.Type) bool {
	return (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && t.Elem() == reflect.TypeFor[byte]()
}
