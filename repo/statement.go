package repo

import (
	"fmt"
	"strconv"
)

// maxParams is what the protocol allows in one statement.
const maxParams = 65535

// statement is a statement being written: what depends on its shape, and its
// arguments. The text for a shape is built once; see [table.text].
type statement struct {
	shape []byte
	args  []any
	err   error // the first
}

func newStatement(v verb) *statement {
	w := &statement{shape: make([]byte, 1, 192), args: make([]any, 0, 8)}
	w.shape[0] = byte(v)
	return w
}

func (w *statement) text(s string) { w.shape = append(w.shape, s...) }

// arg writes the next placeholder.
func (w *statement) arg(v any) {
	w.args = append(w.args, v)
	w.placeholder(len(w.args))
}

func (w *statement) placeholder(n int) {
	w.shape = append(w.shape, '$')
	w.shape = strconv.AppendInt(w.shape, int64(n), 10)
}

func (w *statement) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// build returns the text, or why there is none.
func (w *statement) build(t *table) (string, error) {
	if w.err != nil {
		return "", t.wrap(w.err)
	}
	if len(w.args) > maxParams {
		return "", t.misuse("%d arguments, of which a statement takes %d; pass values as an array: In, or any($1)", len(w.args), maxParams)
	}
	return t.text(w.shape), nil
}

// verb is how a statement begins: the part of its text that the rest of its
// shape does not show.
type verb byte

const (
	verbSelect verb = iota + 1
	verbCount
	verbCountSome
	verbExists
	verbUpdate
	verbDelete
	verbUpdateReturning
	verbDeleteReturning
	verbInsert
	verbUpsert
	verbUpsertAll
	verbGroup
)

// head returns the beginning and the end of a statement.
func (t *table) head(v verb) (string, string) {
	switch v {
	case verbSelect:
		return "select " + t.meta.columns + " from " + t.ref, ""
	case verbCount:
		return "select count(*) from " + t.ref, ""
	case verbCountSome:
		return "select count(*) from (select from " + t.ref, ") rows"
	case verbExists:
		return "select exists (select from " + t.ref, ")"
	case verbUpdate:
		return "update " + t.ref + " set ", ""
	case verbDelete:
		return "delete from " + t.ref, ""
	case verbUpdateReturning:
		return "update " + t.ref + " set ", " returning " + t.meta.columns
	case verbDeleteReturning:
		return "delete from " + t.ref, " returning " + t.meta.columns
	case verbInsert:
		return "insert into " + t.ref, " returning " + t.meta.columns
	case verbUpsert:
		return "insert into " + t.ref + " as t", " returning " + t.meta.columns + ", t.xmax = 0"
	case verbUpsertAll:
		return "insert into " + t.ref + " as t", ""
	case verbGroup:
		return "select ", ""
	default:
		panic(fmt.Sprintf("repo: verb %d", v)) // a mistake in this package
	}
}

// text returns the statement of a shape, built when it is first asked for.
func (t *table) text(shape []byte) string {
	if s, ok := t.texts.get(shape); ok {
		return s
	}
	head, tail := t.head(verb(shape[0]))
	s := head + string(shape[1:]) + tail
	t.texts.put(string(shape), s)
	return s
}
