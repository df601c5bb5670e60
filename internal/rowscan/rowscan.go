// Package rowscan reads rows into Go values with scany's mapping, at pgx's pace.
//
// scany maps columns to fields with reflection for every row. Here it is asked
// once for a type and a list of columns: pgx scans every row of a statement into
// the same addresses of one scratch value, which is copied.
package rowscan

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Scanner reads the rows of one statement as values of T: a struct or a pointer to
// one, a scalar or a map with string keys.
type Scanner[T any] struct {
	rows    pgx.Rows
	scratch *T
	shape   *shape
	root    reflect.Value // the scratch value: *scratch, or what a pointer T leads to
	plan    *plan         // of a record, when the first row has come
	targets []any         // addresses in root, in the order of the columns; nil before the first row
	direct  *decoders     // where targets are the same for every row; may be nil

	given []any // targets that are known beforehand, and with room for more
	begun bool  // with given: the first row has come
}

// New returns a scanner of rows; it does not close them.
func New[T any](rows pgx.Rows) *Scanner[T] {
	s := &Scanner[T]{rows: rows, scratch: new(T), shape: shapeOf(reflect.TypeFor[T]())}
	s.root = reflect.ValueOf(s.scratch).Elem()
	if s.shape.pointer {
		s.root = reflect.New(s.shape.typ).Elem()
	}
	return s
}

// At returns a scanner of rows whose columns are scanned into targets, addresses
// in scratch that [Paths] led to. It is given its rows by [Scanner.Reset].
func At[T any](scratch *T, targets []any) *Scanner[T] {
	return &Scanner[T]{scratch: scratch, given: targets}
}

// Reset makes a scanner that [At] returned read other rows. Those have more
// columns, which go into more: of the same types every time. Without rows the
// scanner lets go of all that it has read.
func (s *Scanner[T]) Reset(rows pgx.Rows, more ...any) {
	s.rows, s.begun = rows, false
	s.targets = append(s.given, more...)
	if rows == nil {
		var zero T
		*s.scratch = zero
		clear(s.targets[len(s.given):])
		s.targets = s.given
	}
}

// Scan returns the current row.
func (s *Scanner[T]) Scan() (row T, err error) {
	err = s.ScanTo(&row)
	return row, err
}

// ScanTo reads the current row into dst, which stays as it is if there is an
// error, as do fields without a column.
//
// A struct behind a pointer, whose columns are all NULL, is nil if it is nil in
// dst; an embedded one never is.
func (s *Scanner[T]) ScanTo(dst *T) error {
	if s.targets == nil || s.given != nil && !s.begun {
		if err := s.prepare(); err != nil {
			return err
		}
	}
	if s.shape == nil || !s.shape.pointer {
		*s.scratch = *dst // nothing of the row before shows through
		if err := s.scan(); err != nil {
			return err
		}
		*dst = *s.scratch
		return nil
	}
	if base := reflect.ValueOf(*dst); base.IsNil() {
		s.root.SetZero()
	} else {
		s.root.Set(base.Elem())
	}
	if err := s.scan(); err != nil {
		return err
	}
	row := reflect.New(s.shape.typ)
	row.Elem().Set(s.root)
	*dst, _ = reflect.TypeAssert[T](row)
	return nil
}

func (s *Scanner[T]) prepare() (err error) {
	fields := s.rows.FieldDescriptions()
	if s.given != nil {
		s.begun = true
		if !s.direct.fit(s.rows, s.targets) {
			s.direct = newDecoders(s.rows, s.targets)
		}
		return nil
	}
	switch s.shape.kind {
	case record:
		if s.plan, err = s.shape.plan(fields); err != nil {
			return err
		}
		s.targets = adaptEnums(s.rows, s.plan.fixed(s.root, 0))
		if s.plan.groups == nil {
			s.direct = newDecoders(s.rows, s.targets)
		}
		return nil
	case mapping:
		if len(fields) == 0 {
			return errNoColumns
		}
		s.targets = make([]any, len(fields))
		return checkDistinct(fields)
	case value:
		if len(fields) != 1 {
			return fmt.Errorf("%s is the value of one column, the statement returns %d; select one of them, or use a struct or a map",
				s.shape.typ, len(fields))
		}
	}
	s.targets = adaptEnums(s.rows, []any{s.root.Addr().Interface()})
	if s.shape.kind == value {
		s.direct = newDecoders(s.rows, s.targets)
	}
	return nil
}

func (s *Scanner[T]) scan() error {
	switch {
	case s.plan != nil:
		s.plan.follow(s.rows, s.root, s.targets)
		return s.plan.describe(s.direct.scan(s.rows, s.targets))
	case s.shape != nil && s.shape.kind == mapping:
		return scanMap(s.rows, s.root, s.targets)
	default:
		return s.direct.scan(s.rows, s.targets)
	}
}

// Into reads the current row into dst, except for its last len(more) columns,
// which go into more. Fields without a column stay as they are, and structs
// behind pointers are as in [Scanner.ScanTo].
func Into[T any](rows pgx.Rows, dst *T, more ...any) error {
	fields := rows.FieldDescriptions()
	plan, err := shapeOf(reflect.TypeFor[T]()).plan(fields[:max(0, len(fields)-len(more))])
	if err != nil {
		return err
	}
	root := reflect.ValueOf(dst).Elem()
	targets := adaptEnums(rows, plan.fixed(root, len(more)))
	plan.follow(rows, root, targets)
	return plan.describe(rows.Scan(append(targets, more...)...))
}

// Adapt replaces targets that pgx cannot scan into, in place, and returns them.
// They must stand for the columns of rows, from the first on.
func Adapt(rows pgx.Rows, targets []any) []any { return adaptEnums(rows, targets) }

// scanMap reads the current row into a new map.
func scanMap(rows pgx.Rows, root reflect.Value, targets []any) error {
	t := root.Type()
	values := make([]reflect.Value, len(targets))
	for i := range targets {
		v := reflect.New(t.Elem())
		values[i], targets[i] = v.Elem(), v.Interface()
	}
	if err := rows.Scan(targets...); err != nil {
		return err
	}
	root.Set(reflect.MakeMapWithSize(t, len(targets)))
	for i, field := range rows.FieldDescriptions() {
		root.SetMapIndex(reflect.ValueOf(field.Name).Convert(t.Key()), values[i])
	}
	return nil
}

var errNoColumns = errors.New("the statement returns no columns")

// checkDistinct makes sure that no two columns have the same name.
func checkDistinct(fields []pgconn.FieldDescription) error {
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if seen[f.Name] {
			return fmt.Errorf("two columns are named %q; rename one of them with AS", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}
