package migrations

import (
	"slices"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// checkAddColumn covers the rules about the ALTER TABLE action at i, which ends at
// end, if it adds a column.
func checkAddColumn(l *linter, st statement, i, end int) {
	t := st.sample
	if !t.has(i, "add") || isConstraint(t, i) {
		return
	}
	at := t.list[i]
	i++
	if t.has(i, "column") {
		i++
	}
	if t.has(i, "if", "not", "exists") {
		i += 3
	}
	what, hint := "", "add the column without it; then SET DEFAULT for new rows, and fill old ones in batches"
	for i++; i < end && what == ""; i++ { // behind the name
		switch {
		case isSerial(t.list[i]), t.has(i, "as", "identity"):
			what, hint = "a sequence", "add a nullable bigint, fill it in batches, and make it an identity column then"
			l.reportToken(ruleCitusAdd, st, at, "Citus adds no column with a sequence to a table", "add the column when the table is created, or fill a plain one")
		case t.has(i, "generated", "always", "as", "("):
			what, hint = "a stored expression", "add a plain column, fill it in batches, and keep it with a trigger; or compute it in a view"
		case t.has(i, "default"):
			what = volatileCall(t, i+1, end)
		}
	}
	if what != "" {
		l.reportToken(ruleVolatile, st, at, "adding a column with "+what+" rewrites the whole table under a lock", hint)
	}
}

func isSerial(t sqllex.Token) bool {
	return slices.ContainsFunc([]string{"serial", "bigserial", "smallserial", "serial4", "serial8", "serial2"}, t.Is)
}

// volatileFunctions are those of the server and its usual extensions that return
// another value for each row.
var volatileFunctions = []string{
	"random", "random_normal", "clock_timestamp", "timeofday", "nextval", "setval", "pg_sleep", "gen_random_uuid", "gen_random_bytes", "uuidv4", "uuidv7",
	"uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4",
}

// volatileCall names the first call between two tokens that may return another
// value for each row; "" when there is none. What the server does not bring along is
// volatile unless it was declared otherwise.
func volatileCall(t tokens, from, to int) string {
	for i, depth := from, 0; i < to; i++ {
		switch {
		case t.has(i, "("):
			depth++
		case t.has(i, ")"):
			depth--
		case depth == 0 && slices.ContainsFunc([]string{"check", "constraint", "not", "null", "unique", "primary", "references"}, t.list[i].Is):
			return "" // behind the default
		}
		name := t.list[i].Name()
		if name == "" || !t.has(i+1, "(") {
			continue
		}
		own := i-2 >= from && t.has(i-1, ".") && !t.has(i-2, "pg_catalog")
		if own || slices.Contains(volatileFunctions, name) {
			return "the default " + name + "()"
		}
	}
	return ""
}

// checkEnumValue finds values of an enum that are used before the transaction that
// adds them has ended. The server refuses that unless the type is new as well.
func checkEnumValue(l *linter, st statement) {
	t := st.sample
	if l.script.directives.noTransaction {
		return
	}
	if t.has(0, "alter", "type") {
		name, _, i := t.name(2)
		if !t.has(i, "add", "value") || l.created[name] {
			return
		}
		i += 2
		if t.has(i, "if", "not", "exists") {
			i += 3
		}
		if i < len(t.list) && t.list[i].Kind == sqllex.String {
			l.values[t.list[i].Text] = true
		}
		return
	}
	for _, tok := range t.list {
		if tok.Kind == sqllex.String && l.values[tok.Text] {
			l.reportToken(ruleEnum, st, tok, "the enum value "+tok.Text+" is added by the same transaction, which cannot use it",
				"use it in a later file")
		}
	}
}

// checkModuleReference finds foreign keys to tables of other modules.
func checkModuleReference(l *linter, st statement) {
	t := st.sample
	for i, tok := range t.list {
		if i > 0 && t.has(i-1, "references") && t.has(i+1, ".") && isOtherModule(tok.Name()) {
			l.reportToken(ruleCitusFK, st, tok, "Citus has no foreign keys between schemas that it distributes", "check the reference in the program, or put both tables into one module")
		}
	}
}

func checkTrigger(l *linter, st statement) {
	t := st.sample
	i := 1
	if t.has(i, "or", "replace") {
		i += 2
	}
	if t.has(i, "constraint") {
		i++
	}
	if t.has(0, "create") && t.has(i, "trigger") {
		l.reportToken(ruleCitusTrig, st, t.list[0], "Citus has no triggers on distributed tables", "write what it does into the statements of the program")
	}
}
