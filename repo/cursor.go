package repo

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
)

// A cursor is base64url of the signature of an order and of the values that a row
// has in it, as a JSON array. It is not secret, and need not be: whoever changes
// it only moves the beginning of a page.

const signatureSize = 8 // bytes: enough to tell orders apart, not to prove anything

// signature stands for a table and an order of it.
func signature[T any](t *table, order []Order[T]) string {
	key := make([]byte, 0, 128)
	for _, o := range order {
		key = strconv.AppendBool(strconv.AppendQuote(key, o.f.name), o.desc)
	}
	if sign, ok := t.signs.get(key); ok {
		return sign
	}
	text := fmt.Appendf(nil, "%q", t.name)
	for _, o := range order {
		text = fmt.Appendf(text, " %q %t", o.f.name, o.desc)
	}
	sum := sha256.Sum256(text)
	sign := string(sum[:signatureSize])
	t.signs.put(string(key), sign)
	return sign
}

func sealCursor(sign string, values []reflect.Value) (string, error) {
	plain := make([]any, len(values))
	for i, v := range values {
		var err error
		if plain[i], err = stored(v); err != nil {
			return "", fmt.Errorf("Page: cursor: %w", err)
		}
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return "", fmt.Errorf("Page: cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append([]byte(sign), text...)), nil
}

// openCursor returns the values of a cursor, of the types given. Whatever is
// wrong with it is ErrCursor.
func openCursor(cursor, sign string, types []reflect.Type) ([]any, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || !bytes.HasPrefix(raw, []byte(sign)) {
		return nil, ErrCursor
	}
	var texts []json.RawMessage
	if err := json.Unmarshal(raw[len(sign):], &texts); err != nil || len(texts) != len(types) {
		return nil, ErrCursor
	}
	values := make([]any, len(types))
	for i, t := range types {
		var ok bool
		if values[i], ok = restored(texts[i], t); !ok {
			return nil, ErrCursor
		}
	}
	return values, nil
}

// basic returns the basic type under t, so that methods for JSON, meant for
// other readers, do not interfere; nil when there is none.
func basic(t reflect.Type) reflect.Type { return basicTypes[t.Kind()] }

var basicTypes = map[reflect.Kind]reflect.Type{
	reflect.Bool:    reflect.TypeFor[bool](),
	reflect.Int:     reflect.TypeFor[int](),
	reflect.Int8:    reflect.TypeFor[int8](),
	reflect.Int16:   reflect.TypeFor[int16](),
	reflect.Int32:   reflect.TypeFor[int32](),
	reflect.Int64:   reflect.TypeFor[int64](),
	reflect.Uint:    reflect.TypeFor[uint](),
	reflect.Uint8:   reflect.TypeFor[uint8](),
	reflect.Uint16:  reflect.TypeFor[uint16](),
	reflect.Uint32:  reflect.TypeFor[uint32](),
	reflect.Uint64:  reflect.TypeFor[uint64](),
	reflect.Float32: reflect.TypeFor[float32](),
	reflect.Float64: reflect.TypeFor[float64](),
	reflect.String:  reflect.TypeFor[string](),
}
