package repo

import (
	"context"
	"fmt"
	"slices"
)

// Query is a set of rows, described by conditions, an order and a limit. It is
// an immutable value: its methods return a new one, so a query can be kept,
// refined in several ways and shared by goroutines. Nothing runs before a method
// that takes a context.
//
// [Repository.Where] and [Repository.ByKey] make one. Mistakes on the way are
// reported by the method that runs it.
type Query[T any] struct {
	repo        *Repository[T]
	conds       []*node
	conditioned bool // Where was given a condition
	order       []Order[T]
	limit       int
	limited     bool
	lock        lock
	deleted     bool // soft-deleted rows are rows
	cursor      string
	paged       bool // After or Before was called
	backwards   bool
	err         error
}

// Where narrows the query by further conditions.
func (q Query[T]) Where(conditions ...Condition[T]) Query[T] {
	if len(conditions) == 0 {
		return q
	}
	if more := nodes(conditions); q.conds == nil {
		q.conds = more
	} else {
		q.conds = slices.Concat(q.conds, more)
	}
	q.conditioned = true
	return q
}

// OrderBy sorts the rows; it adds to an order given before.
func (q Query[T]) OrderBy(order ...Order[T]) Query[T] {
	q.order = slices.Concat(q.order, order) // the caller may go on using his
	return q
}

// Limit bounds the number of rows.
func (q Query[T]) Limit(n int) Query[T] {
	if n < 0 {
		return q.failed(fmt.Errorf("Limit(%d): a number of rows is not negative", n))
	}
	q.limit, q.limited = n, true
	return q
}

// WithDeleted makes the query reach soft-deleted rows too.
func (q Query[T]) WithDeleted() Query[T] {
	q.deleted = true
	return q
}

// failed notes the first mistake.
func (q Query[T]) failed(err error) Query[T] {
	if q.err == nil {
		q.err = err
	}
	return q
}

// check reports what is wrong with a query of any use.
func (q Query[T]) check() error {
	switch {
	case q.repo == nil:
		return fmt.Errorf("repo: a zero Query has no table; begin with Repository.Where")
	case q.err != nil:
		return q.repo.t.wrap(q.err)
	}
	return nil
}

// checkRead reports what is wrong with a query about to be read.
func (q Query[T]) checkRead(method string) error {
	if err := q.check(); err != nil {
		return err
	}
	if q.paged && method != "Page" {
		return q.repo.t.misuse("%s does not take After or Before; they belong to Page", method)
	}
	if slices.ContainsFunc(q.order, func(o Order[T]) bool { return o.expr != "" }) {
		return q.repo.t.misuse("%s: %s", method, errAggregateOrder)
	}
	if q.lock.mode == "" {
		return nil
	}
	if method == "Count" || method == "Exists" {
		return q.repo.t.misuse("%s locks no rows; read them with All or One, or drop %s", method, q.lock.name)
	}
	if _, ok := q.repo.db.(transaction); !ok {
		return q.repo.t.misuse("%s outside of a transaction would let go of the rows at once; use db.InTx and users.In(tx).Where(…).%s", q.lock.name, q.lock.name)
	}
	return nil
}

// transaction is a *pgdbm.Tx, or what embeds one, as a test's does.
type transaction interface {
	Rollback(ctx context.Context) error
}

// checkWrite reports what is wrong with a query about to be changed.
func (q Query[T]) checkWrite(method string) error {
	if err := q.check(); err != nil {
		return err
	}
	t := q.repo.t
	switch {
	case !q.conditioned:
		return t.misuse("%s without a condition would reach every row; add Where(…), or Where(repo.And[%s]()) if that is meant", method, t.meta.typ.Name())
	case len(q.order) > 0 || q.limited || q.paged:
		return t.misuse("%s does not take OrderBy, Limit, After or Before: it reaches every row that meets the conditions; read the keys first, then %s Where(key.In(keys...))", method, method)
	case q.lock.mode != "":
		return t.misuse("%s locks what it writes by itself; drop %s", method, q.lock.name)
	}
	return nil
}

// writeWhere writes the conditions, one that excludes soft-deleted rows
// included, and more.
func (q Query[T]) writeWhere(w *statement, more ...*node) {
	kids := q.conds
	if live := q.repo.t.meta.live; live != nil && !q.deleted {
		kids = append(slices.Clip(kids), live)
	}
	if len(more) > 0 {
		kids = slices.Concat(kids, more)
	}
	if len(kids) == 0 {
		return
	}
	w.text(" where ")
	join(w, kids, " and ", "")
}

func writeOrder[T any](w *statement, order []Order[T]) {
	for i, o := range order {
		if i == 0 {
			w.text(" order by ")
		} else {
			w.text(", ")
		}
		o.write(w)
	}
}

// writeLimit writes a limit as an argument: one text, whatever the number.
func writeLimit(w *statement, n int) {
	w.text(" limit ")
	w.arg(int64(n))
}
