package repo

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Insert stores a new row and reads it back: afterwards *row is what the database
// holds, defaults included. Fields tagged auto are sent when they are not zero;
// version starts at 1, unless it is set; touch is now(). On error *row is unchanged.
//
// A row that is there already is [pgdbm.ErrConflict].
func (r *Repository[T]) Insert(ctx context.Context, row *T) error {
	if row == nil {
		return r.t.misuse("Insert: the row is nil")
	}
	w := r.t.statement(verbInsert)
	if err := r.t.writeRow(w, reflect.ValueOf(row).Elem()); err != nil {
		return r.t.wrap(err)
	}
	text, args, err := w.build(r.t)
	if err != nil {
		return err
	}
	found, err := r.readInto(ctx, row, text, args)
	if err == nil && !found {
		err = r.t.misuse("Insert: the database stored no row; a trigger or rule discards it")
	}
	return err
}

// Marks of a column tagged auto.
const (
	markLeft byte = iota // to the database
	markSent
)

// writeRow writes the columns and values of a new row: the columns as a mark for
// each that is tagged auto.
func (t *table) writeRow(w *statement, row reflect.Value) error {
	for _, f := range t.meta.fields {
		left := f.left(row)
		if f.opts.has(optAuto) {
			mark := markSent
			if left {
				mark = markLeft
			}
			w.shape = append(w.shape, mark)
		}
		if left || f.opts.has(optTouch) {
			continue
		}
		arg, err := f.initial(row)
		if err != nil {
			return err
		}
		w.args = append(w.args, arg)
	}
	return nil
}

// row returns the text that writeRow stands for, behind so many other arguments.
func (t *table) row(marks []byte, n int) string {
	var columns, values []string
	for _, f := range t.meta.fields {
		if f.opts.has(optAuto) {
			mark := marks[0]
			if marks = marks[1:]; mark == markLeft {
				continue
			}
		}
		if f.opts.has(optGenerated) {
			continue
		}
		columns = append(columns, f.quoted)
		if f.opts.has(optTouch) {
			values = append(values, "now()")
			continue
		}
		n++
		values = append(values, "$"+strconv.Itoa(n))
	}
	if columns == nil {
		return " default values"
	}
	return " (" + strings.Join(columns, ", ") + ") values (" + strings.Join(values, ", ") + ")"
}

// initial returns the field of a new row as an argument.
func (f *field) initial(row reflect.Value) (any, error) {
	if f.opts.has(optVersion) && isZero(f.value(row)) {
		return f.one.Interface(), nil
	}
	return f.arg(row)
}

// left reports whether an INSERT leaves the field of a row to the database.
func (f *field) left(row reflect.Value) bool {
	return f.opts.has(optGenerated) || f.opts.has(optAuto) && isZero(f.value(row))
}

func isZero(v reflect.Value) bool { return !v.IsValid() || v.IsZero() }

// separator returns what stands before the i-th part of a list.
func separator(i int, first string) string {
	if i == 0 {
		return first
	}
	return ", "
}

// Update stores all columns of the row with row's key, except those tagged auto,
// generated or softdelete, and reads it back: afterwards *row is what the database holds.
// touch becomes now(). On error *row is unchanged.
//
// With a field tagged version the row is stored only if nobody has updated it
// since it was read: otherwise [pgdbm.ErrStale]. A row that is gone, or
// soft-deleted, is [pgdbm.ErrNotFound]. For some columns only, see [Query.Update].
func (r *Repository[T]) Update(ctx context.Context, row *T) error {
	if row == nil {
		return r.t.misuse("Update: the row is nil")
	}
	m, text := r.t.meta, r.t.byKey()
	if text.update == "" {
		return r.t.misuse("Update: %s has no columns but its key and those the database fills in", m.typ)
	}
	args := make([]any, 0, len(m.settable)+len(m.keys)+1)
	v := reflect.ValueOf(row).Elem()
	for _, f := range text.updateArgs {
		arg, err := f.arg(v)
		if err != nil {
			return r.t.wrap(err)
		}
		args = append(args, arg)
	}
	found, err := r.readInto(ctx, row, text.update, args)
	if err != nil || found {
		return err
	}
	if m.version == nil {
		return r.t.absent(r.db, pgdbm.ErrNotFound, "")
	}
	var exists bool
	if err := r.db.QueryRow(ctx, text.exists, args[len(m.settable):len(m.settable)+len(m.keys)]...).Scan(&exists); err != nil {
		return r.t.wrap(err)
	}
	if exists {
		return r.t.absent(r.db, pgdbm.ErrStale, "read the row again and repeat the change")
	}
	return r.t.absent(r.db, pgdbm.ErrNotFound, "")
}

// Delete deletes the row with a key. With a field tagged softdelete the row stays
// and the field becomes now(): from then on only [Query.WithDeleted] reaches it.
//
// It returns [pgdbm.ErrNotFound] when there is no such row.
func (r *Repository[T]) Delete(ctx context.Context, key ...any) error {
	return r.remove(ctx, r.t.byKey().delete, key)
}

// Purge removes the row with a key, whether or not there is a field tagged
// softdelete. A soft-deleted row is not found: ByKey(…).WithDeleted().Purge(ctx)
// removes it too.
func (r *Repository[T]) Purge(ctx context.Context, key ...any) error {
	return r.remove(ctx, r.t.byKey().purge, key)
}

func (r *Repository[T]) remove(ctx context.Context, text string, key []any) error {
	args, err := r.t.key(key)
	if err != nil {
		return err
	}
	tag, err := r.db.Exec(ctx, text, args...)
	if err != nil {
		return r.t.wrap(err)
	}
	if tag.RowsAffected() == 0 {
		return r.t.absent(r.db, pgdbm.ErrNotFound, "")
	}
	return nil
}

// keyTexts are the statements about the row with a key.
type keyTexts struct {
	get, exists, update, delete, purge string

	updateArgs []*field // the arguments of update
}

func (t *table) byKey() *keyTexts {
	t.once.Do(func() {
		m := t.meta
		where := t.whereKey(0)
		live := ""
		if m.soft != nil {
			live = " and " + m.soft.quoted + " is null"
		}
		t.keyed.get = "select " + m.columns + " from " + t.ref + where + live
		t.keyed.exists = "select exists (select from " + t.ref + where + live + ")"
		t.keyed.purge = "delete from " + t.ref + where + live
		t.keyed.delete = t.keyed.purge
		if m.soft != nil {
			w := t.statement(verbUpdate)
			t.writeSoftDelete(w)
			t.keyed.delete = t.text(w.shape) + where + live
		}
		t.keyed.update = t.updateText(live)
		t.keyed.updateArgs = append(append([]*field{}, m.settable...), m.keys...)
		if m.version != nil {
			t.keyed.updateArgs = append(t.keyed.updateArgs, m.version)
		}
	})
	return &t.keyed
}

// whereKey returns the condition on the key whose first placeholder is before+1.
func (t *table) whereKey(before int) string {
	parts := lo.Map(t.meta.keys, func(f *field, i int) string { return fmt.Sprintf("%s = $%d", f.quoted, before+i+1) })
	return " where " + strings.Join(parts, " and ")
}

func (t *table) updateText(live string) string {
	m := t.meta
	set := ""
	for i, f := range m.settable {
		set += separator(i, "") + f.quoted + fmt.Sprintf(" = $%d", i+1)
	}
	w := &statement{}
	t.writeTouched(w, nil)
	if set == "" && len(w.shape) > 0 {
		w.shape = w.shape[len(", "):]
	}
	set += string(w.shape)
	if set == "" {
		return ""
	}
	s := "update " + t.ref + " set " + set + t.whereKey(len(m.settable))
	if m.version != nil {
		s += " and " + m.version.quoted + fmt.Sprintf(" = $%d", len(m.settable)+len(m.keys)+1)
	}
	return s + live + " returning " + m.columns
}
