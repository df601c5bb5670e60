package sqllex

import (
	"fmt"
	"strings"
)

// Statement is one SQL statement of a text.
type Statement struct {
	// Offset is where Text begins, in bytes.
	Offset int

	// Text is the statement without the white space and comments around it and
	// without its semicolon; comments inside it are kept.
	Text string
}

// Error is a text that cannot be divided into statements.
type Error struct {
	Offset int // in bytes, of the token that never ends
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("offset %d: %s", e.Offset, e.Reason) }

// Split divides sql into its statements, where the server's grammar would:
// at semicolons outside of parentheses (CREATE RULE … DO (a; b)) and outside of
// BEGIN ATOMIC … END bodies. Statements without a token are left out.
//
// The error is an [*Error]: a string, quoted identifier, comment, parenthesis
// or body that is never closed. The statements before it are returned with it.
func Split(sql string) ([]Statement, error) {
	var out []Statement
	s := newSplitter(nil)
	for t := range Tokens(sql) {
		if t.Open {
			return out, &Error{Offset: t.Offset, Reason: unclosed(t)}
		}
		if t.Trivia() {
			continue
		}
		if t.Is(";") && len(s.parens) == 0 && len(s.bodies) == 0 {
			if s.start >= 0 {
				out = append(out, Statement{Offset: s.start, Text: sql[s.start:s.end]})
			}
			s = newSplitter(s.parens)
			continue
		}
		s.add(t)
	}
	switch {
	case len(s.parens) > 0:
		return out, &Error{Offset: s.parens[0], Reason: "the parenthesis is never closed"}
	case len(s.bodies) > 0:
		return out, &Error{Offset: s.bodies[0], Reason: "BEGIN ATOMIC is never closed by END"}
	case s.start >= 0:
		out = append(out, Statement{Offset: s.start, Text: sql[s.start:s.end]})
	}
	return out, nil
}

func unclosed(t Token) string {
	switch {
	case t.Kind == BlockComment:
		return "the comment is never closed by */"
	case t.Kind == QuotedIdent:
		return "the quoted identifier is never closed"
	case t.Text[0] == '$':
		return "the string is never closed by " + t.Text[:strings.IndexByte(t.Text[1:], '$')+2]
	default:
		return "the string is never closed"
	}
}

// splitter knows where in a statement it is.
type splitter struct {
	start, end int   // of the statement; start -1: no token yet
	parens     []int // the offsets of the open ones
	header     header

	// The bodies of SQL-standard functions, one inside of the other: the server
	// parses that, too. END and CASE … END may stand anywhere in a body, and as names;
	// but only the END that closes the body can begin one of its statements.
	bodies []int // offsets of their BEGIN
	begin  int   // offset of the token before if that is BEGIN, else -1
	fresh  bool  // a statement of the body begins here
}

func newSplitter(parens []int) splitter {
	return splitter{start: -1, begin: -1, parens: parens[:0]}
}

func (s *splitter) add(t Token) {
	if s.start < 0 {
		s.start = t.Offset
	}
	s.end = t.End()
	fresh, begin := s.fresh, s.begin
	s.fresh, s.begin = false, -1
	switch {
	case t.Is("("):
		s.parens = append(s.parens, t.Offset)
	case t.Is(")") && len(s.parens) > 0:
		s.parens = s.parens[:len(s.parens)-1]
	}
	switch {
	case fresh && t.Is("end"):
		s.bodies, s.header = s.bodies[:len(s.bodies)-1], routine
		return
	case fresh:
		s.header = nothing
	}
	s.header = s.header.next(t)
	switch {
	case len(s.parens) > 0:
	case len(s.bodies) > 0 && t.Is(";"):
		s.fresh = true
	case s.header != routine:
	case begin >= 0 && t.Is("atomic"):
		s.bodies, s.fresh = append(s.bodies, begin), true
	case t.Is("begin"):
		s.begin = t.Offset
	}
}

// header is how much of CREATE [OR REPLACE] FUNCTION | PROCEDURE has been read.
type header uint8

const (
	nothing header = iota
	create
	createOr
	createOrReplace
	routine
	otherStatement
)

func (h header) next(t Token) header {
	switch {
	case h == nothing && t.Is("create"):
		return create
	case h == create && t.Is("or"):
		return createOr
	case h == createOr && t.Is("replace"):
		return createOrReplace
	case (h == create || h == createOrReplace) && (t.Is("function") || t.Is("procedure")), h == routine:
		return routine
	default:
		return otherStatement
	}
}
