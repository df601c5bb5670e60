package repo

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/internal/rowscan"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Aggregate is a value of type V made of many rows of T's table: of those of a
// query with [Aggregate.Of], of those of each group with [GroupBy]. It is an
// immutable value, safe for concurrent use.
type Aggregate[T, V any] struct {
	f        *field
	function string
	distinct bool
	name     string // of the result; the function's if empty
}

// Count is the number of rows whose column is not NULL. [Query.Count] counts rows.
func Count[T, V any](c Column[T, V]) Aggregate[T, int64] {
	return Aggregate[T, int64]{f: c.f, function: "count"}
}

// Summable are the types that [Sum] adds up: numbers, and pointers to them for
// columns that can be NULL.
type Summable interface {
	Number | ~*int | ~*int16 | ~*int32 | ~*int64 | ~*float32 | ~*float64
}

// Sum is the sum of the values; 0 if there are none. One too large for V, or for a
// bigint, is an error.
func Sum[T any, V Summable](c Column[T, V]) Aggregate[T, V] {
	return Aggregate[T, V]{f: c.f, function: "sum"}
}

// Avg is the average of the values: of numbers, not of intervals.
func Avg[T any, V Summable](c Column[T, V]) Aggregate[T, float64] {
	return Aggregate[T, float64]{f: c.f, function: "avg"}
}

// Min is the smallest value.
func Min[T, V any](c Column[T, V]) Aggregate[T, V] {
	return Aggregate[T, V]{f: c.f, function: "min"}
}

// Max is the greatest value.
func Max[T, V any](c Column[T, V]) Aggregate[T, V] {
	return Aggregate[T, V]{f: c.f, function: "max"}
}

// Distinct makes the aggregate look at equal values once.
func (a Aggregate[T, V]) Distinct() Aggregate[T, V] { a.distinct = true; return a }

// As names the column of the result in [GroupBy]. Without it the name is that of
// the function: count, sum, avg, min or max.
func (a Aggregate[T, V]) As(name string) Aggregate[T, V] { a.name = name; return a }

// Asc sorts groups by the aggregate, smallest first.
func (a Aggregate[T, V]) Asc() Order[T] { return Order[T]{f: a.f, expr: a.sql()} }

// Desc sorts groups by the aggregate, greatest first.
func (a Aggregate[T, V]) Desc() Order[T] { return Order[T]{f: a.f, expr: a.sql(), desc: true} }

// Of returns the aggregate of the rows of a query, of those that All would return:
//
//	total, err := repo.Sum(amount).Of(ctx, orders.Where(customer.Eq(7)))
//
// [pgdbm.ErrNotFound] says that there is none: Avg, Min and Max need a value.
func (a Aggregate[T, V]) Of(ctx context.Context, q Query[T]) (V, error) {
	var zero V
	if err := q.checkTogether("Of"); err != nil {
		return zero, err
	}
	t := q.repo.t
	if a.f == nil {
		return zero, t.wrap(errZeroColumn)
	}
	w := t.statement(verbGroup)
	w.text(a.sql())
	w.text(" from ")
	if q.limited {
		w.text("(select " + a.f.quoted + " from ")
	}
	w.text(t.ref)
	q.writeWhere(w)
	if q.limited {
		writeOrder(w, q.order)
		writeLimit(w, q.limit)
		w.text(") rows")
	}
	text, args, err := w.build(t)
	if err != nil {
		return zero, err
	}
	var value *V
	if err := q.repo.db.QueryRow(ctx, text, args...).Scan(&value); err != nil {
		return zero, t.wrap(err)
	}
	if value == nil {
		return zero, t.absent(q.repo.db, pgdbm.ErrNotFound, "")
	}
	return *value, nil
}

// sql returns the expression.
func (a Aggregate[T, V]) sql() string {
	if a.f == nil {
		return ""
	}
	column := a.f.quoted
	if a.distinct {
		column = "distinct " + column
	}
	switch {
	case a.function == "count" && !a.distinct && !a.f.nullable && !a.f.pointers:
		return "count(*)" // which asks no row for its column
	case a.function == "sum":
		return "coalesce(sum(" + column + "), '0')" + sumCast(a.f.typ)
	case a.function == "avg":
		return "avg(" + column + ")::float8"
	}
	return a.function + "(" + column + ")"
}

// sumCast returns the cast that takes a sum back to what Go scans: that of
// bigints is a numeric.
func sumCast(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Duration](), t == reflect.TypeFor[pgtype.Numeric]():
		return ""
	case t.Kind() == reflect.Float32, t.Kind() == reflect.Float64:
		return "::float8"
	}
	return "::bigint"
}

// Grouping is a part of [GroupBy]: a [Column], by which the rows are grouped, or an
// [Aggregate] of each group, both of which are parts of the result; or [Having].
type Grouping[T any] interface {
	grouping(*T) grouping
}

type grouping struct {
	f      *field
	expr   string // of an aggregate
	name   string
	having *node
}

func (c Column[T, V]) grouping(*T) grouping { return grouping{f: c.f} }

func (a Aggregate[T, V]) grouping(*T) grouping {
	if a.name == "" {
		a.name = a.function
	}
	return grouping{f: a.f, expr: a.sql(), name: a.name}
}

// GroupBy groups the rows of a query by the columns among parts, and returns a Row
// for each group: a struct with a field for each part, as in [pgdbm.FetchAll].
//
//	type perCity struct {
//		City  string
//		Count int64
//		Total int
//	}
//	list, err := repo.GroupBy[perCity](ctx, customers.Where(age.Ge(18)).OrderBy(repo.Sum(credit).Desc()).Limit(10),
//		city, repo.Count(id), repo.Sum(credit).As("total"))
//
// The query's order is that of the groups, its limit bounds their number, [Having]
// leaves some out. Without a column all rows are one group.
func GroupBy[Row, T any](ctx context.Context, q Query[T], parts ...Grouping[T]) ([]Row, error) {
	if err := q.checkTogether("GroupBy"); err != nil {
		return nil, err
	}
	t := q.repo.t
	var (
		keys    []*field
		havings []*node
		results int
	)
	w := t.statement(verbGroup)
	for i, part := range parts {
		if part == nil {
			return nil, t.misuse("GroupBy: part %d is nil; give a column or an aggregate", i+1)
		}
		g := part.grouping(nil)
		switch {
		case g.having != nil:
			havings = append(havings, g.having)
			continue
		case g.f == nil:
			return nil, t.wrap(errZeroColumn)
		case g.expr != "":
			w.text(separator(results, "") + g.expr + " as " + quote(g.name))
		default:
			keys = append(keys, g.f)
			w.text(separator(results, "") + g.f.quoted)
		}
		results++
	}
	if results == 0 {
		return nil, t.misuse("GroupBy without columns and aggregates has nothing to return")
	}
	w.text(" from " + t.ref)
	q.writeWhere(w)
	for i, key := range keys {
		w.text(separator(i, " group by ") + key.quoted)
	}
	if len(havings) > 0 {
		w.text(" having ")
		join(w, havings, " and ", "")
	}
	for _, o := range q.order {
		if o.expr == "" && o.f != nil && !slices.Contains(keys, o.f) {
			return nil, t.misuse("GroupBy cannot sort by %s, which has many values in a group; add the column to the parts, or sort by an aggregate: repo.Max(%[1]s).Desc()", o.f.name)
		}
	}
	writeOrder(w, q.order)
	if q.limited {
		writeLimit(w, q.limit)
	}
	text, args, err := w.build(t)
	if err != nil {
		return nil, err
	}
	rows, err := q.repo.db.Query(ctx, text, args...)
	if err != nil {
		return nil, t.wrap(err)
	}
	defer rows.Close()
	out := make([]Row, 0, min(q.limit, maxPresize))
	scanner := rowscan.New[Row](rows)
	for rows.Next() {
		row, err := scanner.Scan()
		if err != nil {
			return nil, t.wrap(pgdbm.Classify(err))
		}
		out = append(out, row)
	}
	return out, t.wrap(rows.Err())
}

// checkTogether reports what is wrong with a query whose rows are taken together.
func (q Query[T]) checkTogether(method string) error {
	if err := q.check(); err != nil {
		return err
	}
	switch {
	case q.paged:
		return q.repo.t.misuse("%s does not take After or Before; they belong to Page", method)
	case q.lock.mode != "":
		return q.repo.t.misuse("%s locks no rows; drop %s", method, q.lock.name)
	case method != "GroupBy" && slices.ContainsFunc(q.order, func(o Order[T]) bool { return o.expr != "" }):
		return q.repo.t.misuse("%s: %s", method, errAggregateOrder)
	}
	return nil
}

var errAggregateOrder = fmt.Errorf("only GroupBy sorts by an aggregate; sort by a column")
