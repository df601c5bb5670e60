package repo

import (
	"database/sql/driver"
	"fmt"
	"reflect"
)

// Condition is a condition on rows of T's table: an immutable value, safe for
// concurrent use. Its zero value is refused: see [And] for one that every row
// meets.
type Condition[T any] struct {
	n *node
}

// Eq is column = v; IS NULL when v is nil, or a value that stands for NULL such
// as an invalid sql.NullString.
func (c Column[T, V]) Eq(v V) Condition[T] { return c.equal(" = ", " is null", v) }

// Ne is column <> v, which is not true of NULL; IS NOT NULL when v is nil.
func (c Column[T, V]) Ne(v V) Condition[T] { return c.equal(" <> ", " is not null", v) }

// IsDistinctFrom is Ne for which NULL is a value like others: true of NULL unless
// v is nil.
func (c Column[T, V]) IsDistinctFrom(v V) Condition[T] {
	return c.equal(" is distinct from ", " is not null", v)
}

// IsNotDistinctFrom is Eq for which NULL is a value like others: never NULL
// itself, so that Not of it is IsDistinctFrom. An index serves Eq only.
func (c Column[T, V]) IsNotDistinctFrom(v V) Condition[T] {
	return c.equal(" is not distinct from ", " is null", v)
}

// Lt is column < v.
func (c Column[T, V]) Lt(v V) Condition[T] { return c.order("Lt", " < ", v) }

// Le is column <= v.
func (c Column[T, V]) Le(v V) Condition[T] { return c.order("Le", " <= ", v) }

// Gt is column > v.
func (c Column[T, V]) Gt(v V) Condition[T] { return c.order("Gt", " > ", v) }

// Ge is column >= v.
func (c Column[T, V]) Ge(v V) Condition[T] { return c.order("Ge", " >= ", v) }

// Between is column between from and to, both included.
func (c Column[T, V]) Between(from, to V) Condition[T] {
	low := c.order("Between", " between ", from)
	high := c.order("Between", " between ", to)
	if low.n.kind == invalid {
		return low
	}
	if high.n.kind == invalid {
		return high
	}
	low.n.kind, low.n.more = between, &more{args: []any{high.n.arg}}
	return low
}

// IsNull is column IS NULL.
func (c Column[T, V]) IsNull() Condition[T] { return c.postfix(" is null") }

// IsNotNull is column IS NOT NULL.
func (c Column[T, V]) IsNotNull() Condition[T] { return c.postfix(" is not null") }

// In is true of rows whose column has one of the values; of none without values.
// A nil among them stands for NULL. However many there are, they are one
// argument: column = any($1).
func (c Column[T, V]) In(values ...V) Condition[T] {
	array, null, err := c.array(values)
	if err != nil {
		return fail[T](err)
	}
	in := Condition[T]{&node{kind: among, f: c.f, op: " = any", arg: array}}
	if null {
		return Or(in, c.IsNull())
	}
	return in
}

// NotIn is true of rows whose column has none of the values; of all rows without
// values. NULL is excluded if there is a nil among the values, and as in SQL if
// there is any value.
func (c Column[T, V]) NotIn(values ...V) Condition[T] {
	array, null, err := c.array(values)
	if err != nil {
		return fail[T](err)
	}
	notIn := Condition[T]{&node{kind: among, f: c.f, op: " <> all", arg: array}}
	if null {
		return And(notIn, c.IsNotNull())
	}
	return notIn
}

// array returns values as one argument without those that stand for NULL, and
// whether there were any.
func (c Column[T, V]) array(values []V) (array any, null bool, err error) {
	if c.f == nil {
		return nil, false, errZeroColumn
	}
	typ := c.f.typ
	if isArray(typ) && !c.f.opts.has(optJSON) {
		return nil, false, fmt.Errorf("In and NotIn: column %s (%s) is an array, and any($1) looks into arrays; write repo.Or(column.Eq(a), column.Eq(b)), or repo.Not of that", c.f.name, typ)
	}
	if reflect.TypeFor[V]() == typ && !c.f.opts.has(optJSON) && !c.f.nullable && !typ.Implements(valuerType) {
		return plain(append([]V{}, values...)), false, nil // a copy: the caller may go on using his
	}
	if c.f.opts.has(optJSON) {
		typ = reflect.TypeFor[string]()
	}
	out := reflect.MakeSlice(reflect.SliceOf(typ), 0, len(values))
	texts := make([]string, 0, len(values))
	for _, v := range values {
		arg, err := c.owned(v)
		if err != nil {
			return nil, false, err
		}
		if isNull(arg) {
			null = true
			continue
		}
		if valuer, ok := arg.(driver.Valuer); ok { // text works whatever pgx knows of the type
			value, err := valuer.Value()
			if err != nil {
				return nil, false, fmt.Errorf("column %s: %w", c.f.name, err)
			}
			if s, ok := value.(string); ok {
				texts = append(texts, s)
			}
		}
		out = reflect.Append(out, reflect.ValueOf(arg))
	}
	if len(texts) == out.Len() {
		return texts, null, nil
	}
	return plain(out.Interface()), null, nil
}

func (c Column[T, V]) equal(op, null string, v V) Condition[T] {
	arg, err := c.owned(v)
	if err != nil {
		return fail[T](err)
	}
	if isNull(arg) {
		return c.postfix(null)
	}
	return Condition[T]{&node{kind: compare, f: c.f, op: op, arg: arg}}
}

func (c Column[T, V]) order(name, op string, v V) Condition[T] {
	arg, err := c.owned(v)
	if err == nil && isNull(arg) {
		err = fmt.Errorf("%s.%s(nil) is never true in SQL; use IsNull or IsNotNull", c.f.name, name)
	}
	if err != nil {
		return fail[T](err)
	}
	return Condition[T]{&node{kind: compare, f: c.f, op: op, arg: arg}}
}

// owned is value for a condition, which is what it is when it is made: whoever passed
// a slice may go on using it.
func (c Column[T, V]) owned(v V) (any, error) {
	arg, err := c.value(v)
	if err == nil && c.f.typ.Kind() == reflect.Slice && !isNull(arg) {
		if slice := reflect.ValueOf(arg); slice.Kind() == reflect.Slice {
			arg = reflect.AppendSlice(reflect.MakeSlice(slice.Type(), 0, slice.Len()), slice).Interface()
		}
	}
	return arg, err
}

func (c Column[T, V]) postfix(op string) Condition[T] {
	if c.f == nil {
		return fail[T](errZeroColumn)
	}
	return Condition[T]{&node{kind: postfix, f: c.f, op: op}}
}

func fail[T any](err error) Condition[T] {
	return Condition[T]{&node{kind: invalid, more: &more{cause: err}}}
}

// And is true when all conditions are; without any, of every row.
func And[T any](conditions ...Condition[T]) Condition[T] {
	return Condition[T]{&node{kind: all, more: &more{kids: nodes(conditions)}}}
}

// Or is true when one of the conditions is; without any, of no row.
func Or[T any](conditions ...Condition[T]) Condition[T] {
	return Condition[T]{&node{kind: some, more: &more{kids: nodes(conditions)}}}
}

// Not is true when the condition is false. (In SQL a comparison with NULL is
// neither true nor false.)
func Not[T any](condition Condition[T]) Condition[T] {
	return Condition[T]{&node{kind: negate, more: &more{kids: []*node{condition.n}}}}
}

func nodes[T any](conditions []Condition[T]) []*node {
	out := make([]*node, len(conditions))
	for i, c := range conditions {
		out[i] = c.n
	}
	return out
}
