package repo

import (
	"fmt"
	"strings"
)

// Having is a part of [GroupBy] that leaves out the groups that do not meet all
// conditions: on their aggregates, on the columns by which they are grouped, or in
// [SQL]:
//
//	repo.GroupBy[perCity](ctx, customers.Where(), city, repo.Count(id), repo.Having(repo.Count(id).Ge(3)))
func Having[T any](conditions ...Condition[T]) Grouping[T] {
	return having[T]{&node{kind: all, more: &more{kids: nodes(conditions)}}}
}

type having[T any] struct{ n *node }

func (h having[T]) grouping(*T) grouping { return grouping{having: h.n} }

// Eq is aggregate = v, for [Having]; IS NULL when v is nil.
func (a Aggregate[T, V]) Eq(v V) Condition[T] { return a.compare("Eq", " = ", " is null", v) }

// Ne is aggregate <> v; IS NOT NULL when v is nil.
func (a Aggregate[T, V]) Ne(v V) Condition[T] { return a.compare("Ne", " <> ", " is not null", v) }

// Lt is aggregate < v.
func (a Aggregate[T, V]) Lt(v V) Condition[T] { return a.compare("Lt", " < ", "", v) }

// Le is aggregate <= v.
func (a Aggregate[T, V]) Le(v V) Condition[T] { return a.compare("Le", " <= ", "", v) }

// Gt is aggregate > v.
func (a Aggregate[T, V]) Gt(v V) Condition[T] { return a.compare("Gt", " > ", "", v) }

// Ge is aggregate >= v.
func (a Aggregate[T, V]) Ge(v V) Condition[T] { return a.compare("Ge", " >= ", "", v) }

// compare is aggregate op v, or aggregate null if v is nil and there is such a thing.
func (a Aggregate[T, V]) compare(name, op, null string, v V) Condition[T] {
	if a.f == nil {
		return fail[T](errZeroColumn)
	}
	if !isNull(v) {
		return function[T](a.sql()+op, "", plain(v))
	}
	if null == "" {
		aggregate := strings.ToUpper(a.function[:1]) + a.function[1:]
		return fail[T](fmt.Errorf("%s(%s).%s(nil) is never true in SQL; use Eq(nil) or Ne(nil)", aggregate, a.f.name, name))
	}
	return Condition[T]{&node{kind: source, more: &more{frag: &fragment{parts: []string{a.sql() + null}}}}}
}
