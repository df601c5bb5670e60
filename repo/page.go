package repo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Page is a page of rows in the order of its query.
type Page[T any] struct {
	Rows []T

	// Next leads to the rows after this page, by [Query.After]; "" at the end.
	Next string

	// Prev leads to the rows before this page, by [Query.Before]; "" at the
	// beginning. The page after a cursor always has one, unless it is empty.
	Prev string
}

// After makes Page return the rows behind a cursor, the Next of another page of
// the same order. "" is the beginning.
func (q Query[T]) After(cursor string) Query[T] { return q.from(cursor, false) }

// Before makes Page return the rows in front of a cursor, the Prev of another
// page of the same order. "" is the end: the last page.
func (q Query[T]) Before(cursor string) Query[T] { return q.from(cursor, true) }

func (q Query[T]) from(cursor string, backwards bool) Query[T] {
	if q.paged {
		return q.failed(fmt.Errorf("After and Before are given twice; a page has one cursor"))
	}
	q.paged, q.cursor, q.backwards = true, cursor, backwards
	return q
}

// Page returns the first Limit rows, or those after or before a cursor, and the
// cursors of the pages around. Rows that come or go between two pages shift
// nothing: a page begins where the one before ended, by values, not by number.
// It reads one row more than Limit.
//
// The key is added to the order, so that it is total. Columns that can be NULL
// have no place in it, nor have those whose values the field cannot hold exactly,
// such as a numeric of 20 digits in a float64. Conditions are not part of a cursor:
// give every page the same ones. A cursor that does not fit is [ErrCursor].
func (q Query[T]) Page(ctx context.Context) (Page[T], error) {
	var page Page[T]
	if err := q.checkRead("Page"); err != nil {
		return page, err
	}
	t := q.repo.t
	if !q.limited || q.limit == 0 {
		return page, t.misuse("Page without a Limit has no end; add Limit(50)")
	}
	order, err := q.totalOrder()
	if err != nil {
		return page, t.wrap(err)
	}
	sign := signature(t, order)
	var position []*node
	if q.cursor != "" {
		values, err := decodeCursor(q.cursor, sign, order)
		if err != nil {
			return page, &failure{"repo: " + t.name + ": the cursor was changed or belongs to another order; begin again without one", err}
		}
		position = []*node{behind(order, values, q.backwards)}
	}
	q.order = order
	if q.backwards {
		q.order = reversed(order)
	}
	ask := max(q.limit, q.limit+1) // nothing is more than the greatest int
	text, args, err := q.selection("Page", ask, position...)
	if err != nil {
		return page, err
	}
	if page.Rows, err = q.repo.fetch(ctx, text, args, ask); err != nil {
		return Page[T]{}, err
	}
	more := len(page.Rows) > q.limit
	if more {
		clear(page.Rows[q.limit:])
		page.Rows = page.Rows[:q.limit]
	}
	if q.backwards {
		slices.Reverse(page.Rows)
	}
	return page, q.cursors(&page, more, sign)
}

// cursors completes a page. There are rows beyond the end that was read towards
// if there are more, and beyond the other one if there was a cursor.
func (q Query[T]) cursors(page *Page[T], more bool, sign string) (err error) {
	if len(page.Rows) == 0 {
		return nil
	}
	next, prev := more, q.cursor != ""
	if q.backwards {
		next, prev = prev, next
	}
	if next {
		page.Next, err = encodeCursor(&page.Rows[len(page.Rows)-1], sign, q.order)
	}
	if prev && err == nil {
		page.Prev, err = encodeCursor(&page.Rows[0], sign, q.order)
	}
	if again := page.Prev; q.cursor != "" && err == nil {
		if q.backwards {
			again = page.Next
		}
		if again == q.cursor {
			err = errInexact
		}
	}
	if err != nil {
		*page = Page[T]{}
	}
	return q.repo.t.wrap(err)
}

// errInexact says that a row comes after itself: what was read of it is not what the
// database compares.
var errInexact = errors.New("Page: the row of the cursor comes again, so a column of the order is read less exactly than it is stored, as a numeric into a float64 or a double precision into a float32 may be; read it into a type that holds it, or sort by another one")

// totalOrder returns the order with the key at its end: in the direction of the
// column before, so that one index can serve both.
func (q Query[T]) totalOrder() ([]Order[T], error) {
	order := slices.Clone(q.order)
	for _, o := range order {
		switch {
		case o.f == nil:
			return nil, errZeroColumn
		case o.f.nullable:
			return nil, fmt.Errorf("Page: column %s can be NULL (%s), which has no place in an order of pages; sort by a column that cannot, or declare the field so", o.f.name, o.f.typ)
		case o.f.opts.has(optJSON):
			return nil, fmt.Errorf("Page: column %s is JSON; sort by another one", o.f.name)
		}
	}
	desc := len(order) > 0 && order[len(order)-1].desc
	for _, key := range q.repo.t.meta.keys {
		if !slices.ContainsFunc(order, func(o Order[T]) bool { return o.f == key }) {
			order = append(order, Order[T]{f: key, desc: desc})
		}
	}
	return order, nil
}

func reversed[T any](order []Order[T]) []Order[T] {
	out := make([]Order[T], len(order))
	for i, o := range order {
		out[i] = Order[T]{f: o.f, desc: !o.desc}
	}
	return out
}

// behind returns the condition that a row comes after (before) the one with these
// values.
func behind[T any](order []Order[T], values []any, backwards bool) *node {
	operator := func(o Order[T]) string {
		if o.desc != backwards {
			return " < "
		}
		return " > "
	}
	uniform := !slices.ContainsFunc(order, func(o Order[T]) bool { return o.desc != order[0].desc })
	if uniform && len(order) > 1 {
		row := &more{args: values}
		for _, o := range order {
			row.kids = append(row.kids, &node{f: o.f})
		}
		return &node{kind: beyond, op: operator(order[0]), more: row}
	}
	// a > $1 or a = $1 and (b < $2 or b = $2 and (…)), from the inside out
	var cond *node
	for i, o := range slices.Backward(order) {
		is := func(op string) *node { return &node{kind: compare, f: o.f, op: op, arg: values[i]} }
		further := is(operator(o))
		if cond == nil {
			cond = further
			continue
		}
		cond = &node{kind: some, more: &more{kids: []*node{further, {kind: all, more: &more{kids: []*node{is(" = "), cond}}}}}}
	}
	if len(order) > 1 { // implied, but an index can use it
		bound := &node{kind: compare, f: order[0].f, op: operator(order[0])[:2] + "= ", arg: values[0]}
		cond = &node{kind: all, more: &more{kids: []*node{bound, cond}}}
	}
	return cond
}

// encodeCursor returns the cursor of a row. The order may be that of the pages
// or its reverse: the columns are the same.
func encodeCursor[T any](row *T, sign string, order []Order[T]) (string, error) {
	v := reflect.ValueOf(row).Elem()
	values := make([]reflect.Value, len(order))
	for i, o := range order {
		if values[i] = o.f.value(v); !values[i].IsValid() {
			return "", fmt.Errorf("Page: column %s lies in a struct that is nil", o.f.name)
		}
	}
	return sealCursor(sign, values)
}

// decodeCursor returns the values of a cursor as arguments.
func decodeCursor[T any](cursor, sign string, order []Order[T]) ([]any, error) {
	types := make([]reflect.Type, len(order))
	for i, o := range order {
		types[i] = o.f.typ
	}
	return openCursor(cursor, sign, types)
}
