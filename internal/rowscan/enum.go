package rowscan

import (
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// adaptEnums replaces the targets that pgx cannot scan into: slices of the
// program's own string types, for arrays of a type that the connection does not
// know. Such a type is an enum of the schema: registering it would take a query
// on every new connection.
func adaptEnums(rows pgx.Rows, targets []any) []any {
	fields := rows.FieldDescriptions()
	for i, target := range targets {
		if target == nil { // not scanned
			continue
		}
		v := reflect.ValueOf(target).Elem()
		if v.Kind() != reflect.Slice || !isEnum(v.Type().Elem()) {
			continue
		}
		if _, known := rows.TypeMap().TypeForOID(fields[i].DataTypeOID); !known {
			targets[i] = &enums{slice: v, types: rows.TypeMap()}
		}
	}
	return targets
}

func isEnum(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.String && t.PkgPath() != "" && !reflect.PointerTo(t).Implements(scannerType)
}

// enums scans the text of an array into a slice.
type enums struct {
	slice reflect.Value
	types *pgtype.Map
}

// Scan is sql.Scanner's.
func (e *enums) Scan(src any) error {
	if src == nil {
		e.slice.SetZero()
		return nil
	}
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("cannot scan %T into %s", src, e.slice.Type())
	}
	var list []*string
	if err := e.types.Scan(pgtype.TextArrayOID, pgtype.TextFormatCode, []byte(text), &list); err != nil {
		return err
	}
	elem := e.slice.Type().Elem()
	out := reflect.MakeSlice(e.slice.Type(), len(list), len(list))
	for i, s := range list {
		switch {
		case elem.Kind() == reflect.Pointer && s != nil:
			p := reflect.New(elem.Elem())
			p.Elem().SetString(*s)
			out.Index(i).Set(p)
		case elem.Kind() != reflect.Pointer && s == nil:
			return fmt.Errorf("cannot scan NULL into %s", elem)
		case s != nil:
			out.Index(i).SetString(*s)
		}
	}
	e.slice.Set(out)
	return nil
}
