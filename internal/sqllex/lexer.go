// Package sqllex divides SQL texts into tokens and statements exactly as
// PostgreSQL's own scanner (scan.l) does, with standard_conforming_strings on.
//
// It never fails: every byte of a text belongs to one token, whatever the text.
package sqllex

import (
	"iter"
	"strings"
)

// Tokens returns the tokens of sql in order, white space and comments included.
// Their texts joined are sql. It does not allocate per token.
func Tokens(sql string) iter.Seq[Token] {
	return func(yield func(Token) bool) {
		for pos := 0; pos < len(sql); {
			t := Next(sql, pos)
			if !yield(t) {
				return
			}
			pos = t.End()
		}
	}
}

// Next returns the token of sql that begins at pos, which must be the end of
// another token or 0, and below len(sql).
func Next(sql string, pos int) Token {
	l := lexer{sql: sql, pos: pos}
	kind := l.scan()
	return Token{Kind: kind, Open: l.open, Offset: pos, Text: sql[pos:l.pos]}
}

// lexer scans one token. pos moves to its end.
type lexer struct {
	sql  string
	pos  int
	open bool
}

func (l *lexer) scan() Kind {
	c := l.sql[l.pos]
	switch {
	case isSpace(c):
		l.skip(isSpace)
		return Space
	case c == '-' && l.at(1) == '-':
		l.skip(func(c byte) bool { return !isNewline(c) })
		return LineComment
	case c == '/' && l.at(1) == '*':
		l.blockComment()
		return BlockComment
	case c == '\'':
		l.pos++
		l.quoted(false)
		return String
	case c == '"':
		l.pos++
		l.quotedIdent()
		return QuotedIdent
	case c == '$':
		return l.dollar()
	case isIdentStart(c):
		return l.word()
	case isDigit(c), c == '.' && isDigit(l.at(1)):
		l.number()
		return Number
	case c == '.' && l.at(1) == '.', c == ':' && (l.at(1) == ':' || l.at(1) == '='):
		l.pos += 2
		return Operator
	case strings.IndexByte(",()[].;:", c) >= 0:
		l.pos++
		return Punct
	case isOperator(c):
		l.operator()
		return Operator
	default:
		l.pos++
		return Other
	}
}

// at returns the byte n after the current one, 0 beyond the end.
func (l *lexer) at(n int) byte {
	if l.pos+n < len(l.sql) {
		return l.sql[l.pos+n]
	}
	return 0
}

func (l *lexer) skip(while func(byte) bool) {
	for l.pos < len(l.sql) && while(l.sql[l.pos]) {
		l.pos++
	}
}

// toEnd ends the token with the text, before its own end was found.
func (l *lexer) toEnd() {
	l.pos = len(l.sql)
	l.open = true
}

func (l *lexer) blockComment() {
	depth := 0
	for l.pos < len(l.sql) {
		switch {
		case l.sql[l.pos] == '/' && l.at(1) == '*':
			depth++
			l.pos += 2
		case l.sql[l.pos] == '*' && l.at(1) == '/':
			depth--
			l.pos += 2
			if depth == 0 {
				return
			}
		default:
			l.pos++
		}
	}
	l.open = true
}

// quoted goes on from the first byte after the opening quote. A string goes on
// after its closing quote if a newline and another quote follow.
func (l *lexer) quoted(backslash bool) {
	for l.pos < len(l.sql) {
		switch c := l.sql[l.pos]; {
		case c == '\\' && backslash:
			l.pos = min(l.pos+2, len(l.sql))
		case c != '\'':
			l.pos++
		case l.at(1) == '\'':
			l.pos += 2
		default:
			l.pos++
			next, ok := continuation(l.sql, l.pos)
			if !ok {
				return
			}
			l.pos = next
		}
	}
	l.open = true
}

// continuation looks behind a closing quote for white space with at least one
// newline and then a quote. Line comments count as white space there, block
// comments do not. It returns the offset after that quote.
func continuation(sql string, pos int) (int, bool) {
	newline := false
	for pos < len(sql) {
		switch c := sql[pos]; {
		case isNewline(c):
			newline = true
			pos++
		case isSpace(c):
			pos++
		case strings.HasPrefix(sql[pos:], "--"):
			i := strings.IndexAny(sql[pos:], "\r\n")
			if i < 0 {
				return 0, false
			}
			pos += i
		case c == '\'' && newline:
			return pos + 1, true
		default:
			return 0, false
		}
	}
	return 0, false
}

func (l *lexer) quotedIdent() {
	for {
		i := strings.IndexByte(l.sql[l.pos:], '"')
		if i < 0 {
			l.toEnd()
			return
		}
		l.pos += i + 1
		if l.at(0) != '"' {
			return
		}
		l.pos++
	}
}

// dollar scans what begins with $: a parameter, a dollar-quoted string, or a
// lone $.
func (l *lexer) dollar() Kind {
	start := l.pos
	l.pos++
	if isDigit(l.at(0)) {
		l.skip(isDigit)
		return Param
	}
	if isIdentStart(l.at(0)) {
		l.skip(func(c byte) bool { return isIdentStart(c) || isDigit(c) })
	}
	if l.at(0) != '$' {
		l.pos = start + 1
		return Other
	}
	l.pos++
	tag := l.sql[start:l.pos]
	i := strings.Index(l.sql[l.pos:], tag)
	if i < 0 {
		l.toEnd()
		return String
	}
	l.pos += i + len(tag)
	return String
}

// word scans what begins with a letter: an identifier, or a string with a
// prefix. N'…' is the keyword NCHAR and a string, as in the server.
func (l *lexer) word() Kind {
	c, next := lower(l.sql[l.pos]), l.at(1)
	switch {
	case c == 'e' && next == '\'':
		l.pos += 2
		l.quoted(true)
		return String
	case (c == 'b' || c == 'x') && next == '\'':
		l.pos += 2
		l.quoted(false)
		return BitString
	case c == 'u' && next == '&' && l.at(2) == '\'':
		l.pos += 3
		l.quoted(false)
		return String
	case c == 'u' && next == '&' && l.at(2) == '"':
		l.pos += 3
		l.quotedIdent()
		return QuotedIdent
	}
	l.skip(func(c byte) bool { return isIdentStart(c) || isDigit(c) || c == '$' })
	return Ident
}

func (l *lexer) number() {
	if l.at(0) == '0' && strings.IndexByte("xXoObB", l.at(1)) >= 0 && (isHex(l.at(2)) || l.at(2) == '_' && isHex(l.at(3))) {
		l.pos += 2
		l.skip(func(c byte) bool { return isHex(c) || c == '_' })
		return
	}
	l.digits()
	if l.at(0) == '.' && l.at(1) != '.' { // "1..2" is a range
		l.pos++
		l.digits()
	}
	if lower(l.at(0)) == 'e' {
		n := 1
		if l.at(1) == '+' || l.at(1) == '-' {
			n = 2
		}
		if isDigit(l.at(n)) {
			l.pos += n
			l.digits()
		}
	}
}

// digits skips digits with single underscores between them.
func (l *lexer) digits() {
	for isDigit(l.at(0)) {
		l.pos++
		if l.at(0) == '_' && isDigit(l.at(1)) {
			l.pos++
		}
	}
}

// operator scans an operator. It ends where a comment begins, and a + or - ends
// one of several characters only if that has a character which no operator of
// the SQL standard has: "=-1" is = and -, "?-" is one.
func (l *lexer) operator() {
	start := l.pos
	l.skip(isOperator)
	text := l.sql[start:l.pos]
	for i := 1; i < len(text); i++ {
		if pair := text[i:min(i+2, len(text))]; pair == "--" || pair == "/*" {
			text = text[:i]
		}
	}
	if !strings.ContainsAny(text, "~!@#^&|`?%") {
		for len(text) > 1 && (text[len(text)-1] == '+' || text[len(text)-1] == '-') {
			text = text[:len(text)-1]
		}
	}
	l.pos = start + len(text)
}

func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

func isNewline(c byte) bool { return c == '\n' || c == '\r' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || lower(c) >= 'a' && lower(c) <= 'f' }

func isIdentStart(c byte) bool {
	return c == '_' || lower(c) >= 'a' && lower(c) <= 'z' || c >= 0x80
}

func isOperator(c byte) bool {
	switch c {
	case '~', '!', '@', '#', '^', '&', '|', '`', '?', '+', '-', '*', '/', '%', '<', '>', '=':
		return true
	}
	return false
}
