package repo

import (
	"fmt"
	"slices"
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

// statement returns a statement to write, in memory that build gives back.
func (t *table) statement(v verb) *statement {
	w, ok := t.statements.Get().(*statement)
	if !ok {
		w = &statement{shape: make([]byte, 0, 512), args: make([]any, 0, 16)}
	}
	w.shape = append(w.shape, byte(v))
	return w
}

func (w *statement) text(pieces ...string) {
	for _, s := range pieces {
		w.shape = append(w.shape, s...)
	}
}

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

// build returns the text and the arguments, or why there are none, and ends the
// life of w.
func (w *statement) build(t *table) (text string, args []any, err error) {
	switch {
	case w.err != nil:
		err = t.wrap(w.err)
	case len(w.args) > maxParams:
		err = t.misuse("%d arguments, of which a statement takes %d; pass values as an array: In, or any($1)", len(w.args), maxParams)
	default:
		text, args = t.text(w.shape), slices.Clone(w.args)
	}
	clear(w.args)
	if cap(w.shape) <= maxTextKey && cap(w.args) <= maxTextKey/16 {
		*w = statement{shape: w.shape[:0], args: w.args[:0]}
		t.statements.Put(w)
	}
	return text, args, err
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
	verbInsert // followed by a mark for each auto column, see writeRow
	verbUpsert // likewise
	verbUpsertMarked
	verbInsertAll
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
	case verbInsert, verbInsertAll:
		return "insert into " + t.ref, " returning " + t.meta.columns
	case verbUpsert:
		return "insert into " + t.ref + " as t", " returning " + t.meta.columns + ", t.xmax = 0"
	case verbUpsertMarked:
		return "insert into " + t.ref + " as t", " returning " + t.meta.columns + ", current_setting('pgdbm.updated', true) is distinct from $1"
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
	v, rest := verb(shape[0]), shape[1:]
	head, tail := t.head(v)
	if v == verbInsert || v == verbUpsert || v == verbUpsertMarked {
		marks, before := rest[:len(t.meta.autos)], 0
		if rest = rest[len(marks):]; v == verbUpsertMarked {
			before = 1 // see markUpdate
		}
		head += t.row(marks, before)
	}
	s := head + string(rest) + tail
	t.texts.put(string(shape), s)
	return s
}
