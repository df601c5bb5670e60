package repo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Verify compares T with the table, and returns everything about it that would make
// a method fail sooner or later: a field without a column, a column that Insert
// would have to fill but no field has, a type that the field cannot take, NULL where
// the field cannot hold it, a generated column that is not tagged auto or generated,
// an option that the column cannot serve, a key that is not unique. It reads the
// catalog only, in two queries.
//
// Call it when the program starts, after migrating. A table that is not there is
// [pgdbm.ErrUndefined]. Of a view only the columns and their types are compared.
func (r *Repository[T]) Verify(ctx context.Context) error {
	columns, err := pgdbm.FetchAll[liveColumn](ctx, r.db, fmt.Sprintf(liveColumnsSQL, r.t.ref))
	if err != nil {
		return r.t.wrap(err)
	}
	unique, err := pgdbm.FetchAll[[]string](ctx, r.db, fmt.Sprintf(uniqueSQL, r.t.ref))
	if err != nil {
		return r.t.wrap(err)
	}
	m, live := r.t.meta, map[string]liveColumn{}
	names := make([]string, len(columns))
	table, foreign := false, false
	for i, c := range columns {
		live[c.Name], names[i] = c, c.Name
		table, foreign = c.Table, c.Foreign
	}
	var errs []error
	types := pgtype.NewMap()
	for _, f := range m.fields {
		if c, ok := live[f.name]; ok {
			errs = append(errs, c.compare(f, types)...)
			continue
		}
		hint := ""
		if best := closest(f.name, names); best != "" {
			hint = fmt.Sprintf("; did you mean %q?", best)
		}
		errs = append(errs, fmt.Errorf("the table has no column %q (field %s)%s", f.name, f.path, hint))
	}
	for _, c := range columns {
		if _, mapped := m.byName[c.Name]; !mapped && c.mustBeSent() {
			errs = append(errs, fmt.Errorf("column %q is NOT NULL without a default, and no field has it: Insert will fail; add the field or the default", c.Name))
		}
	}
	if table && !foreign && !slices.ContainsFunc(unique, m.isKeyOf) {
		errs = append(errs, fmt.Errorf("no unique index makes the key unique (%s): Get and Update may reach several rows; add one, or tag the key that the table has",
			describeKey(m.keys)))
	}
	if len(errs) == 0 {
		return nil
	}
	return r.t.wrap(fmt.Errorf("%s does not fit the table: %w", m.typ, errors.Join(errs...)))
}

// isKeyOf reports whether the columns of a unique index are among those of the key.
func (m *meta) isKeyOf(columns []string) bool {
	for _, name := range columns {
		if !slices.ContainsFunc(m.keys, func(f *field) bool { return f.name == name }) {
			return false
		}
	}
	return true
}

// liveColumn is a column as it is in the database.
type liveColumn struct {
	Name      string
	OID       uint32 `db:"oid"`
	Type      string
	Enum      bool
	NotNull   bool `db:"not_null"`
	Filled    bool // it has a default or is an identity or generated column
	Generated bool // it takes no value
	Table     bool // rather than a view
	Foreign   bool // on another server, which alone knows of keys
	Triggered bool // a trigger may fill it before it is stored
}

// The type is what a domain is made of, however many are in between.
const liveColumnsSQL = `
	select attname::text as name, b.oid, format_type(a.atttypid, a.atttypmod) as type, b.enum,
		a.attnotnull or b.not_null as not_null, a.atthasdef or a.attidentity <> '' or t.typdefault is not null as filled,
		a.attgenerated <> '' or a.attidentity = 'a' as generated, c.relkind in ('r', 'p', 'f') as table, c.relkind = 'f' as foreign,
		exists (select from pg_trigger g where g.tgrelid = c.oid and g.tgtype & 7 = 7 and g.tgenabled <> 'D') as triggered
	from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_type t on t.oid = a.atttypid
		cross join lateral (
			with recursive d as (
				select t.oid, t.typtype, t.typbasetype, t.typnotnull
				union all select u.oid, u.typtype, u.typbasetype, u.typnotnull from d join pg_type u on u.oid = d.typbasetype where d.typtype = 'd'
			)
			select max(oid) filter (where typtype <> 'd') as oid, bool_or(typtype = 'e') as enum, bool_or(typnotnull) as not_null from d
		) b
	where a.attrelid = '%s'::regclass and a.attnum > 0 and not a.attisdropped
	order by a.attnum`

const uniqueSQL = `
	select array(select a.attname::text from unnest(i.indkey[0:i.indnkeyatts - 1]) k join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k)
	from pg_index i
	where i.indrelid = '%s'::regclass and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null`

func (c *liveColumn) compare(f *field, types *pgtype.Map) (errs []error) {
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("column %q: "+format, append([]any{c.Name}, args...)...))
	}
	if !c.holds(f, types) {
		wrong("its type %s does not go with field %s %s", c.Type, f.path, f.typ)
	}
	if c.Table && !c.NotNull && !f.nullable && !f.pointers {
		wrong("it can be NULL, which field %s %s cannot hold; use *%[3]s, or declare the column NOT NULL", f.path, f.typ)
	}
	if c.Generated && !f.opts.has(optAuto) && !f.opts.has(optGenerated) {
		wrong("the database generates it; tag field %s auto, or generated if it is never to be sent", f.path)
	}
	errs = append(errs, c.compareOptions(f)...)
	return errs
}

// compareOptions returns what is wrong with a column for the options of its field.
func (c *liveColumn) compareOptions(f *field) (errs []error) {
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("column %q: "+format, append([]any{c.Name}, args...)...))
	}
	if c.mustBeSent() {
		switch {
		case f.opts.has(optAuto):
			wrong("it is NOT NULL without a default, and Insert leaves field %s out when it is zero; declare the default, or drop the option auto", f.path)
		case f.opts.has(optGenerated):
			wrong("it is NOT NULL without a default, and Insert leaves field %s out; declare the default, or drop the option generated", f.path)
		}
	}
	if c.NotNull && f.opts.has(optSoftDelete) {
		wrong("it is NOT NULL, and NULL is what the option softdelete stores in a live row; drop the constraint")
	}
	if stamp := f.opts & (optTouch | optSoftDelete); stamp != 0 && slices.Contains(timeless, c.OID) {
		wrong("its type %s cannot take now(), which the option %s stores; use timestamptz", c.Type, stamp.names()[0])
	}
	return errs
}

// mustBeSent reports whether a row without a value for the column cannot be stored.
func (c *liveColumn) mustBeSent() bool { return c.Table && c.NotNull && !c.Filled && !c.Triggered }

// timeless are types that people may think of for a time, and that take no now().
var timeless = []uint32{
	pgtype.BoolOID, pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID,
	pgtype.IntervalOID, pgtype.JSONOID, pgtype.JSONBOID, pgtype.ByteaOID,
}

// holds reports whether values of the field can be sent to the column, as far as
// that is known of their types.
func (c *liveColumn) holds(f *field, types *pgtype.Map) bool {
	if f.opts.has(optJSON) {
		return slices.Contains([]uint32{pgtype.JSONOID, pgtype.JSONBOID, pgtype.TextOID, pgtype.VarcharOID}, c.OID)
	}
	t := f.typ
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Implements(valuerType) || reflect.PointerTo(t).Implements(valuerType) && !strings.HasPrefix(t.PkgPath(), "github.com/jackc/pgx/") {
		return true // it decides by itself
	}
	if _, known := types.TypeForOID(c.OID); !known {
		return !c.Enum || t.Kind() == reflect.String || t.Kind() == reflect.Interface || t.Implements(textValuer)
	}
	if t.Kind() == reflect.Interface {
		return true
	}
	value := reflect.New(t)
	sent, format := plain(value.Elem().Interface()), types.FormatCodeForOID(c.OID)
	if types.PlanEncode(c.OID, format, sent) == nil && types.PlanEncode(c.OID, pgtype.TextFormatCode, sent) == nil {
		return false
	}
	return reflect.TypeOf(types.PlanScan(c.OID, format, value.Interface())) != cannotScan(types)
}

// cannotScan returns the type of the plan that pgx has for what it cannot scan.
func cannotScan(types *pgtype.Map) reflect.Type {
	return reflect.TypeOf(types.PlanScan(pgtype.Int4OID, pgtype.BinaryFormatCode, new(chan int)))
}
