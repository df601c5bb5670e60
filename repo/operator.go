package repo

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// Operators of some types only are functions, so that a column of another type
// does not compile: methods cannot narrow the type of their column.

// Text are the types that [Like] compares.
type Text interface {
	~string | ~*string | sql.NullString | pgtype.Text
}

// Like is column LIKE pattern: % stands for any text, _ for one character, and a
// backslash before either for itself. For text of a user's see [EscapeLike].
func Like[T any, V Text](c Column[T, V], pattern string) Condition[T] {
	return c.operator(" like ", "", pattern)
}

// ILike is Like in any case.
func ILike[T any, V Text](c Column[T, V], pattern string) Condition[T] {
	return c.operator(" ilike ", "", pattern)
}

// EscapeLike returns a pattern for [Like] that stands for the text itself:
//
//	repo.ILike(name, "%"+repo.EscapeLike(input)+"%")
func EscapeLike(text string) string { return likeEscapes.Replace(text) }

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// HasPrefix is true of rows whose column begins with the text, whatever is in it.
func HasPrefix[T any, V Text](c Column[T, V], text string) Condition[T] {
	return Like(c, EscapeLike(text)+"%")
}

// Contains is true of rows whose column has the text somewhere, whatever is in it.
func Contains[T any, V Text](c Column[T, V], text string) Condition[T] {
	return Like(c, "%"+EscapeLike(text)+"%")
}

// Document are the types that [Search] searches.
type Document interface{ Text | pgtype.TSVector }

// Search is true of rows whose column matches a query as people type it into a
// search box: words, "phrases", or, -not. No query is an error. config names
// the text search configuration, such as "english" or "simple".
//
// A column of texts is searched by an index on to_tsvector('english', column), one
// of type tsvector by an index on itself. For a column that the struct does not
// have there is [SQL]:
//
//	repo.SQL[Post]("search @@ websearch_to_tsquery('english', $1)", input)
func Search[T any, V Document](c Column[T, V], config, query string) Condition[T] {
	if c.f == nil {
		return fail[T](errZeroColumn)
	}
	if slices.ContainsFunc(strings.Split(config, "."), func(name string) bool { return !sqltmpl.ValidName(name) }) {
		return fail[T](fmt.Errorf(`Search: %q does not name a text search configuration; write "english" or "simple"`, config))
	}
	// A constant, not an argument: only so does the planner find the index.
	config = "'" + config + "'"
	document := c.f.quoted
	if reflect.TypeFor[V]() != reflect.TypeFor[pgtype.TSVector]() {
		document = "to_tsvector(" + config + ", " + document + ")"
	}
	return function[T](document+" @@ websearch_to_tsquery("+config+", ", ")", query)
}

// ContainsAll is true of rows whose array has all of the values: column @> $1.
func ContainsAll[T any, S ~[]E, E any](c Column[T, S], values ...E) Condition[T] {
	return arrayOperator(c, "ContainsAll", " @> ", values)
}

// ContainsAny is true of rows whose array has one of the values: column && $1.
func ContainsAny[T any, S ~[]E, E any](c Column[T, S], values ...E) Condition[T] {
	return arrayOperator(c, "ContainsAny", " && ", values)
}

func arrayOperator[T any, S ~[]E, E any](c Column[T, S], name, op string, values []E) Condition[T] {
	switch {
	case c.f == nil:
		return fail[T](errZeroColumn)
	case c.f.opts.has(optJSON):
		return fail[T](fmt.Errorf("%s: column %s is JSON; use JSONContains", name, c.f.name))
	case c.f.typ.Elem().Kind() == reflect.Uint8:
		return fail[T](fmt.Errorf("%s: column %s (%s) is no array", name, c.f.name, c.f.typ))
	}
	return c.operator(op, "", plain(append(S{}, values...)))
}

// RangeContains is true of rows whose range has the value: column @> $1.
func RangeContains[T, E any](c Column[T, pgtype.Range[E]], value E) Condition[T] {
	// As a range: PostgreSQL takes an argument of no known type for one.
	return c.operator(" @> ", "", pgtype.Range[E]{
		Lower: value, Upper: value, LowerType: pgtype.Inclusive, UpperType: pgtype.Inclusive, Valid: true,
	})
}

// RangeOverlaps is true of rows whose range has a value in common with another
// one: column && $1.
func RangeOverlaps[T, E any](c Column[T, pgtype.Range[E]], other pgtype.Range[E]) Condition[T] {
	return c.operator(" && ", "", other)
}

// RangeWithin is true of rows whose range lies in another one: column <@ $1.
func RangeWithin[T, E any](c Column[T, pgtype.Range[E]], other pgtype.Range[E]) Condition[T] {
	return c.operator(" <@ ", "", other)
}

// JSONContains is true of rows whose column, tagged json, has everything that v has
// as JSON, at the same places: column @> $1.
//
//	repo.JSONContains(settings, map[string]any{"theme": "dark"})
func JSONContains[T, V any](c Column[T, V], v any) Condition[T] {
	if err := c.checkJSON("JSONContains"); err != nil {
		return fail[T](err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fail[T](fmt.Errorf("JSONContains: column %s: %w", c.f.name, err))
	}
	return c.operator("::jsonb @> ", "::jsonb", string(text))
}

// JSONHasKeys is true of rows whose column, tagged json, is an object with all of
// the keys, or an array with all of these strings.
func JSONHasKeys[T, V any](c Column[T, V], keys ...string) Condition[T] {
	if err := c.checkJSON("JSONHasKeys"); err != nil {
		return fail[T](err)
	}
	return c.operator("::jsonb ?& ", "::text[]", append([]string{}, keys...))
}

// JSONPath is true of rows in whose column, tagged json, a path finds something. In
// a document that it does not fit, such as one without a key that a strict path
// names, it finds nothing.
// Values from outside belong into vars, never into the path:
//
//	repo.JSONPath(settings, `$.limits[*] ? (@ > $max)`, map[string]any{"max": 10})
//
// Without vars (nil) an index on the column can serve it.
func JSONPath[T, V any](c Column[T, V], path string, vars map[string]any) Condition[T] {
	if err := c.checkJSON("JSONPath"); err != nil {
		return fail[T](err)
	}
	if vars == nil {
		return c.operator("::jsonb @? ", "::jsonpath", path)
	}
	text, err := json.Marshal(vars)
	if err != nil {
		return fail[T](fmt.Errorf("JSONPath: column %s: %w", c.f.name, err))
	}
	frag := &fragment{
		// silent: as @? is, a path that does not fit a document finds nothing in it
		parts: []string{"jsonb_path_exists(" + c.f.quoted + "::jsonb, ", "::jsonpath, ", "::jsonb, true)"}, params: []int{1, 2}, count: 2,
	}
	return Condition[T]{&node{kind: source, more: &more{frag: frag, args: []any{path, string(text)}}}}
}

func (c Column[T, V]) checkJSON(name string) error {
	switch {
	case c.f == nil:
		return errZeroColumn
	case !c.f.opts.has(optJSON):
		return fmt.Errorf("%s: column %s (%s) is not tagged json", name, c.f.name, c.f.typ)
	}
	return nil
}

// operator is column op $1 tail.
func (c Column[T, V]) operator(op, tail string, arg any) Condition[T] {
	if c.f == nil {
		return fail[T](errZeroColumn)
	}
	if tail == "" {
		return Condition[T]{&node{kind: compare, f: c.f, op: op, arg: arg}}
	}
	return Condition[T]{&node{kind: suffix, f: c.f, op: op, arg: arg, more: &more{tail: tail}}}
}

// function is before $1 after.
func function[T any](before, after string, arg any) Condition[T] {
	frag := &fragment{parts: []string{before, after}, params: []int{1}, count: 1}
	return Condition[T]{&node{kind: source, more: &more{frag: frag, args: []any{arg}}}}
}
