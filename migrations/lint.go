package migrations

import (
	"fmt"
	"strings"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// Rule is a thing that [Load] checks in every file.
type Rule struct {
	Name     string
	Severity Severity // unless LoadOptions.Rules says otherwise; some are Off
	Fixed    bool     // what it forbids cannot work: neither options nor lint-ignore change it
	Doc      string   // what it finds, in one line
}

// Rules returns the rules that exist, in the order of the documentation.
func Rules() []Rule {
	out := make([]Rule, len(rules))
	for i, r := range rules {
		out[i] = r.Rule
	}
	return out
}

// rule is a Rule with its check; what has none is reported where it is noticed.
type rule struct {
	Rule
	err   error // sentinel of its findings
	check func(l *linter, st statement)
}

const (
	ruleFilename   = "filename"
	ruleVersion    = "version"
	ruleEncoding   = "encoding"
	ruleDirective  = "directive"
	ruleAnnotation = "annotation"
	ruleSyntax     = "syntax"
	ruleTemplate   = "template"
	ruleTxControl  = "tx-control"
	ruleCopy       = "copy-stdin"
	rulePsql       = "psql"
	ruleStrings    = "string-syntax"
	ruleNeedsAuto  = "needs-no-transaction"
	ruleIndexName  = "unnamed-index"
	ruleIdentifier = "long-identifier"
	ruleSession    = "session-setting"
	ruleUnqual     = "unqualified-name"
	ruleIndex      = "blocking-index"
	ruleNotNull    = "set-not-null"
	ruleConstraint = "constraint-scan"
	ruleColumnType = "column-type"
	ruleRename     = "rename"
	ruleDrop       = "drop"
	ruleSerial     = "serial"
	ruleSchema     = "literal-schema"
	ruleVolatile   = "volatile-default"
	ruleEnum       = "enum-value"
	ruleStar       = "select-star"
	ruleCitusFK    = "citus-foreign-key"
	ruleCitusTrig  = "citus-trigger"
	ruleCitusAdd   = "citus-serial"
	ruleCitusMany  = "citus-constraints"
)

// rules is read-only.
var rules = []rule{
	{Rule: Rule{ruleFilename, Error, true, "a *.sql file whose name has none of the accepted forms"}},
	{Rule: Rule{ruleVersion, Error, true, "two files with one version or name, or a down file without its sibling"}},
	{Rule: Rule{ruleEncoding, Error, true, "NUL bytes, or text that is not UTF-8"}},
	{Rule: Rule{ruleDirective, Error, true, "a directive that does not exist, is malformed or misplaced"}},
	{Rule: Rule{ruleAnnotation, Error, true, "annotations of goose, dbmate or tern that do not divide the file in two"}},
	{Rule: Rule{ruleSyntax, Error, true, "a string, comment, parenthesis or body that is never closed"}},
	{Rule: Rule{ruleTemplate, Error, true, "an unknown template or variable"}},
	{Rule: Rule{ruleTxControl, Error, true, "BEGIN, COMMIT, ROLLBACK and the like outside of a body"}, err: ErrTxControl, check: checkTxControl},
	{Rule: Rule{ruleCopy, Error, true, "COPY from or to the client"}, check: checkCopy},
	{Rule: Rule{rulePsql, Error, true, "psql's backslash commands"}, check: checkPsql},
	{Rule: Rule{ruleStrings, Error, true, "SET standard_conforming_strings to anything but on"}, check: checkStrings},
	{Rule: Rule{ruleNeedsAuto, Error, true, "a statement that cannot run in a transaction, in a file that is one"}, check: checkNeedsAutocommit},
	{Rule: Rule{ruleIndexName, Error, false, "CREATE INDEX CONCURRENTLY without a name: a failed one cannot be found again"}, check: checkIndexName},
	{Rule: Rule{ruleIdentifier, Error, false, "an identifier over 63 bytes, which the server cuts silently"}, check: checkIdentifiers},
	{Rule: Rule{ruleSession, Error, false, "SET ROLE or SET search_path without LOCAL"}, check: checkSessionSettings},
	{Rule: Rule{ruleUnqual, Warning, false, "a table, view, sequence, type or function defined without its schema"}, check: checkUnqualified},
	{Rule: Rule{ruleIndex, Warning, false, "CREATE INDEX that blocks writes on a table that exists"}, check: checkBlockingIndex},
	{Rule: Rule{ruleNotNull, Warning, false, "SET NOT NULL reads the whole table under a lock"}, check: checkAlterTable},
	{Rule: Rule{ruleConstraint, Warning, false, "ADD CONSTRAINT without NOT VALID reads the whole table under a lock"}},
	{Rule: Rule{ruleColumnType, Warning, false, "a changed column type may rewrite the table under a lock"}},
	{Rule: Rule{ruleRename, Warning, false, "a renamed table or column breaks the version of the program that is still running"}},
	{Rule: Rule{ruleDrop, Warning, false, "a dropped table or column breaks the version of the program that is still running"}, check: checkDropTable},
	{Rule: Rule{ruleSerial, Warning, false, "serial instead of an identity column"}, check: checkSerial},
	{Rule: Rule{ruleSchema, Warning, false, "a schema's name, other than public and the system's, where a template belongs"}, check: checkLiteralSchema},
	{Rule: Rule{ruleVolatile, Warning, false, "ADD COLUMN with a volatile default, an identity or a stored expression rewrites the table under a lock"}},
	{Rule: Rule{ruleEnum, Warning, false, "an enum value that is added and used in one transaction"}, check: checkEnumValue},
	{Rule: Rule{ruleStar, Warning, false, "SELECT * or RETURNING * in a view, function or procedure"}, check: checkStar},
	{Rule: Rule{ruleCitusFK, Off, false, "a foreign key to another module's table; does not run on Citus"}, check: checkModuleReference},
	{Rule: Rule{ruleCitusTrig, Off, false, "a trigger; does not run on Citus"}, check: checkTrigger},
	{Rule: Rule{ruleCitusAdd, Off, false, "ADD COLUMN with serial or identity; does not run on Citus"}},
	{Rule: Rule{ruleCitusMany, Off, false, "several ADD CONSTRAINT in one ALTER TABLE; does not run on Citus"}},
}

// linter collects findings, about one script at a time.
type linter struct {
	rules      map[string]rule
	severities map[string]Severity // from LoadOptions.Rules
	script     *script
	created    map[string]bool // tables and types that the script has created so far
	values     map[string]bool // enum values, as literals, that it has added to older types
	findings   []Finding
}

func newLinter(severities map[string]Severity) *linter {
	return &linter{rules: lo.KeyBy(rules, func(r rule) string { return r.Name }), severities: severities}
}

// report adds a finding about the current script.
func (l *linter) report(ruleName string, offset int, message, hint string) {
	pos, line := l.script.at(offset)
	l.add(ruleName, pos, line, message, hint)
}

// add adds a finding unless its rule is off or ignored.
func (l *linter) add(ruleName string, pos Position, line, message, hint string) {
	r := l.rules[ruleName]
	severity := r.Severity
	if s, ok := l.severities[ruleName]; ok && !r.Fixed {
		severity = s
	}
	if severity == Off || !r.Fixed && l.script != nil && l.script.directives.ignores(ruleName) {
		return
	}
	l.findings = append(l.findings, Finding{
		Position: pos, Rule: ruleName, Severity: severity, Message: message, Hint: hint, Excerpt: line, Err: r.err,
	})
}

// lint checks all statements of a script.
func (l *linter) lint(s *script) {
	l.script, l.created, l.values = s, map[string]bool{}, map[string]bool{}
	for _, i := range s.directives.ignore {
		switch r, ok := l.rules[i.rule]; {
		case !ok:
			l.report(ruleDirective, i.offset, fmt.Sprintf("there is no rule %q to ignore", i.rule), "have "+ignorable())
		case r.Fixed:
			l.report(ruleDirective, i.offset, fmt.Sprintf("the rule %s cannot be ignored: what it forbids does not work", i.rule), "")
		}
	}
	for _, st := range s.statements {
		for _, r := range rules {
			if r.check != nil {
				r.check(l, st)
			}
		}
		if name, ok := createdTable(st.sample); ok {
			l.created[name] = true
		}
		if st.sample.has(0, "create", "type") {
			name, _, _ := st.sample.name(2)
			l.created[name] = true
		}
	}
}

// undoes reports whether the script is a down file, or the part of a file that undoes
// the other: it drops what was made.
func (l *linter) undoes() bool {
	return strings.HasSuffix(l.script.file, ".down.sql") || l.script.shift > 0
}

// reportToken reports a token of a statement's sample.
func (l *linter) reportToken(ruleName string, st statement, t sqllex.Token, message, hint string) {
	l.report(ruleName, st.offset+st.sample.mapping.Source(t.Offset), message, hint)
}

func ignorable() string {
	var names []string
	for _, r := range rules {
		if !r.Fixed {
			names = append(names, r.Name)
		}
	}
	return strings.Join(names, ", ")
}
