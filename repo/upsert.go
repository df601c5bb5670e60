package repo

import (
	"context"
	"crypto/rand"
	"errors"
	"reflect"
	"slices"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Target is a column of the unique index by which [Repository.Upsert] finds the
// row that is there already: a [Column], or [Column.Where] for a partial index.
type Target[T any] interface {
	target(*T) conflictTarget
}

type conflictTarget struct {
	f     *field
	where *node // the predicate of a partial index; may be nil
}

func (c Column[T, V]) target(*T) conflictTarget { return conflictTarget{f: c.f} }

type partialTarget[T any] conflictTarget

func (p partialTarget[T]) target(*T) conflictTarget { return conflictTarget(p) }

// Where names the partial unique index that has the column and this predicate:
//
//	users.Upsert(ctx, &u, tenant, email.Where(repo.SQL[User]("state = 'active'")))
//
// The condition must take no arguments: PostgreSQL has to find the index before
// it knows them. The predicate of a field tagged softdelete need not be given.
func (c Column[T, V]) Where(predicate Condition[T]) Target[T] {
	return partialTarget[T]{f: c.f, where: predicate.n}
}

// Upsert stores a row, or updates the one with the same values in the columns of
// a unique index, the key without any. It reports whether it was inserted and
// reads the row back: afterwards *row is what the database holds. On error *row is
// unchanged.
//
// An update leaves the key, the columns of the index and those tagged auto,
// generated or softdelete as they are; version counts up, touch becomes now(). It does
// not look at row's version. A soft-deleted row in the way is [pgdbm.ErrConflict].
//
// The first one of a repository asks the catalog what kind of table there is.
func (r *Repository[T]) Upsert(ctx context.Context, row *T, on ...Target[T]) (inserted bool, err error) {
	if row == nil {
		return false, r.t.misuse("Upsert: the row is nil")
	}
	rel, err := r.relation(ctx)
	if err != nil {
		return false, err
	}
	v := verbUpsert
	if !rel.plain {
		v = verbUpsertMarked
	}
	w := r.t.statement(v)
	if !rel.plain {
		w.args = append(w.args, rand.Text()) // $1, see markUpdate
	}
	if err := r.t.writeRow(w, reflect.ValueOf(row).Elem()); err != nil {
		return false, r.t.wrap(err)
	}
	r.writeUpdateThere(w, on)
	if !rel.plain {
		r.t.markUpdate(w)
	}
	text, args, err := w.build(r.t)
	if err != nil {
		return false, err
	}
	found, err := r.readInto(ctx, row, text, args, &inserted)
	switch {
	case err != nil:
		return false, r.outdated(err)
	case found:
		return inserted, nil
	case r.t.meta.soft != nil:
		return false, r.t.absent(r.db, pgdbm.ErrConflict, softInTheWay)
	default:
		return false, r.t.misuse("Upsert: the database stored no row; a trigger or rule discards it")
	}
}

// markUpdate writes a condition of the update that is always true and leaves a
// mark, which no other statement of the transaction has, for RETURNING to look at:
// see [table.head]. The usual way to know an inserted row, xmax = 0, is an error in
// partitions whose columns are in another order than their table's, and in views.
func (t *table) markUpdate(w *statement) {
	if t.meta.soft == nil {
		w.text(" where")
	} else {
		w.text(" and")
	}
	w.text(" set_config('pgdbm.updated', $1, true) is not null")
}

// InsertMissing stores a row unless one with the same values in the columns of a
// unique index is there already; in those of any without columns. It reports
// whether it was stored. If so, *row is afterwards what the database holds;
// otherwise it is unchanged.
//
// The row that is there may be a soft-deleted one.
func (r *Repository[T]) InsertMissing(ctx context.Context, row *T, on ...Target[T]) (inserted bool, err error) {
	if row == nil {
		return false, r.t.misuse("InsertMissing: the row is nil")
	}
	w := r.t.statement(verbInsert)
	if err := r.t.writeRow(w, reflect.ValueOf(row).Elem()); err != nil {
		return false, r.t.wrap(err)
	}
	r.writeUnlessThere(w, on)
	text, args, err := w.build(r.t)
	if err != nil {
		return false, err
	}
	return r.readInto(ctx, row, text, args)
}

// writeUnlessThere writes that nothing happens to a row that is there already.
func (r *Repository[T]) writeUnlessThere(w *statement, on []Target[T]) {
	if len(on) == 0 {
		w.text(" on conflict do nothing")
		return
	}
	r.writeTargets(w, on)
	w.text(" do nothing")
}

const softInTheWay = "a soft-deleted row is in the way: restore it by WithDeleted() and Update, or Purge it"

// writeTargets writes which unique index counts, and returns its columns.
func (r *Repository[T]) writeTargets(w *statement, on []Target[T]) []*field {
	m := r.t.meta
	columns, predicates := slices.Clone(m.keys), []*node(nil)
	if len(on) > 0 {
		columns = columns[:0]
	}
	for _, target := range on {
		to := target.target(nil)
		if to.f == nil {
			w.fail(errZeroColumn)
			return nil
		}
		columns = append(columns, to.f)
		if to.where != nil {
			predicates = append(predicates, to.where)
		}
	}
	for i, f := range columns {
		w.text(separator(i, " on conflict ("), f.quoted)
	}
	w.text(")")
	if m.soft != nil { // the index may be partial; a full one is found as well
		predicates = append(predicates, m.live)
	}
	if len(predicates) > 0 {
		before := len(w.args)
		w.text(" where ")
		join(w, predicates, " and ", "")
		if len(w.args) != before {
			w.fail(errors.New("the predicate of a unique index takes no arguments; write its values into the SQL: column.Where(repo.SQL[T](\"state = 'active'\"))"))
			return nil
		}
	}
	return columns
}

// writeUpdateThere writes how a row that is there already is updated.
func (r *Repository[T]) writeUpdateThere(w *statement, on []Target[T]) {
	m, columns, sets := r.t.meta, r.writeTargets(w, on), 0
	if w.err != nil {
		return
	}
	set := func(f *field, from, to string) {
		w.text(separator(sets, " do update set "), f.quoted, from, to)
		sets++
	}
	for _, f := range m.settable {
		if !slices.Contains(columns, f) {
			set(f, " = excluded.", f.quoted)
		}
	}
	if v := m.version; v != nil {
		set(v, " = t.", v.quoted)
		w.text(" + 1")
	}
	for _, f := range m.touched {
		set(f, " = now()", "")
	}
	if sets == 0 { // nothing to change, but the row is to be returned
		set(columns[0], " = excluded.", columns[0].quoted)
	}
	if m.soft != nil {
		w.text(" where t.", m.soft.quoted, " is null")
	}
}
