package repo

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Bulk statements send one array for each column:
//
//	insert into t ("id", "mood") select u.c1, u.c2::mood
//	from unnest($1::bigint[], $2::text[]) with ordinality as u (c1, c2, n) order by u.n
//
// The types come from the catalog, asked for once per repository; see relation. Where
// pgx can send an array of the column's type whatever the exec mode, it does;
// everything else (enums, arrays, JSON, numeric, …) travels as text and is cast for
// each row.

// errNoArray says that the values of a column cannot be sent as an array, errNoValue
// that one of them cannot.
var (
	errNoArray = errors.New("cannot be sent as an array")
	errNoValue = errors.New("a value cannot be encoded")
)

// chunk is the arrays of some rows, all of which send the same columns.
type chunk struct {
	rows    []int // which ones
	columns []*array
	touched []*field
}

// chunks divides rows into statements: by what they send (an auto column may be
// set in some of them), and by their number.
func (r *Repository[T]) chunks(rows []T, rel *relation, size int) ([]chunk, error) {
	for _, f := range r.t.meta.fields {
		if _, ok := rel.types[f.name]; !ok {
			return nil, r.t.misuse("the table has no column %q (field %s)", f.name, f.path)
		}
	}
	var (
		groups  []*group
		mask    = make([]byte, len(r.t.meta.autos))
		out     []chunk
		encoder = pgtype.NewMap()
	)
	for i := range rows {
		v := reflect.ValueOf(&rows[i]).Elem()
		for j, f := range r.t.meta.autos {
			mask[j] = markSent
			if isZero(f.value(v)) {
				mask[j] = markLeft
			}
		}
		at := slices.IndexFunc(groups, func(g *group) bool { return g.mask == string(mask) })
		if at < 0 {
			at = len(groups)
			groups = append(groups, &group{mask: string(mask)})
		}
		groups[at].rows = append(groups[at].rows, i)
	}
	for _, g := range groups {
		for part := range slices.Chunk(g.rows, size) {
			c, err := newChunk(r.t, rel.types, g.mask, part)
			if err != nil {
				return nil, err
			}
			for _, i := range part {
				if err := c.add(encoder, reflect.ValueOf(&rows[i]).Elem()); err != nil {
					return nil, err
				}
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// group is the rows that leave the same columns to the database.
type group struct {
	mask string // a mark for each column tagged auto
	rows []int
}

func newChunk(t *table, types map[string]columnType, mask string, rows []int) (chunk, error) {
	c := chunk{rows: rows}
	for _, f := range t.meta.fields {
		if f.opts.has(optTouch) {
			c.touched = append(c.touched, f)
			continue
		}
		if i := slices.Index(t.meta.autos, f); i >= 0 && mask[i] == markLeft || f.opts.has(optGenerated) {
			continue
		}
		c.columns = append(c.columns, newArray(f, types[f.name], len(rows)))
	}
	if len(c.columns) == 0 {
		return c, t.wrap(fmt.Errorf("%w: the rows have no column that is sent", errNoArray))
	}
	return c, nil
}

func (c *chunk) add(encoder *pgtype.Map, row reflect.Value) error {
	for _, column := range c.columns {
		if err := column.add(encoder, row); err != nil {
			return err
		}
	}
	return nil
}

// write writes everything between INSERT INTO and what follows the rows.
func (c *chunk) write(w *statement) {
	for i, column := range c.columns {
		w.text(separator(i, " (") + column.f.quoted)
	}
	for _, f := range c.touched {
		w.text(", " + f.quoted)
	}
	for i, column := range c.columns {
		w.text(separator(i, ") select ") + fmt.Sprintf("u.c%d", i+1))
		if column.text {
			w.text("::" + column.typ.Type)
		}
	}
	for range c.touched {
		w.text(", now()")
	}
	for i, column := range c.columns {
		w.text(separator(i, " from unnest("))
		w.arg(column.values())
		if column.text {
			w.text("::text[]")
		} else {
			w.text("::" + column.list.typ(column.typ.Type) + "[]")
		}
	}
	for i := range c.columns {
		w.text(separator(i, ") with ordinality as u (") + fmt.Sprintf("c%d", i+1))
	}
	w.text(", n) order by u.n")
}

// array is the values of a column.
type array struct {
	f    *field
	typ  columnType
	text bool // as text, cast for each row
	list list
}

func newArray(f *field, typ columnType, size int) *array {
	a := &array{f: f, typ: typ, list: newList(f, typ.OID, size)}
	if a.list == nil {
		a.text, a.list = true, &values[string]{nulls: true, of: reflect.Value.String, list: make([]*string, 0, size)}
	}
	return a
}

func (a *array) values() any { return a.list.array() }

// add appends the field of a row.
func (a *array) add(encoder *pgtype.Map, row reflect.Value) error {
	v := a.f.value(row)
	if a.f.opts.has(optVersion) && isZero(v) {
		v = a.f.one
	}
	if !a.text {
		a.list.add(v)
		return nil
	}
	var arg any
	if v.IsValid() {
		var err error
		if arg, err = a.f.encode(v.Interface()); err != nil {
			return err
		}
	}
	if s, ok := arg.(string); ok {
		a.list.add(reflect.ValueOf(&s))
		return nil
	}
	text, err := encoder.Encode(a.typ.OID, pgtype.TextFormatCode, arg, nil)
	if err != nil && encoder.PlanEncode(a.typ.OID, pgtype.TextFormatCode, arg) != nil {
		return fmt.Errorf("%w: column %s: %w as %s", pgdbm.ErrInvalid, a.f.name, errNoValue, a.typ.Type)
	}
	if err != nil {
		// pgx's error quotes the value
		return fmt.Errorf("column %s (%s from %s) %w; store the rows one by one in a transaction", a.f.name, a.typ.Type, a.f.typ, errNoArray)
	}
	if text == nil {
		a.list.add(reflect.Value{})
		return nil
	}
	s := string(text)
	a.list.add(reflect.ValueOf(&s))
	return nil
}
