package migrations

import (
	"slices"
	"strings"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// checkLiteralSchema finds objects whose schema is written out. A program that is
// mounted on another schema, or on many, would still use this one.
func checkLiteralSchema(l *linter, st statement) {
	t := st.sample
	for i, tok := range t.list {
		name := tok.Name()
		switch {
		case name == "" || isBuiltin(name) || strings.HasPrefix(st.raw[st.sample.mapping.Source(tok.Offset):], "{{"):
		case isSchemaName(t, i):
			l.reportToken(ruleSchema, st, tok, "the schema "+name+" is written out", "write {{schema}}")
		case t.has(i+1, ".") && !t.has(i-1, ".") && namesObject(t, i):
			own := "{{schema}}"
			if object, _, _ := t.name(i + 2); object != "" {
				own = ownName(t.list[i+2].Name())
			}
			l.reportToken(ruleSchema, st, tok, "the schema "+name+" is written out", "write "+own+"; of a dependency, {{tables.module.t}}")
		}
	}
}

// isBuiltin reports whether a schema is everybody's.
func isBuiltin(schema string) bool {
	return schema == "public" || schema == "information_schema" || strings.HasPrefix(schema, "pg_")
}

func isOtherModule(schema string) bool {
	prefix, _, _ := strings.Cut(sampleModule, "%s")
	return strings.HasPrefix(schema, prefix)
}

// isSchemaName reports whether the token at i is the name of a schema alone.
func isSchemaName(t tokens, i int) bool {
	if slices.ContainsFunc([]string{"authorization", "if", "not", "exists"}, t.list[i].Is) {
		return false
	}
	i = before(t, i, "if", "not", "exists")
	return t.has(i, "schema") && slices.ContainsFunc([]string{"create", "drop", "alter", "on", "in", "set"}, func(w string) bool { return t.has(i-1, w) })
}

// before returns the index of the last token before i that is none of the words.
func before(t tokens, i int, words ...string) int {
	for i--; i >= 0 && slices.ContainsFunc(words, t.list[i].Is); i-- {
	}
	return i
}

// leads are words that only the name of a relation, type or routine can follow when
// it has a qualifier; elsewhere a qualifier may be a table or alias.
var leads = []string{
	"join", "into", "references", "call", "update", "::", "truncate", "table", "view", "index", "sequence", "type", "domain",
	"function", "procedure", "routine", "aggregate", "returns", "setof", "partition",
}

// namesObject reports whether the qualified name at i is that of an object.
func namesObject(t tokens, i int) bool {
	if t.has(i+3, "(") && i+2 < len(t.list) && t.list[i+2].Name() != "" {
		return true // a call
	}
	b := before(t, i, "only", "lateral", "if", "not", "exists", "concurrently")
	switch {
	case b < 0:
		return false
	case t.has(b, "from"):
		return !t.has(b-1, "distinct") && !slices.ContainsFunc([]string{"extract", "substring", "trim", "overlay", "position"}, callOf(t, b).Is)
	case t.has(b, ","):
		return slices.ContainsFunc([]string{"drop", "truncate", "lock", "grant", "revoke"}, t.list[0].Is)
	case t.has(b, "column"):
		return t.has(i+3, ".")
	case t.has(b, "of"):
		return t.has(b-1, "partition")
	case t.has(b, "on"):
		verb := t.verb(2)
		return verb == "create index" || verb == "create unique" || strings.HasSuffix(verb, " trigger") || strings.HasSuffix(verb, " policy") ||
			strings.HasPrefix(verb, "grant") || strings.HasPrefix(verb, "revoke")
	default:
		return slices.ContainsFunc(leads, t.list[b].Is)
	}
}

// callOf returns the name of the function among whose arguments the token at i is.
func callOf(t tokens, i int) sqllex.Token {
	for depth := 0; i > 0; i-- {
		switch {
		case t.has(i, ")"):
			depth++
		case t.has(i, "("):
			if depth == 0 {
				return t.list[i-1]
			}
			depth--
		}
	}
	return sqllex.Token{}
}

// checkStar finds * in what the server stores: a view keeps the columns that the
// table had, a routine returns those that it has by now.
func checkStar(l *linter, st statement) {
	t := st.sample
	i := 1
	if t.has(i, "or", "replace") {
		i += 2
	}
	for t.has(i, "temp") || t.has(i, "temporary") || t.has(i, "recursive") || t.has(i, "materialized") {
		i++
	}
	if !t.has(0, "create") || !t.has(i, "view") && !t.has(i, "function") && !t.has(i, "procedure") {
		return
	}
	report := func(tok sqllex.Token, shift int) {
		tok.Offset += shift
		l.reportToken(ruleStar, st, tok, "* stands for other columns when the table changes", "list the columns")
	}
	for _, tok := range stars(t) {
		report(tok, 0)
	}
	for _, tok := range t.list {
		if quote, body, ok := dollarQuoted(tok); ok {
			for _, star := range stars(significant(body)) {
				report(star, tok.Offset+len(quote))
			}
		}
	}
}

// stars returns each * that stands for columns.
func stars(t tokens) []sqllex.Token {
	var out []sqllex.Token
	for i, tok := range t.list {
		if !tok.Is("*") || i == 0 {
			continue
		}
		b := before(t, i, "distinct", "all")
		exists := t.has(b, "select") && t.has(b-1, "(") && t.has(b-2, "exists")
		if !exists && (t.has(b, "select") || t.has(b, "returning") || t.has(i-1, ",")) {
			out = append(out, tok)
		}
	}
	return out
}

// dollarQuoted returns what stands between the quotes of a dollar-quoted string.
func dollarQuoted(t sqllex.Token) (quote, body string, ok bool) {
	if t.Kind != sqllex.String || t.Open || t.Text[0] != '$' {
		return "", "", false
	}
	quote = t.Text[:strings.IndexByte(t.Text[1:], '$')+2]
	return quote, t.Text[len(quote) : len(t.Text)-len(quote)], true
}
