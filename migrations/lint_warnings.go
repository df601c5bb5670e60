package migrations

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// createdTable recognises CREATE TABLE.
func createdTable(t tokens) (name string, ok bool) {
	if !t.has(0, "create") {
		return "", false
	}
	i := 1
	for slices.ContainsFunc([]string{"unlogged", "temp", "temporary", "global", "local"}, func(w string) bool { return t.has(i, w) }) {
		i++
	}
	if !t.has(i, "table") {
		return "", false
	}
	i++
	if t.has(i, "if", "not", "exists") {
		i += 3
	}
	name, _, _ = t.name(i)
	return name, name != ""
}

func isTemporary(t tokens) bool {
	return t.has(1, "temp") || t.has(1, "temporary") || t.has(2, "temp") || t.has(2, "temporary")
}

// definitions are the kinds of objects that live in a schema.
var definitions = []string{"table", "view", "sequence", "type", "domain", "function", "procedure", "aggregate", "materialized"}

func checkUnqualified(l *linter, st statement) {
	t := st.sample
	verb := t.verb(1)
	if verb != "create" && verb != "alter" && verb != "drop" || isTemporary(t) {
		return
	}
	i := 1
	for t.has(i, "or", "replace") {
		i += 2
	}
	if t.has(i, "unlogged") || t.has(i, "recursive") {
		i++
	}
	if i >= len(t.list) || !slices.Contains(definitions, t.list[i].Name()) {
		return
	}
	if t.has(i, "materialized") {
		i++
	}
	i++
	if t.has(i, "if", "exists") {
		i += 2
	} else if t.has(i, "if", "not", "exists") {
		i += 3
	}
	if t.has(i, "only") {
		i++
	}
	if name, qualified, _ := t.name(i); name != "" && !qualified {
		l.reportToken(ruleUnqual, st, t.list[i], fmt.Sprintf("%q has no schema", name), "write "+ownName(name))
	}
}

// ownName shows how a file writes the name of an object in its own schema.
func ownName(name string) string {
	if !sqltmpl.ValidName(name) {
		return "{{schema}}." + pgx.Identifier{name}.Sanitize()
	}
	return "{{tables." + name + "}} or {{schema}}." + name
}

func checkBlockingIndex(l *linter, st statement) {
	t := st.sample
	if !t.has(0, "create", "index") && !t.has(0, "create", "unique", "index") {
		return
	}
	for i, tok := range t.list {
		if tok.Is("concurrently") {
			return
		}
		if !tok.Is("on") {
			continue
		}
		i++
		if t.has(i, "only") {
			i++
		}
		if table, _, _ := t.name(i); table != "" && !l.created[table] {
			l.reportToken(ruleIndex, st, t.list[0], "CREATE INDEX blocks writes to a table that exists while it builds",
				"write CREATE INDEX CONCURRENTLY in a file of its own that begins with: -- pgdbm:no-transaction")
		}
		return
	}
}

// checkAlterTable covers the rules about ALTER TABLE.
func checkAlterTable(l *linter, st statement) {
	t := st.sample
	if !t.has(0, "alter", "table") {
		return
	}
	i := 2
	if t.has(i, "if", "exists") {
		i += 2
	}
	if t.has(i, "only") {
		i++
	}
	table, _, i := t.name(i)
	if t.has(i, "*") {
		i++
	}
	if l.created[table] {
		return // nobody uses it yet
	}
	constraints := 0
	for i < len(t.list) {
		end := actionEnd(t, i)
		checkAlterAction(l, st, i)
		checkAddColumn(l, st, i, end)
		if isConstraint(t, i) {
			if constraints++; constraints == 2 {
				l.reportToken(ruleCitusMany, st, t.list[i], "Citus adds one constraint with an ALTER TABLE", "write one ALTER TABLE for each")
			}
		}
		i = end + 1
	}
}

// actionEnd returns the index of the comma behind the ALTER TABLE action at i, or
// of the end.
func actionEnd(t tokens, i int) int {
	for depth := 0; i < len(t.list); i++ {
		switch {
		case t.has(i, "("), t.has(i, "["):
			depth++
		case t.has(i, ")"), t.has(i, "]"):
			depth--
		case depth == 0 && t.has(i, ","):
			return i
		}
	}
	return i
}

// isConstraint reports whether the ALTER TABLE action at i adds a constraint.
func isConstraint(t tokens, i int) bool {
	return t.has(i, "add") && slices.ContainsFunc([]string{"constraint", "check", "foreign", "primary", "unique", "exclude"}, func(w string) bool { return t.has(i+1, w) })
}

func checkAlterAction(l *linter, st statement, i int) {
	t := st.sample
	at := t.list[i]
	switch {
	case l.undoes() && (t.has(i, "rename") || t.has(i, "drop")):
	case t.has(i, "rename", "constraint"):
	case t.has(i, "rename"):
		l.reportToken(ruleRename, st, at, "renaming breaks the version of the program that is still running",
			"add the new name first (a column, or a view), and drop the old one with a later release")
	case t.has(i, "drop", "constraint"):
	case t.has(i, "drop"):
		l.reportToken(ruleDrop, st, at, "dropping a column breaks the version of the program that is still running",
			"stop using it in one release, and drop it in a later one")
	case isConstraint(t, i):
		rest := action(t, i)
		if !strings.Contains(rest, " not valid") && !strings.Contains(rest, " using index ") {
			l.reportToken(ruleConstraint, st, at, "adding a constraint reads the whole table under a lock",
				"add it NOT VALID, and VALIDATE CONSTRAINT in a later file (UNIQUE: build the index CONCURRENTLY, then ADD CONSTRAINT … USING INDEX)")
		}
	case t.has(i, "alter"):
		rest := action(t, i)
		switch {
		case strings.HasSuffix(rest, " set not null "):
			l.reportToken(ruleNotNull, st, at, "SET NOT NULL reads the whole table under a lock",
				"add CHECK (column IS NOT NULL) NOT VALID, validate it in a later file, then SET NOT NULL uses it")
		case changesType(t, i):
			l.reportToken(ruleColumnType, st, at, "changing a column's type may rewrite the table under a lock",
				"add a new column, copy in batches, and switch over; a longer varchar, or varchar to text, is fine: ignore the rule there")
		}
	}
}

// changesType reports whether the ALTER TABLE action at i, ALTER [COLUMN] name …,
// changes a column's type.
func changesType(t tokens, i int) bool {
	i++
	if t.has(i, "column") {
		i++
	}
	return t.has(i+1, "type") || t.has(i+1, "set", "data", "type")
}

// action returns the words of the ALTER TABLE action at i, up to its comma,
// each with a blank on both sides; names in quotes are left out.
func action(t tokens, i int) string {
	var b strings.Builder
	depth := 0
	for end := actionEnd(t, i); i < end; i++ {
		switch {
		case t.has(i, "("):
			depth++
		case t.has(i, ")"):
			depth--
		case depth == 0 && t.list[i].Text[0] != '"':
			b.WriteString(" " + t.list[i].Name())
		}
	}
	return b.String() + " "
}

func checkDropTable(l *linter, st statement) {
	t := st.sample
	if !t.has(0, "drop", "table") || l.undoes() {
		return
	}
	i := 2
	if t.has(i, "if", "exists") {
		i += 2
	}
	if table, _, _ := t.name(i); !l.created[table] {
		l.reportToken(ruleDrop, st, t.list[0], "dropping a table breaks the version of the program that is still running",
			"stop using it in one release, and drop it in a later one")
	}
}

func checkSerial(l *linter, st statement) {
	if _, ok := createdTable(st.sample); !ok && !st.sample.has(0, "alter", "table") {
		return
	}
	t := st.sample
	for i, tok := range t.list {
		// The type stands behind a column's name.
		if isSerial(tok) && i > 0 && t.list[i-1].Name() != "" && !t.has(i-1, "add") && !t.has(i-1, "column") {
			l.reportToken(ruleSerial, st, tok, tok.Name()+" leaves its sequence and rights behind", "write bigint GENERATED ALWAYS AS IDENTITY")
		}
	}
}
