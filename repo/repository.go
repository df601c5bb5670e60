package repo

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Repository reads and writes the rows of one table as values of T. It is as
// safe for concurrent use as its [pgdbm.DB]: safe on a manager, one goroutine at
// a time on a transaction. It holds no connection and needs no closing.
type Repository[T any] struct {
	db      pgdbm.DB
	t       *table
	catalog *catalog
}

// New returns the repository of a table in db's schema. The table's name is
// unqualified. Nothing is sent to the database.
//
// The error joins every mistake in the tags of T; see the package documentation.
func New[T any](db pgdbm.DB, name string) (*Repository[T], error) {
	var errs []error
	if db == nil {
		errs = append(errs, errors.New("the DB is nil"))
	}
	if !sqltmpl.ValidName(name) {
		errs = append(errs, fmt.Errorf("%q does not name a table of the bound schema: a letter or _ followed by up to 62 letters, digits or _", name))
	}
	m := metaOf(reflect.TypeFor[T]())
	if err := errors.Join(append(errs, m.err)...); err != nil {
		return nil, fmt.Errorf("repo: %s (%s): %w", name, m.typ, err)
	}
	return &Repository[T]{db: db, t: m.table(name), catalog: &catalog{}}, nil
}

// In returns the repository in a transaction, with its own schema whichever
// module began the transaction. It is a shallow copy, valid as long as tx.
func (r *Repository[T]) In(tx *pgdbm.Tx) *Repository[T] {
	return &Repository[T]{db: r.db.In(tx), t: r.t, catalog: r.catalog}
}

// Where returns a query of the rows that meet all conditions; of all rows
// without any.
func (r *Repository[T]) Where(conditions ...Condition[T]) Query[T] {
	return Query[T]{repo: r}.Where(conditions...)
}

// ByKey returns a query of the row with a key: one value for each field tagged
// key, in the order of the fields, each of exactly the field's type. It is a
// query as any other, for partial updates and locks:
//
//	n, err := users.ByKey(int64(7)).Update(ctx, nick.Set(nil))
//	u, err := users.In(tx).ByKey(int64(7)).ForUpdate().One(ctx)
func (r *Repository[T]) ByKey(key ...any) Query[T] {
	q := Query[T]{repo: r, conditioned: true}
	args, err := r.t.key(key)
	if err != nil {
		return q.failed(err)
	}
	for i, f := range r.t.meta.keys {
		q.conds = append(q.conds, &node{kind: compare, f: f, op: " = ", arg: args[i]})
	}
	return q
}

// table is what is known of a table and its struct. It is shared by all
// repositories of both, whatever their schemas: texts name the table by template.
type table struct {
	name  string
	ref   string // {{tables.name}}
	meta  *meta
	texts texts[string]
	signs texts[string] // of orders of pages

	once  sync.Once
	keyed keyTexts // complete after once

	scanners   [2]sync.Pool // of rows, and of rows with one more column; see reader
	statements sync.Pool
}

func (m *meta) table(name string) *table {
	known, ok := m.tables.Load(name)
	if !ok {
		known, _ = m.tables.LoadOrStore(name, &table{name: name, ref: "{{tables." + name + "}}", meta: m})
	}
	t, _ := known.(*table)
	return t
}

// key checks the values of a key and returns them as arguments.
func (t *table) key(key []any) ([]any, error) {
	keys := t.meta.keys
	if len(key) != len(keys) {
		return nil, t.misuse("a key of %s, but %s", describeKey(keys), count(len(key), "value"))
	}
	args := make([]any, len(key))
	for i, f := range keys {
		if reflect.TypeOf(key[i]) != f.typ {
			return nil, t.misuse("key column %s wants %s, not %T; convert it: %s(…)", f.name, f.typ, key[i], f.typ)
		}
		arg, err := f.encode(key[i])
		if err != nil {
			return nil, t.wrap(err)
		}
		args[i] = arg
	}
	return args, nil
}

func describeKey(keys []*field) string {
	columns := lo.Map(keys, func(f *field, _ int) string { return f.name + " " + f.typ.String() })
	return count(len(keys), "column") + " (" + strings.Join(columns, ", ") + ")"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
