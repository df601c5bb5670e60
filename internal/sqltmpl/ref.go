package sqltmpl

import (
	"fmt"
	"strings"
)

const (
	open     = "{{"
	closing  = "}}"
	maxName  = 63 // PostgreSQL's NAMEDATALEN - 1
	maxShown = 40 // bytes of a broken template that an error shows
)

// Error is a template that cannot be understood.
type Error struct {
	Template string // as written, cut to 40 bytes
	Offset   int    // of its first brace, in bytes
	Reason   string
	Hint     string // what to write instead; may be empty
}

func (e *Error) Error() string {
	s := fmt.Sprintf("template %s at offset %d: %s", e.Template, e.Offset, e.Reason)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// ValidName reports whether s can name a schema, table, module or variable:
// ^[A-Za-z_][A-Za-z0-9_]{0,62}$.
func ValidName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// Quote returns a name that passed [ValidName] as a quoted identifier.
func Quote(name string) string { return `"` + name + `"` }

// parseRef reads the reference whose first brace is at offset at.
func parseRef(text string, at int, dialect Dialect) (Ref, error) {
	rest := text[at+len(open):]
	end := strings.Index(rest, closing)
	if nested := strings.Index(rest, open); end < 0 || nested >= 0 && nested < end {
		return Ref{}, &Error{
			Template: shown(text[at:]), Offset: at, Reason: "is not closed",
			Hint: suggestClosed(rest, dialect),
		}
	}
	body := rest[:end]
	ref := Ref{Text: text[at : at+len(open)+end+len(closing)], Offset: at}
	fail := func(reason, hint string) (Ref, error) {
		return Ref{}, &Error{Template: shown(ref.Text), Offset: at, Reason: reason, Hint: hint}
	}

	ref.Kind, ref.Module, ref.Name = classify(body, dialect)
	switch {
	case ref.Kind == 0 && dialect == Query && known(body, Migration):
		return fail("works only in migrations", "")
	case ref.Kind == 0:
		return fail("is unknown", suggest(body, dialect))
	}
	for _, name := range names(ref) {
		if ValidName(name) {
			continue
		}
		hint := "names are a letter or _ followed by up to 62 letters, digits or _"
		if fixed := strings.Join(words(body), "."); known(fixed, dialect) { // {{tables. users }}
			hint = didYouMean(fixed)
		}
		return fail(fmt.Sprintf("%q is not a name", shown(name)), hint)
	}
	return ref, nil
}

// classify tells what the text between the braces refers to; Kind 0: nothing.
func classify(body string, dialect Dialect) (kind Kind, module, name string) {
	words := strings.Split(body, ".")
	switch {
	case body == "schema":
		return Schema, "", ""
	case words[0] == "tables" && len(words) == 2:
		return Table, "", words[1]
	case words[0] == "tables" && len(words) == 3:
		return Table, words[1], words[2]
	case body == "schema.literal" && dialect == Migration:
		return SchemaLiteral, "", ""
	case words[0] == "var" && len(words) == 2 && dialect == Migration:
		return Var, "", words[1]
	default:
		return 0, "", ""
	}
}

// names returns the names that a reference carries.
func names(r Ref) []string {
	switch {
	case r.Kind < Table:
		return nil
	case strings.Count(r.Text, ".") == 2:
		return []string{r.Module, r.Name}
	default:
		return []string{r.Name}
	}
}

func known(body string, dialect Dialect) bool {
	kind, _, _ := classify(body, dialect)
	return kind != 0
}

// shown cuts what an error shows of a template.
func shown(s string) string {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		s = s[:i]
	}
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}
