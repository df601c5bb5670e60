package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// strict reads a JSON object into a struct that has exactly its fields. Unlike
// in package json none may be missing, unknown or of other case; and none may be
// null, unless its field is a pointer.
func strict(text []byte, into any) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return explain(err)
	}
	v := reflect.ValueOf(into).Elem()
	known := make([]string, v.NumField())
	for i := range known {
		name := v.Type().Field(i).Tag.Get("json")
		known[i] = name
		value, ok := object[name]
		switch {
		case !ok:
			return fmt.Errorf("field %q is missing", name)
		case string(value) == "null" && v.Field(i).Kind() != reflect.Pointer:
			return fmt.Errorf("field %q is null", name)
		}
		if err := json.Unmarshal(value, v.Field(i).Addr().Interface()); err != nil {
			return fmt.Errorf("field %q: %w", name, explain(err))
		}
	}
	for name := range object {
		if !slices.Contains(known, name) {
			return fmt.Errorf("unknown field %q", name)
		}
	}
	return nil
}

// explain says in other words than package json's what is wrong with a value.
func explain(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("want %s, not %s", kindNames[e.Type.Kind()], e.Value)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("broken JSON at byte %d: %w", e.Offset, err)
	}
	return err
}

// kindNames are what JSON calls the kinds of fields that there are.
var kindNames = map[reflect.Kind]string{
	reflect.String: "string", reflect.Bool: "bool", reflect.Slice: "array", reflect.Map: "object", reflect.Struct: "object",
	reflect.Int: "whole number", reflect.Int64: "whole number",
}
