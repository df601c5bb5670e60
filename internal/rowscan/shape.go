package rowscan

import (
	"database/sql"
	"fmt"
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// kind says how a row becomes a value.
type kind uint8

const (
	value   kind = iota // of one column
	record              // a struct: one field for each column
	mapping             // a map: one key for each column
	custom              // the type reads rows itself: pgx.RowScanner
)

// shape is what is known of a type.
type shape struct {
	kind    kind
	typ     reflect.Type
	pointer bool  // the type is a pointer to typ
	err     error // why a record cannot be mapped
	plans   atomic.Pointer[[]*plan]
}

var shapes sync.Map // of reflect.Type to *shape: what is known of a type never changes

func shapeOf(t reflect.Type) *shape {
	known, ok := shapes.Load(t)
	if !ok {
		known, _ = shapes.LoadOrStore(t, newShape(t))
	}
	s, _ := known.(*shape)
	return s
}

func newShape(t reflect.Type) *shape {
	s := &shape{kind: kindOf(t), typ: t}
	if t.Kind() == reflect.Pointer && s.kind == value {
		if kind := kindOf(t.Elem()); kind == record || kind == custom {
			s.kind, s.typ, s.pointer = kind, t.Elem(), true
		}
	}
	if s.kind == record {
		s.err = check(s.typ, nil)
	}
	return s
}

func kindOf(t reflect.Type) kind {
	switch {
	case reflect.PointerTo(t).Implements(rowScannerType):
		return custom
	case t.Kind() == reflect.Struct && !opaque(t):
		return record
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && !scannable(t):
		return mapping
	default:
		return value
	}
}

// check looks for what scany cannot follow.
func check(t reflect.Type, above []reflect.Type) error {
	above = append(slices.Clip(above), t)
	for field := range t.Fields() {
		if !field.IsExported() && !field.Anonymous || field.Tag.Get("db") == "-" {
			continue
		}
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct {
			continue
		}
		if slices.Contains(above, inner) {
			return fmt.Errorf("field %s of %s contains %s again; tag it `db:\"-\"`", field.Name, t, inner)
		}
		if !field.IsExported() && field.Type.Kind() == reflect.Pointer {
			return fmt.Errorf("field %s of %s is a pointer to an unexported struct, which cannot be filled; embed the struct itself", field.Name, t)
		}
		if err := check(inner, above); err != nil {
			return err
		}
	}
	return nil
}

// opaque reports whether t is a struct that is one value to pgx, such as
// time.Time or netip.Addr, and not a record of columns.
func opaque(t reflect.Type) bool {
	if scannable(t) || t == ipNetType {
		return true
	}
	for f := range t.Fields() {
		if f.IsExported() || f.Anonymous {
			return false
		}
	}
	return t.NumField() > 0
}

// scannable reports whether values of t read a column themselves.
func scannable(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return slices.ContainsFunc(scannerTypes, func(scanner reflect.Type) bool { return p.Implements(scanner) })
}

var (
	ipNetType      = reflect.TypeFor[net.IPNet]()
	rowScannerType = reflect.TypeFor[pgx.RowScanner]()
	scannerType    = reflect.TypeFor[sql.Scanner]()

	scannerTypes = []reflect.Type{
		scannerType,
		reflect.TypeFor[pgtype.ArraySetter](),
		reflect.TypeFor[pgtype.BitsScanner](),
		reflect.TypeFor[pgtype.BoolScanner](),
		reflect.TypeFor[pgtype.BoxScanner](),
		reflect.TypeFor[pgtype.BytesScanner](),
		reflect.TypeFor[pgtype.CircleScanner](),
		reflect.TypeFor[pgtype.CompositeIndexScanner](),
		reflect.TypeFor[pgtype.DateScanner](),
		reflect.TypeFor[pgtype.Float64Scanner](),
		reflect.TypeFor[pgtype.HstoreScanner](),
		reflect.TypeFor[pgtype.Int64Scanner](),
		reflect.TypeFor[pgtype.IntervalScanner](),
		reflect.TypeFor[pgtype.LineScanner](),
		reflect.TypeFor[pgtype.LsegScanner](),
		reflect.TypeFor[pgtype.NetipPrefixScanner](),
		reflect.TypeFor[pgtype.NumericScanner](),
		reflect.TypeFor[pgtype.PathScanner](),
		reflect.TypeFor[pgtype.PointScanner](),
		reflect.TypeFor[pgtype.PolygonScanner](),
		reflect.TypeFor[pgtype.RangeScanner](),
		reflect.TypeFor[pgtype.TIDScanner](),
		reflect.TypeFor[pgtype.TextScanner](),
		reflect.TypeFor[pgtype.TimeScanner](),
		reflect.TypeFor[pgtype.TimestampScanner](),
		reflect.TypeFor[pgtype.TimestamptzScanner](),
		reflect.TypeFor[pgtype.TSVectorScanner](),
		reflect.TypeFor[pgtype.UUIDScanner](),
		reflect.TypeFor[pgtype.Uint32Scanner](),
		reflect.TypeFor[pgtype.Uint64Scanner](),
	}
)
