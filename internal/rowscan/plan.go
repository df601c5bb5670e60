package rowscan

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// plan says where the columns of a statement go in a struct.
type plan struct {
	typ     reflect.Type
	columns []string
	paths   [][]int // of each column's field, as [reflect.Value.FieldByIndex] takes it
	behind  []bool  // whether a column's field lies in a struct behind a pointer
	groups  []group // the structs behind pointers, outer ones first
}

// group is a struct behind a pointer.
type group struct {
	index    []int // of the pointer
	embedded bool
	all      []int // the columns in it
	own      []int // those of them that lie in no further group
}

// maxPlans bounds how many lists of columns are remembered for a type.
const maxPlans = 16

// plan returns the plan for columns.
func (s *shape) plan(fields []pgconn.FieldDescription) (*plan, error) {
	known := s.plans.Load()
	if known != nil {
		for _, p := range *known {
			if p.fits(fields) {
				return p, nil
			}
		}
	}
	p, err := s.newPlan(fields)
	if err != nil {
		return nil, err
	}
	var plans []*plan
	if known != nil {
		plans = *known
	}
	if len(plans) < maxPlans {
		plans = append(slices.Clip(plans), p)
		s.plans.CompareAndSwap(known, &plans) // who was faster wins, the other comes back
	}
	return p, nil
}

func (p *plan) fits(fields []pgconn.FieldDescription) bool {
	if len(fields) != len(p.columns) {
		return false
	}
	for i := range fields {
		if fields[i].Name != p.columns[i] {
			return false
		}
	}
	return true
}

func (s *shape) newPlan(fields []pgconn.FieldDescription) (*plan, error) {
	if s.err != nil {
		return nil, s.err
	}
	if len(fields) == 0 {
		return nil, errNoColumns
	}
	if err := checkDistinct(fields); err != nil {
		return nil, err
	}
	p := &plan{typ: s.typ, columns: make([]string, len(fields)), behind: make([]bool, len(fields))}
	for i := range fields {
		p.columns[i] = fields[i].Name
	}
	var err error
	if p.paths, err = Paths(s.typ, p.columns); err != nil {
		return nil, err
	}
	for column, path := range p.paths {
		if path == nil {
			return nil, fmt.Errorf("column %q is no field of %s", p.columns[column], s.typ)
		}
		p.group(column, path)
	}
	slices.SortStableFunc(p.groups, func(a, b group) int { return len(a.index) - len(b.index) })
	return p, nil
}

// group adds a column to the groups that its field lies in.
func (p *plan) group(column int, path []int) {
	last := -1
	t := p.typ
	for n := 1; n < len(path); n++ {
		field := t.Field(path[n-1])
		if t = field.Type; t.Kind() != reflect.Pointer {
			continue
		}
		t = t.Elem()
		last = slices.IndexFunc(p.groups, func(g group) bool { return slices.Equal(g.index, path[:n]) })
		if last < 0 {
			last = len(p.groups)
			p.groups = append(p.groups, group{index: path[:n], embedded: field.Anonymous})
		}
		p.groups[last].all = append(p.groups[last].all, column)
	}
	if last >= 0 {
		p.groups[last].own = append(p.groups[last].own, column)
		p.behind[column] = true
	}
}

// fixed returns the addresses of the fields in root that are the same for every
// row, with room for more.
func (p *plan) fixed(root reflect.Value, more int) []any {
	targets := make([]any, len(p.paths), len(p.paths)+more)
	for i, path := range p.paths {
		if !p.behind[i] {
			targets[i] = root.FieldByIndex(path).Addr().Interface()
		}
	}
	return targets
}

// follow makes the structs behind pointers for the current row, and completes
// targets with the addresses of their fields.
func (p *plan) follow(rows pgx.Rows, root reflect.Value, targets []any) {
	if p.groups == nil {
		return
	}
	raw := rows.RawValues()
	for _, g := range p.groups {
		pointer := fieldBehind(root, g.index)
		null := !g.embedded && !slices.ContainsFunc(g.all, func(column int) bool { return raw[column] != nil })
		if !pointer.IsValid() || null && pointer.IsNil() {
			for _, column := range g.own {
				targets[column] = nil // not scanned
			}
			continue
		}
		fresh := reflect.New(pointer.Type().Elem())
		if !pointer.IsNil() {
			fresh.Elem().Set(pointer.Elem())
		}
		pointer.Set(fresh)
		for _, column := range g.own {
			targets[column] = fresh.Elem().FieldByIndex(p.paths[column][len(g.index):]).Addr().Interface()
		}
	}
	adaptEnums(rows, targets)
}

// fieldBehind is [reflect.Value.FieldByIndex] that returns no value behind a nil
// pointer.
func fieldBehind(v reflect.Value, index []int) reflect.Value {
	for _, i := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

// describe names the field in an error of pgx's scan.
func (p *plan) describe(err error) error {
	if err == nil {
		return nil
	}
	return Describe(err, p.typ, func(column int) (name, field string) {
		if column >= len(p.paths) {
			return "", ""
		}
		path := make([]string, 0, len(p.paths[column]))
		t := p.typ
		for _, i := range p.paths[column] {
			if t.Kind() == reflect.Pointer {
				t = t.Elem()
			}
			path = append(path, t.Field(i).Name)
			t = t.Field(i).Type
		}
		return p.columns[column], strings.Join(path, ".")
	})
}

// Describe names the field of t in an error of pgx's scan: the one that of returns
// for a column, none if its name is empty. The rest of the message stays as it is:
// whoever returned err may have kept a value out of it.
func Describe(err error, t reflect.Type, of func(column int) (name, field string)) error {
	scan, ok := errors.AsType[pgx.ScanArgError](err)
	if !ok {
		return err
	}
	name, field := of(scan.ColumnIndex)
	if name == "" {
		return err
	}
	prefix := strings.TrimSuffix(pgx.ScanArgError{ColumnIndex: scan.ColumnIndex, FieldName: scan.FieldName, Err: errors.New("")}.Error(), ": ")
	where := fmt.Sprintf("column %q into field %s of %s", name, field, t)
	return &scanError{text: strings.Replace(err.Error(), prefix, where, 1), err: err}
}

type scanError struct {
	text string
	err  error
}

func (e *scanError) Error() string { return e.text }
func (e *scanError) Unwrap() error { return e.err }
