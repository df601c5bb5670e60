// Package rowscan reads rows into Go values with scany's mapping, at pgx's pace.
//
// scany maps columns to fields with reflection for every row. Here it does so
// once for a statement: it maps one scratch value, pgx scans every row into the
// same addresses, and the value is copied.
package rowscan

import (
	"database/sql"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/georgysavva/scany/v2/dbscan"
	"github.com/jackc/pgx/v5"
)

// api returns scany with pgx's notion of a scannable type. Its map from
// columns to fields is cached for every type.
var api = sync.OnceValue(func() *dbscan.API {
	a, err := dbscan.NewAPI(dbscan.WithScannableTypes((*sql.Scanner)(nil)))
	if err != nil {
		panic(err) // the option is a constant
	}
	return a
})

// Scanner reads the rows of one statement as values of T: a struct, a scalar or
// a map with string keys.
type Scanner[T any] struct {
	rows    pgx.Rows
	scratch *T
	targets []any              // addresses in scratch, in the order of the columns; nil before the first row
	given   []any              // targets that are known beforehand
	byRow   *dbscan.RowScanner // for types whose addresses differ from row to row
}

// New returns a scanner of rows; it does not close them.
func New[T any](rows pgx.Rows) *Scanner[T] {
	return &Scanner[T]{rows: rows, scratch: new(T)}
}

// Scan returns the current row.
func (s *Scanner[T]) Scan() (T, error) {
	var zero T
	return s.ScanOver(zero)
}

// ScanOver returns the current row; fields without a column are those of base.
func (s *Scanner[T]) ScanOver(base T) (T, error) {
	var zero T
	if s.targets == nil && s.byRow == nil {
		if err := s.prepare(); err != nil {
			return zero, err
		}
	}
	*s.scratch = base // nothing of the row before shows through
	if s.byRow != nil {
		err := s.byRow.Scan(s.scratch)
		return *s.scratch, describe(err)
	}
	if err := s.rows.Scan(s.targets...); err != nil {
		return zero, err
	}
	return *s.scratch, nil
}

func (s *Scanner[T]) prepare() error {
	if s.given != nil {
		s.targets = adaptEnums(s.rows, s.given)
		return nil
	}
	if !fixedAddresses(reflect.TypeFor[T]()) {
		s.byRow = api().NewRowScanner(byRow{adapter{s.rows}})
		return nil
	}
	if opaque(reflect.TypeFor[T]()) {
		s.targets = []any{s.scratch} // a value of one column that scany would take for a record
		return nil
	}
	capture := &capture{adapter: adapter{s.rows}}
	if err := api().NewRowScanner(capture).Scan(s.scratch); err != nil {
		return describe(err)
	}
	s.targets = adaptEnums(s.rows, capture.targets)
	return nil
}

// Into reads the current row into dst, except for its last len(more) columns,
// which go into more. Fields without a column stay as they are.
func Into[T any](rows pgx.Rows, dst *T, more ...any) error {
	capture := &capture{adapter: adapter{rows}, except: len(more)}
	if err := api().NewRowScanner(capture).Scan(dst); err != nil {
		return describe(err)
	}
	return rows.Scan(append(adaptEnums(rows, capture.targets), more...)...)
}

// fixedAddresses reports whether scany scans into the value itself: not into a
// map, nor into structs behind pointers, which it allocates anew for each row.
func fixedAddresses(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Map:
		return false
	case reflect.Struct:
		if opaque(t) {
			return true
		}
		for field := range t.Fields() {
			switch {
			case !field.IsExported() && !field.Anonymous, field.Tag.Get("db") == "-", strings.Contains(field.Tag.Get("db"), ",json"):
			case field.Type.Kind() == reflect.Pointer && field.Type.Elem().Kind() == reflect.Struct &&
				(field.Anonymous || !opaque(field.Type.Elem())):
				return false
			case field.Type.Kind() == reflect.Struct && !fixedAddresses(field.Type):
				return false
			}
		}
	}
	return true
}

var scannerType = reflect.TypeFor[sql.Scanner]()

// opaque reports whether t is a struct that is one value to pgx, such as
// time.Time or netip.Addr, and not a record of columns.
func opaque(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	if reflect.PointerTo(t).Implements(scannerType) {
		return true
	}
	for f := range t.Fields() {
		if f.IsExported() || f.Anonymous {
			return false
		}
	}
	return t.NumField() > 0
}

// describe drops scany's account of its own calls from an error.
func describe(err error) error {
	if err == nil {
		return nil
	}
	if _, after, ok := strings.Cut(err.Error(), "scany: "); ok {
		return &scanError{text: after, err: err}
	}
	return err
}

type scanError struct {
	text string
	err  error
}

func (e *scanError) Error() string { return e.text }
func (e *scanError) Unwrap() error { return e.err }

// adapter shows pgx's rows as scany's.
type adapter struct{ pgx.Rows }

func (a adapter) Close() error        { a.Rows.Close(); return a.Err() }
func (a adapter) NextResultSet() bool { return false }

func (a adapter) Columns() ([]string, error) {
	fields := a.FieldDescriptions()
	columns := make([]string, len(fields))
	for i := range fields {
		columns[i] = fields[i].Name
	}
	return columns, nil
}

// byRow is scanned into by scany itself.
type byRow struct{ adapter }

func (b byRow) Scan(targets ...any) error { return b.Rows.Scan(adaptEnums(b.Rows, targets)...) }

// capture notes the targets of a scan instead of scanning.
type capture struct {
	adapter
	except  int // number of columns at the end that are none of scany's
	targets []any
}

func (c *capture) Columns() ([]string, error) {
	columns, err := c.adapter.Columns()
	return columns[:max(0, len(columns)-c.except)], err
}

func (c *capture) Scan(targets ...any) error {
	if len(targets) == 0 {
		return fmt.Errorf("scany: the statement returns no columns")
	}
	c.targets = targets
	return nil
}
