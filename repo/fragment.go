package repo

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// SQL is a condition in SQL, for what columns cannot say:
//
//	repo.SQL[User]("lower(email) = lower($1)", name)
//
// Its placeholders count from $1; they are renumbered where the condition ends up.
// Slices are arrays: "tag = any($1)". Templates such as {{tables.t}} may be used.
// The text belongs to the program: never build it from input.
//
// A text that is not one complete expression is an error of the method that runs
// the query: an unclosed string or parenthesis, a semicolon, an argument too many
// or too few.
func SQL[T any](text string, args ...any) Condition[T] {
	frag, err := metaOf(reflect.TypeFor[T]()).fragment(text)
	if err == nil {
		err = frag.checkArgs(args)
	}
	if err != nil {
		return fail[T](fmt.Errorf("SQL %q: %w", text, err))
	}
	return Condition[T]{&node{kind: source, more: &more{frag: frag, args: append([]any(nil), args...)}}}
}

// fragment is a piece of SQL, cut at its placeholders.
type fragment struct {
	parts  []string // of the text around the placeholders: one more than params
	params []int    // numbers, from 1
	count  int      // the greatest of them
}

// fragment parses a text, or remembers it.
func (m *meta) fragment(text string) (*fragment, error) {
	if f, ok := m.fragments.get([]byte(text)); ok {
		return f, nil
	}
	f, err := parseFragment(text)
	if err == nil {
		m.fragments.put(text, f)
	}
	return f, err
}

func parseFragment(text string) (*fragment, error) {
	var (
		f    = &fragment{}
		part strings.Builder
		open []string
		used = map[int]bool{}
		some bool
	)
	for t := range sqllex.Tokens(text) {
		if t.Open {
			return nil, fmt.Errorf("%q is never closed", t.Text)
		}
		switch {
		case t.Trivia():
			part.WriteByte(' ') // a comment could swallow what follows the fragment
			continue
		case t.Kind == sqllex.Param:
			n, err := strconv.Atoi(t.Text[1:])
			if err != nil || n < 1 || n > maxParams {
				return nil, fmt.Errorf("%s is not a placeholder: they count from $1", t.Text)
			}
			f.parts, f.params = append(f.parts, part.String()), append(f.params, n)
			f.count = max(f.count, n)
			used[n] = true
			part.Reset()
			some = true
			continue
		case t.Is("("), t.Is("["):
			open = append(open, t.Text)
		case t.Is(")"), t.Is("]"):
			if len(open) == 0 || open[len(open)-1] != opening[t.Text] {
				return nil, fmt.Errorf("%q at offset %d closes nothing", t.Text, t.Offset)
			}
			open = open[:len(open)-1]
		case t.Is(";"), t.Is(",") && len(open) == 0:
			return nil, fmt.Errorf("%q at offset %d: a fragment is one expression", t.Text, t.Offset)
		}
		part.WriteString(t.Text)
		some = true
	}
	switch {
	case len(open) > 0:
		return nil, fmt.Errorf("%q is never closed", open[len(open)-1])
	case !some:
		return nil, errors.New("is empty")
	case len(used) != f.count:
		return nil, fmt.Errorf("$%d is used but not every placeholder before it", f.count)
	}
	f.parts = append(f.parts, part.String())
	return f, nil
}

var opening = map[string]string{")": "(", "]": "["}

func (f *fragment) checkArgs(args []any) error {
	if len(args) != f.count {
		return fmt.Errorf("%d placeholders but %d arguments", f.count, len(args))
	}
	for i, arg := range args {
		switch arg.(type) {
		case pgx.QueryRewriter, pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID: // pgx keeps it, and what is left is out of step
			return fmt.Errorf("argument %d is a %T, which is an instruction to pgx and no value; write $1, $2 and their values in this order", i+1, arg)
		}
	}
	return nil
}

// write adds the fragment to a statement: $1 becomes the next free number.
func (f *fragment) write(w *statement, args []any) {
	before := len(w.args)
	w.args = append(w.args, args...)
	for i, n := range f.params {
		w.text(f.parts[i])
		w.placeholder(before + n)
	}
	w.text(f.parts[len(f.parts)-1])
}
