package migrations

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// script is a parsed file.
type script struct {
	fn       GoFunc // instead of a file
	declared string // where fn is

	file       string
	text       string // normalized
	checksum   string
	directives directives
	statements []statement

	within string  // the whole file, of which text is a part
	shift  int     // where text begins in it
	undo   *script // the file's other part, where one file has both
}

// statement is one statement of a script.
type statement struct {
	offset int // in the script's text
	raw    string
	hash   string // of raw
	tmpl   *sqltmpl.Template
	sample tokens // of the statement with sample names in place of the templates
}

// at returns the place of a byte offset in the script.
func (s *script) at(offset int) (Position, string) {
	return position(s.file, s.within, s.shift+offset), excerpt(s.within, s.shift+offset)
}

// needsAutocommit reports whether a statement cannot run in a transaction.
func (s *script) needsAutocommit() bool {
	return slices.ContainsFunc(s.statements, func(st statement) bool { return needsAutocommit(st.sample) != "" })
}

// tokens are the significant tokens of a statement.
type tokens struct {
	list    []sqllex.Token
	mapping sqltmpl.Mapping // from the tokens' offsets to the raw statement
}

// verb returns the statement's first words in lower case, at most n.
func (t tokens) verb(n int) string {
	var words []string
	for _, tok := range t.list[:min(n, len(t.list))] {
		if tok.Kind != sqllex.Ident {
			break
		}
		words = append(words, tok.Name())
	}
	return strings.Join(words, " ")
}

// has reports whether the tokens from i on are the given words.
func (t tokens) has(i int, words ...string) bool {
	if i < 0 || i+len(words) > len(t.list) {
		return false
	}
	for j, w := range words {
		if !t.list[i+j].Is(w) {
			return false
		}
	}
	return true
}

// name reads a possibly qualified name at i. It returns the name, whether it
// has a qualifier, and the index behind it; next is i when there is no name.
func (t tokens) name(i int) (name string, qualified bool, next int) {
	for ; i < len(t.list) && t.list[i].Name() != ""; i += 2 {
		if name != "" {
			name, qualified = name+".", true
		}
		name += t.list[i].Name()
		if !t.has(i+1, ".") {
			return name, qualified, i + 1
		}
	}
	return name, qualified, i
}

// The names that stand for a target's schema and for another module's in
// samples. No real schema has such a name.
const (
	sampleSchema = "{schema}"
	sampleModule = "{schema of %s}"
)

// sampler resolves templates for samples.
func sampler(vars map[string]string) func(sqltmpl.Ref) (string, error) {
	return func(r sqltmpl.Ref) (string, error) {
		switch {
		case r.Kind == sqltmpl.SchemaLiteral:
			return "'" + sampleSchema + "'", nil
		case r.Kind == sqltmpl.Var:
			return variable(vars, r)
		case r.Kind == sqltmpl.Schema:
			return sqltmpl.Quote(sampleSchema), nil
		case r.Module != "":
			return sqltmpl.Quote(fmt.Sprintf(sampleModule, r.Module)) + "." + sqltmpl.Quote(r.Name), nil
		default:
			return sqltmpl.Quote(sampleSchema) + "." + sqltmpl.Quote(r.Name), nil
		}
	}
}

// parseScript splits a normalized text. Problems are reported to l; what could
// be parsed is returned.
func parseScript(file, text string, vars map[string]string, l *linter) *script {
	return parsePart(&script{file: file, text: text, within: text}, false, vars, l)
}

// parsePart splits the text of a script. A file's checksum is that of all of it.
func parsePart(s *script, noTransaction bool, vars map[string]string, l *linter) *script {
	text := s.text
	s.checksum = checksum(s.within)
	l.script = s
	if i := strings.IndexByte(text, 0); i >= 0 {
		l.report(ruleEncoding, i, "the file contains a NUL byte", "save it as UTF-8")
		return s
	}
	if i := invalidUTF8(text); i >= 0 {
		l.report(ruleEncoding, i, "the file is not valid UTF-8", "save it as UTF-8")
		return s
	}
	s.directives = parseDirectives(text, func(offset int, message, hint string) {
		l.report(ruleDirective, offset, message, hint)
	})
	s.directives.noTransaction = s.directives.noTransaction || noTransaction
	pieces, err := sqllex.Split(text)
	if e, ok := errors.AsType[*sqllex.Error](err); ok {
		l.report(ruleSyntax, e.Offset, e.Reason, "")
	}
	if !s.directives.noTransaction {
		pieces = unwrap(pieces)
	}
	for _, p := range pieces {
		if st, ok := parseStatement(p, vars, l); ok {
			s.statements = append(s.statements, st)
		}
	}
	return s
}

func parseStatement(p sqllex.Statement, vars map[string]string, l *linter) (statement, bool) {
	st := statement{offset: p.Offset, raw: p.Text, hash: statementHash(p.Text)}
	var err error
	if st.tmpl, err = sqltmpl.Parse(p.Text, sqltmpl.Migration); err != nil {
		if e, ok := errors.AsType[*sqltmpl.Error](err); ok {
			l.report(ruleTemplate, p.Offset+e.Offset, "the template "+e.Template+" "+e.Reason, e.Hint)
		}
		return st, false
	}
	ok := true
	for _, r := range st.tmpl.Refs() {
		if r.Kind == sqltmpl.Var {
			if _, err := variable(vars, r); err != nil {
				l.report(ruleTemplate, p.Offset+r.Offset, err.Error(), "")
				ok = false
			}
		}
	}
	if !ok {
		return st, false
	}
	sample, mapping, err := st.tmpl.ExpandMapped(sampler(vars))
	if err != nil {
		return st, false // variables are all that can fail, and they are there
	}
	if again, err := sqllex.Split(sample); err != nil || len(again) != 1 {
		l.report(ruleTemplate, p.Offset, "a variable's value ends the statement or a string in it", "variables stand for a part of a statement")
		return st, false
	}
	st.sample.mapping = mapping
	for t := range sqllex.Tokens(sample) {
		if !t.Trivia() {
			st.sample.list = append(st.sample.list, t)
		}
	}
	return st, true
}

// unwrap takes BEGIN and COMMIT away from a file that is nothing but one
// transaction: pgdbm's generator writes those.
func unwrap(pieces []sqllex.Statement) []sqllex.Statement {
	if len(pieces) < 2 || !isPlain(pieces[0].Text, "begin", "start") || !isPlain(pieces[len(pieces)-1].Text, "commit", "end") {
		return pieces
	}
	return pieces[1 : len(pieces)-1]
}

// isPlain reports whether sql is one of the verbs, with at most WORK or
// TRANSACTION behind it.
func isPlain(sql string, verbs ...string) bool {
	var words []sqllex.Token
	for t := range sqllex.Tokens(sql) {
		if !t.Trivia() {
			words = append(words, t)
		}
	}
	if len(words) > 2 || len(words) == 2 && !words[1].Is("work") && !words[1].Is("transaction") {
		return false
	}
	for _, v := range verbs {
		if words[0].Is(v) && (v != "start" || len(words) == 2 && words[1].Is("transaction")) {
			return true
		}
	}
	return false
}

func variable(vars map[string]string, r sqltmpl.Ref) (string, error) {
	if v, ok := vars[r.Name]; ok {
		return v, nil
	}
	return "", fmt.Errorf("the variable %s is not declared (have %s)", r.Name, listOf(vars))
}
