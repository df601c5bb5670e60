package rowscan

import (
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/georgysavva/scany/v2/dbscan"
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

// Paths returns for each column the index of the field of t that scany scans it
// into, as [reflect.Value.FieldByIndex] takes it: nil if that is no field of the
// type, but a part of one. The error names the columns that have none.
func Paths(t reflect.Type, columns []string) ([][]int, error) {
	row := reflect.New(t)
	noted := &noted{columns: columns}
	if err := api().NewRowScanner(noted).Scan(row.Interface()); err != nil {
		return nil, unmapped(t, columns, err)
	}
	paths := make([][]int, len(columns))
	for i, target := range noted.targets {
		paths[i] = path(row.Elem(), target, nil)
	}
	return paths, nil
}

// unmapped says which columns have no field in t.
func unmapped(t reflect.Type, columns []string, err error) error {
	var missing []string
	for _, column := range columns {
		if api().NewRowScanner(&noted{columns: []string{column}}).Scan(reflect.New(t).Interface()) != nil {
			missing = append(missing, fmt.Sprintf("%q", column))
		}
	}
	switch len(missing) {
	case 0:
		if _, after, ok := strings.Cut(err.Error(), "scany: "); ok { // without its account of its own calls
			return &scanError{text: after, err: err}
		}
		return err
	case 1:
		return fmt.Errorf("column %s has no exported field in %s; add one tagged `db:%[1]s`, or do not select it", missing[0], t)
	default:
		return fmt.Errorf("columns %s have no exported fields in %s; add fields tagged `db:%s` and so on, or do not select them",
			strings.Join(missing, ", "), t, missing[0])
	}
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
