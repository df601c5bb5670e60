package rowscan

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Paths returns for each column the index of the field of t that scany scans it
// into, as [reflect.Value.FieldByIndex] takes it: nil if that is no field of the
// type, but a part of one. The error names a column that has none.
func Paths(t reflect.Type, columns []string) ([][]int, error) {
	row := reflect.New(t)
	noted := &noted{columns: columns}
	if err := api().NewRowScanner(noted).Scan(row.Interface()); err != nil {
		return nil, describe(err)
	}
	paths := make([][]int, len(columns))
	for i, target := range noted.targets {
		paths[i] = path(row.Elem(), target, nil)
	}
	return paths, nil
}

// path returns the index of the field of v that has an address.
func path(v reflect.Value, address any, above []int) []int {
	for i := range v.NumField() {
		field, index := v.Field(i), append(slices.Clip(above), i)
		if field.CanInterface() && field.Addr().Interface() == address {
			return index
		}
		if field.Kind() == reflect.Pointer {
			field = field.Elem() // invalid for nil
		}
		if field.Kind() == reflect.Struct {
			if found := path(field, address, index); found != nil {
				return found
			}
		}
	}
	return nil
}

// noted are rows without a row, which note the targets of a scan.
type noted struct {
	columns []string
	targets []any
}

func (n *noted) Columns() ([]string, error) { return n.columns, nil }
func (n *noted) Close() error               { return nil }
func (n *noted) Err() error                 { return nil }
func (n *noted) Next() bool                 { return true }
func (n *noted) NextResultSet() bool        { return false }

func (n *noted) Scan(targets ...any) error {
	if len(targets) != len(n.columns) {
		return fmt.Errorf("scany: %d targets for %d columns", len(targets), len(n.columns))
	}
	n.targets = append([]any(nil), targets...)
	return nil
}

// At returns a scanner of rows whose columns are scanned into targets, addresses
// in scratch that [Paths] led to.
func At[T any](rows pgx.Rows, scratch *T, targets []any) *Scanner[T] {
	return &Scanner[T]{rows: rows, scratch: scratch, given: targets}
}

// Adapt replaces targets that pgx cannot scan into, in place, and returns them.
// They must stand for the columns of rows, from the first on.
func Adapt(rows pgx.Rows, targets []any) []any { return adaptEnums(rows, targets) }
