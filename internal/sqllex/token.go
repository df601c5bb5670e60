package sqllex

import "strings"

// Kind says what a [Token] is.
type Kind uint8

// The kinds of tokens.
const (
	Space        Kind = iota + 1 // white space
	LineComment                  // -- to the end of the line, which it does not include
	BlockComment                 // /* … */, nested
	Ident                        // an unquoted identifier or a keyword
	QuotedIdent                  // "…" and U&"…"
	String                       // '…', E'…', U&'…' and $tag$…$tag$
	BitString                    // B'…' and X'…'
	Param                        // $1
	Number                       // 1, 1.5e3, 0x1f, 1_000
	Operator                     // such as ||, ->>, <=, ::, :=, and each of + - * / % ^ < > =
	Punct                        // one of , ( ) [ ] . ; :
	Other                        // a byte that begins no token, such as { or a backslash
)

// Token is a lexical element of a text.
type Token struct {
	Kind Kind

	// Open is set when the text ended before the token did: a string, quoted
	// identifier or comment without its end.
	Open bool

	// Offset is where the token begins, in bytes.
	Offset int

	// Text is the token as written: a part of the lexed text, not a copy.
	Text string
}

// End returns the offset of the first byte after the token.
func (t Token) End() int { return t.Offset + len(t.Text) }

// Trivia reports whether the token is white space or a comment.
func (t Token) Trivia() bool { return t.Kind >= Space && t.Kind <= BlockComment }

// Is reports whether the token is the unquoted word, in any case. Word must be
// in lower case. For punctuation and operators word is the text itself.
func (t Token) Is(word string) bool {
	if len(t.Text) != len(word) {
		return false
	}
	switch t.Kind {
	case Punct, Operator, Other:
		return t.Text == word
	case Ident:
		for i := range len(word) {
			if lower(t.Text[i]) != word[i] {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// Name returns the identifier that the token stands for, as the server
// understands it: unquoted ones in lower case, quoted ones without their quotes.
// It is empty for other kinds. Names are not cut to 63 bytes, and Unicode
// escapes (U&"…") are not decoded.
func (t Token) Name() string {
	switch t.Kind {
	case Ident:
		return lowerASCII(t.Text)
	case QuotedIdent:
		s := t.Text[strings.IndexByte(t.Text, '"')+1:]
		if !t.Open {
			s = s[:len(s)-1]
		}
		return strings.ReplaceAll(s, `""`, `"`)
	default:
		return ""
	}
}

// lowerASCII folds as the server does in a multi-byte encoding: letters outside
// ASCII stay what they are.
func lowerASCII(s string) string {
	for i := range len(s) {
		if s[i] != lower(s[i]) {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lower(b[i])
			}
			return string(b)
		}
	}
	return s
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
