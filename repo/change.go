package repo

import "context"

// Update changes columns of every row of the query and returns their number,
// which may be 0:
//
//	n, err := users.ByKey(int64(7)).Update(ctx, nick.Set(new("al")), repo.Add(age, 1))
//
// A field tagged version counts up, touch becomes now() unless it is assigned. To
// update a row only as it was read, add a condition on its version.
//
// A query without a condition is refused.
func (q Query[T]) Update(ctx context.Context, assignments ...Assignment[T]) (int64, error) {
	w, err := q.update(verbUpdate, "Update", assignments)
	if err != nil {
		return 0, err
	}
	return q.change(ctx, w)
}

// UpdateReturning is [Query.Update] that returns the rows as they are afterwards,
// in no order: an empty slice when there are none.
func (q Query[T]) UpdateReturning(ctx context.Context, assignments ...Assignment[T]) ([]T, error) {
	w, err := q.update(verbUpdateReturning, "UpdateReturning", assignments)
	if err != nil {
		return nil, err
	}
	return q.changeReturning(ctx, w)
}

// update returns an update up to its conditions.
func (q Query[T]) update(v verb, method string, assignments []Assignment[T]) (*statement, error) {
	if err := q.checkWrite(method); err != nil {
		return nil, err
	}
	t := q.repo.t
	if len(assignments) == 0 {
		return nil, t.misuse("%s without an assignment; write %[1]s(ctx, column.Set(value))", method)
	}
	w := t.statement(v)
	assigned := make([]*field, 0, 8)
	for i := range assignments {
		a := &assignments[i]
		w.text(separator(i, ""))
		a.write(w)
		if w.err != nil {
			return nil, t.wrap(w.err)
		}
		for _, f := range assigned {
			if f == a.f {
				return nil, t.misuse("%s: column %s is assigned twice", method, f.name)
			}
		}
		if a.f == t.meta.version {
			return nil, t.misuse("%s: column %s is counted by the repository; leave it out", method, a.f.name)
		}
		assigned = append(assigned, a.f)
	}
	t.writeTouched(w, assigned)
	return w, nil
}

// writeTouched writes the assignments that go with every update.
func (t *table) writeTouched(w *statement, assigned []*field) {
	if v := t.meta.version; v != nil {
		w.text(", ", v.quoted, " = ", v.quoted, " + 1")
	}
next:
	for _, f := range t.meta.touched {
		for _, a := range assigned {
			if a == f {
				continue next
			}
		}
		w.text(", ", f.quoted, " = now()")
	}
}

// Delete deletes every row of the query and returns their number. With a field
// tagged softdelete the rows stay and the field becomes now().
//
// A query without a condition is refused.
func (q Query[T]) Delete(ctx context.Context) (int64, error) {
	if err := q.checkWrite("Delete"); err != nil {
		return 0, err
	}
	if q.repo.t.meta.soft == nil {
		return q.change(ctx, q.repo.t.statement(verbDelete))
	}
	q.deleted = false // what is deleted already stays deleted when it was
	w := q.repo.t.statement(verbUpdate)
	q.repo.t.writeSoftDelete(w)
	return q.change(ctx, w)
}

// DeleteReturning is [Query.Delete] that returns the rows, in no order: as they
// were, or as they are afterwards with a field tagged softdelete.
func (q Query[T]) DeleteReturning(ctx context.Context) ([]T, error) {
	if err := q.checkWrite("DeleteReturning"); err != nil {
		return nil, err
	}
	if q.repo.t.meta.soft == nil {
		return q.changeReturning(ctx, q.repo.t.statement(verbDeleteReturning))
	}
	q.deleted = false
	w := q.repo.t.statement(verbUpdateReturning)
	q.repo.t.writeSoftDelete(w)
	return q.changeReturning(ctx, w)
}

func (t *table) writeSoftDelete(w *statement) {
	w.text(t.meta.soft.quoted, " = now()")
	t.writeTouched(w, nil)
}

// Purge removes every row of the query, whether or not there is a field tagged
// softdelete, and returns their number. Soft-deleted rows are among them after
// [Query.WithDeleted].
//
// A query without a condition is refused.
func (q Query[T]) Purge(ctx context.Context) (int64, error) {
	if err := q.checkWrite("Purge"); err != nil {
		return 0, err
	}
	return q.change(ctx, q.repo.t.statement(verbDelete))
}

// PurgeReturning is [Query.Purge] that returns the rows as they were, in no order.
func (q Query[T]) PurgeReturning(ctx context.Context) ([]T, error) {
	if err := q.checkWrite("PurgeReturning"); err != nil {
		return nil, err
	}
	return q.changeReturning(ctx, q.repo.t.statement(verbDeleteReturning))
}

// change completes a statement by the conditions and runs it.
func (q Query[T]) change(ctx context.Context, w *statement) (int64, error) {
	q.writeWhere(w)
	text, args, err := w.build(q.repo.t)
	if err != nil {
		return 0, err
	}
	tag, err := q.repo.db.Exec(ctx, text, args...)
	if err != nil {
		return 0, q.repo.t.wrap(err)
	}
	return tag.RowsAffected(), nil
}

// changeReturning is change of a statement that returns its rows.
func (q Query[T]) changeReturning(ctx context.Context, w *statement) ([]T, error) {
	q.writeWhere(w)
	text, args, err := w.build(q.repo.t)
	if err != nil {
		return nil, err
	}
	return q.repo.fetch(ctx, text, args, 0)
}
