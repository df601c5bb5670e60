package sqltmpl

import (
	"strings"

	"github.com/pgdbm/pgdbm-go/internal/spell"
)

// literal is what to write where no template was meant.
const literal = "write {{{{ for a literal {{"

// suggest says what the author of an unknown template may have meant.
func suggest(body string, dialect Dialect) string {
	words := words(body)
	fixed := correct(words, dialect)
	if fixed == "" && len(words) == 1 { // {{users}}
		fixed = "tables." + words[0]
	}
	if fixed == "" {
		return "use {{schema}}, {{tables.<table>}} or {{tables.<module>.<table>}}; " + literal
	}
	return didYouMean(fixed)
}

// suggestClosed is suggest for a template without an end, of which rest follows
// the opening braces.
func suggestClosed(rest string, dialect Dialect) string {
	rest = strings.TrimLeft(rest, " ")
	end := 0
	for end < len(rest) && (rest[end] == '.' || ValidName("_"+rest[end:end+1])) {
		end++
	}
	words := words(strings.TrimRight(rest[:end], "."))
	if len(words) > 0 && words[0] == "schema" { // {{schema.f(1)
		words = words[:1]
	}
	if fixed := strings.Join(words, "."); known(fixed, dialect) {
		return didYouMean(fixed)
	}
	if fixed := correct(words, dialect); fixed != "" {
		return didYouMean(fixed)
	}
	return "close it with }}, or " + literal
}

func didYouMean(fixed string) string {
	return "did you mean " + open + fixed + closing + "? (" + literal + ")"
}

// words returns the names in a template, without the spaces, dots and braces that
// do not belong there; nil if there is anything else.
func words(body string) []string {
	body = strings.Trim(strings.Join(strings.Fields(body), ""), "{.")
	words := strings.Split(body, ".")
	for _, word := range words {
		if !ValidName(word) {
			return nil
		}
	}
	return words
}

// correct returns the known template whose words are most like these, "" for
// none.
func correct(words []string, dialect Dialect) string {
	if len(words) == 0 {
		return ""
	}
	heads := []string{"schema", "tables"}
	if dialect == Migration {
		heads = append(heads, "var")
	}
	for _, head := range heads {
		if spell.Distance(strings.ToLower(words[0]), head) > min(2, len(head)-2) {
			continue
		}
		fixed := append([]string{head}, words[1:]...)
		switch {
		case len(words) == 1 && head != "schema":
			fixed = append(fixed, "<name>")
		case len(words) == 2 && head == "schema" && dialect == Migration && spell.Distance(strings.ToLower(words[1]), "literal") <= 2:
			fixed[1] = "literal"
		case len(words) == 2 && head == "schema": // {{schema.users}}
			fixed[0] = "tables"
		}
		if s := strings.Join(fixed, "."); known(s, dialect) {
			return s
		}
	}
	return ""
}
