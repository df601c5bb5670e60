package repo

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/georgysavva/scany/v2/dbscan"

	"github.com/pgdbm/pgdbm-go/internal/rowscan"
)

// meta is what the tags of a struct say.
type meta struct {
	typ    reflect.Type
	err    error // every mistake in the tags
	fields []*field
	byName map[string]*field
	names  []string

	keys                     []*field
	version, soft            *field
	live                     *node  // soft is null; nil without soft
	columns                  string // "id", "email", …: what every SELECT and RETURNING lists
	pointers                 bool   // a column lies in a struct behind a pointer
	enums                    bool   // a field is a slice of an own string type
	fragments                texts[*fragment]
	tables                   sync.Map // of a table's name to its *table
	autos, settable, touched []*field
}

var metas sync.Map // of reflect.Type to *meta: what is known of a type never changes

func metaOf(t reflect.Type) *meta {
	known, ok := metas.Load(t)
	if !ok {
		known, _ = metas.LoadOrStore(t, newMeta(t))
	}
	m, _ := known.(*meta)
	return m
}

func newMeta(t reflect.Type) *meta {
	m := &meta{typ: t, byName: map[string]*field{}}
	if t.Kind() != reflect.Struct || oneColumn(t) {
		m.err = fmt.Errorf("%s is not a struct of columns", t)
		return m
	}
	r := tagReader{meta: m, owner: map[string]string{}}
	r.read(t, "", "", nil, false)
	m.err = errors.Join(append(r.errs, m.sort()...)...)
	if m.err == nil {
		m.err = m.compare()
	}
	return m
}

// compare makes sure that scany maps the columns to the same fields.
func (m *meta) compare() error {
	paths, err := rowscan.Paths(m.typ, m.names)
	if err != nil {
		return err
	}
	var errs []error
	for i, f := range m.fields {
		if !slices.Equal(paths[i], f.index) {
			errs = append(errs, fmt.Errorf("field %s: the column %q belongs to another field as well; rename one", f.path, f.name))
		}
	}
	return errors.Join(errs...)
}

// sort tells the fields apart by what is done with them.
func (m *meta) sort() (errs []error) {
	quoted := make([]string, len(m.fields))
	for i, f := range m.fields {
		quoted[i] = f.quoted
		m.names = append(m.names, f.name)
		m.pointers = m.pointers || f.pointers
		m.enums = m.enums || convertible(f.typ)
		switch {
		case f.opts.has(optVersion) && m.version != nil:
			errs = append(errs, fmt.Errorf("fields %s and %s are both tagged version; keep one", m.version.path, f.path))
		case f.opts.has(optSoftDelete) && m.soft != nil:
			errs = append(errs, fmt.Errorf("fields %s and %s are both tagged softdelete; keep one", m.soft.path, f.path))
		case f.opts.has(optVersion):
			m.version = f
			if !f.typ.ConvertibleTo(reflect.TypeFor[int64]()) || f.typ.Kind() == reflect.Float32 || f.typ.Kind() == reflect.Float64 {
				errs = append(errs, fmt.Errorf("field %s: a version is an integer, not %s", f.path, f.typ))
				break
			}
			f.one = reflect.ValueOf(1).Convert(f.typ)
		case f.opts.has(optSoftDelete):
			m.soft, m.live = f, &node{kind: postfix, f: f, op: " is null"}
			if !f.nullable {
				errs = append(errs, fmt.Errorf("field %s: NULL means not deleted, which %s cannot hold; use *time.Time", f.path, f.typ))
			}
		case f.opts.has(optTouch):
			m.touched = append(m.touched, f)
		}
		if f.opts.has(optKey) {
			m.keys = append(m.keys, f)
		}
		if f.opts.has(optAuto) {
			m.autos = append(m.autos, f)
		}
		if f.opts&(optKey|optAuto|optVersion|optSoftDelete|optTouch|optGenerated) == 0 {
			m.settable = append(m.settable, f)
		}
	}
	m.columns = strings.Join(quoted, ", ")
	if len(m.keys) == 0 {
		errs = append(errs, fmt.Errorf("no field is tagged as the key; write `db:\"id,key\"` on the columns of the primary key"))
	}
	return errs
}

// fieldAt returns the field that an address within row points to.
func (m *meta) fieldAt(row reflect.Value, address any) *field {
	for _, f := range m.fields {
		if v := f.value(row); v.IsValid() && v.Addr().Interface() == address {
			return f
		}
	}
	return nil
}

// zero returns a new row in which all nested structs exist.
func (m *meta) zero() reflect.Value {
	row := reflect.New(m.typ).Elem()
	for _, f := range m.fields {
		v := row
		for _, i := range f.index[:len(f.index)-1] {
			v = v.Field(i)
			if v.Kind() != reflect.Pointer {
				continue
			}
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
	}
	return row
}

// tagReader walks a struct and the structs in it.
type tagReader struct {
	meta  *meta
	owner map[string]string // column to the path of the field that has it
	errs  []error
	above []reflect.Type // the structs around this one
}

func (r *tagReader) read(t reflect.Type, prefix, path string, index []int, pointers bool) {
	r.above = append(r.above, t)
	defer func() { r.above = r.above[:len(r.above)-1] }()
	for i := range t.NumField() {
		r.field(t.Field(i), prefix, path, append(slices.Clip(index), i), pointers)
	}
}

func (r *tagReader) field(sf reflect.StructField, prefix, path string, index []int, pointers bool) {
	path = joinDot(path, sf.Name)
	wrong := func(err error) { r.errs = append(r.errs, fmt.Errorf("field %s: %w", path, err)) }

	tag, tagged := sf.Tag.Lookup("db")
	if tag == "-" || strings.HasPrefix(tag, "-,") {
		return
	}
	if !sf.IsExported() && !sf.Anonymous {
		if tagged {
			wrong(errors.New("is not exported, so nothing can be read into it; export it or drop the db tag"))
		}
		return
	}
	name, opts, errs := parseTag(tag)
	for _, err := range errs {
		wrong(err)
	}
	if !tagged {
		name = dbscan.SnakeCaseMapper(sf.Name)
	}
	if tagged && name == "" && !sf.Anonymous {
		wrong(fmt.Errorf("the tag `db:%q` names no column; write `db:%q`", tag, dbscan.SnakeCaseMapper(sf.Name)+tag))
		return
	}
	inner, pointer := sf.Type, sf.Type.Kind() == reflect.Pointer
	if pointer {
		inner = sf.Type.Elem()
	}
	if inner.Kind() == reflect.Struct && !opts.has(optJSON) && !oneColumn(inner) {
		if sf.Anonymous && !tagged {
			name = ""
		}
		r.nested(sf, inner, nest{prefix: joinDot(prefix, name), path: path, index: index, pointer: pointer, pointers: pointers, opts: opts})
		return
	}
	if sf.Anonymous {
		wrong(fmt.Errorf("an embedded %s has no column; give the field a name", sf.Type))
		return
	}
	if strings.Contains(name, "{{") || strings.ContainsRune(name, 0) {
		wrong(fmt.Errorf("%q cannot name a column", name))
		return
	}
	if opts.has(optJSON) && isText(sf.Type) {
		wrong(fmt.Errorf("%s is read as the text of the JSON itself, but would be written as a JSON string; drop the option for such text, or use json.RawMessage, or a string type of its own for JSON strings", sf.Type))
	}
	f := newField(joinDot(prefix, name), path, index, sf.Type, opts)
	if f.grid && !opts.has(optJSON) && isGrid(inner.Elem()) {
		wrong(fmt.Errorf("pgx reads an array of more than two dimensions wrongly into %s; use pgtype.Array, or json", sf.Type))
	}
	f.pointers = pointers
	if r.claim(f.name, path) {
		r.meta.fields = append(r.meta.fields, f)
		r.meta.byName[f.name] = f
	}
}

// nest is a struct within a struct.
type nest struct {
	prefix, path      string
	index             []int
	pointer, pointers bool
	opts              option
}

func (r *tagReader) nested(sf reflect.StructField, inner reflect.Type, n nest) {
	wrong := func(format string, args ...any) {
		r.errs = append(r.errs, fmt.Errorf("field %s: "+format, append([]any{n.path}, args...)...))
	}
	if slices.Contains(r.above, inner) {
		wrong("%s contains itself", inner)
		return
	}
	if n.opts != 0 {
		wrong("option %s does not apply to a struct of columns", n.opts.names()[0])
	}
	if n.pointer && !sf.IsExported() {
		wrong("a pointer to an unexported struct cannot be embedded; embed the struct itself")
		return
	}
	if !sf.Anonymous && !r.claim(n.prefix, n.path) { // scany gives that column to the struct itself
		return
	}
	r.read(inner, n.prefix, n.path, n.index, n.pointers || n.pointer)
}

// claim reports whether no other field has the column.
func (r *tagReader) claim(column, path string) bool {
	if other, taken := r.owner[column]; taken {
		r.errs = append(r.errs, fmt.Errorf("fields %s and %s both map to the column %q", other, path, column))
		return false
	}
	r.owner[column] = path
	return true
}

func joinDot(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "." + b
}
