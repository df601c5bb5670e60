package repo

import "fmt"

// node is a node of a tree of conditions. What few of them have is kept apart:
// queries are made of nodes for every statement.
type node struct {
	kind nodeKind
	f    *field
	op   string // between the column and the argument
	arg  any
	more *more
}

// more is the rest of a node.
type more struct {
	tail  string // after the last argument
	args  []any
	kids  []*node
	frag  *fragment
	cause error
}

type nodeKind uint8

const (
	compare nodeKind = iota // column op $1
	among                   // column op($1)
	between                 // column op $1 and $2
	suffix                  // column op $1 tail
	postfix                 // column op
	all                     // kids joined by and
	some                    // kids joined by or
	negate                  // not kid
	source                  // a fragment
	beyond                  // (columns of kids) op (args)
	invalid                 // cause
)

func (n *node) write(w *statement) {
	if n == nil {
		w.fail(fmt.Errorf("a zero Condition; write repo.And[T]() for one that every row meets"))
		return
	}
	switch n.kind {
	case compare:
		w.text(n.f.quoted, n.op)
		w.arg(n.arg)
	case among:
		w.text(n.f.quoted, n.op, "(")
		w.arg(n.arg)
		w.text(")")
	case between:
		w.text(n.f.quoted, n.op)
		w.arg(n.arg)
		w.text(" and ")
		w.arg(n.more.args[0])
	case suffix:
		w.text(n.f.quoted, n.op)
		w.arg(n.arg)
		w.text(n.more.tail)
	case postfix:
		w.text(n.f.quoted, n.op)
	case all:
		join(w, n.more.kids, " and ", "true")
	case some:
		join(w, n.more.kids, " or ", "false")
	case negate:
		w.text("not (")
		n.more.kids[0].write(w)
		w.text(")")
	case source:
		n.more.frag.write(w, n.more.args)
	case beyond:
		for i, kid := range n.more.kids {
			w.text(separator(i, "("), kid.f.quoted)
		}
		w.text(")", n.op)
		for i, arg := range n.more.args {
			w.text(separator(i, "("))
			w.arg(arg)
		}
		w.text(")")
	case invalid:
		w.fail(n.more.cause)
	}
}

// join writes nodes in parentheses, so that it does not matter what they are.
func join(w *statement, kids []*node, operator, none string) {
	switch len(kids) {
	case 0:
		w.text(none)
		return
	case 1:
		kids[0].write(w)
		return
	}
	for i, kid := range kids {
		if i > 0 {
			w.text(operator)
		}
		if kid != nil && (kid.kind == postfix || kid.kind == compare || kid.kind == among || kid.kind == suffix) {
			kid.write(w)
			continue
		}
		w.text("(")
		kid.write(w)
		w.text(")")
	}
}
