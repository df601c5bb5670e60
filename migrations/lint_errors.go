package migrations

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

func checkTxControl(l *linter, st statement) {
	verb := controlsTx(st.sample)
	if verb == "" {
		return
	}
	hint := "take it out: each file is one transaction already"
	if l.script.directives.noTransaction {
		hint = "take it out: each statement of a no-transaction file commits by itself; split the file where a transaction is needed"
	}
	l.reportToken(ruleTxControl, st, st.sample.list[0], verb+" controls the transaction", hint)
}

func checkCopy(l *linter, st statement) {
	if !st.sample.has(0, "copy") {
		return
	}
	for i, tok := range st.sample.list {
		if (tok.Is("from") || tok.Is("to")) && (st.sample.has(i+1, "stdin") || st.sample.has(i+1, "stdout")) {
			l.reportToken(ruleCopy, st, st.sample.list[0], "COPY from or to the client would wait for data that never comes",
				"write INSERT statements")
			return
		}
	}
}

func checkPsql(l *linter, st statement) {
	for _, tok := range st.sample.list {
		if tok.Is(`\`) {
			l.reportToken(rulePsql, st, tok, "backslash commands are psql's; the server does not know them",
				`remove the line (pg_dump writes \restrict and \unrestrict, \connect …)`)
			return
		}
	}
}

// checkStrings refuses what would make the server read strings otherwise than
// the splitter does.
func checkStrings(l *linter, st statement) {
	t := st.sample
	i := 1
	if t.has(i, "local") || t.has(i, "session") {
		i++
	}
	if !t.has(0, "set") || !t.has(i, "standard_conforming_strings") {
		return
	}
	if value := t.list[len(t.list)-1]; !value.Is("on") && !value.Is("true") {
		l.reportToken(ruleStrings, st, t.list[0], "strings with backslashes as of old are not supported", "write E'…' where a backslash escapes")
	}
}

func checkNeedsAutocommit(l *linter, st statement) {
	if l.script.directives.noTransaction {
		return
	}
	what := needsAutocommit(st.sample)
	if what == "" {
		return
	}
	l.reportToken(ruleNeedsAuto, st, st.sample.list[0], what+" cannot run in a transaction",
		"put it into a file of its own that begins with: -- pgdbm:no-transaction")
}

// needsAutocommit names the statement if it refuses to run in a transaction.
func needsAutocommit(t tokens) string {
	verb := t.verb(2)
	switch {
	case verb == "alter system", verb == "create database", verb == "drop database",
		verb == "create tablespace", verb == "drop tablespace",
		strings.HasPrefix(verb, "vacuum"):
		return strings.ToUpper(verb)
	case verb == "create index", verb == "create unique", verb == "drop index",
		strings.HasPrefix(verb, "reindex"), verb == "alter table":
		for _, tok := range t.list[:min(len(t.list), 6)] {
			if tok.Is("concurrently") {
				if verb == "create unique" {
					verb += " index"
				}
				return strings.ToUpper(verb) + " CONCURRENTLY"
			}
		}
		if verb == "alter table" && len(t.list) > 1 && t.list[len(t.list)-1].Is("concurrently") {
			return "DETACH PARTITION CONCURRENTLY"
		}
		if verb == "reindex database" || verb == "reindex schema" || verb == "reindex system" {
			return strings.ToUpper(verb)
		}
	}
	return ""
}

func checkIndexName(l *linter, st statement) {
	if index, ok := concurrentIndex(st.sample); ok && index.name == "" {
		l.reportToken(ruleIndexName, st, st.sample.list[0], "CREATE INDEX CONCURRENTLY without a name",
			"name the index: when building it fails, an invalid index of that name is what a retry must find")
	}
}

// index is what CREATE INDEX CONCURRENTLY builds.
type index struct {
	name  string // "" when the server chooses one
	table pgx.Identifier
	rest  int // of the tokens: what stands behind the table
}

// concurrentIndex recognises CREATE [UNIQUE] INDEX CONCURRENTLY.
func concurrentIndex(t tokens) (index, bool) {
	var x index
	i := 1
	if !t.has(0, "create") {
		return x, false
	}
	if t.has(i, "unique") {
		i++
	}
	if !t.has(i, "index", "concurrently") {
		return x, false
	}
	i += 2
	if t.has(i, "if", "not", "exists") {
		i += 3
	}
	if !t.has(i, "on") {
		x.name, _, i = t.name(i)
	}
	if t.has(i, "on") {
		i++
	}
	if t.has(i, "only") {
		i++
	}
	for ; i < len(t.list) && t.list[i].Name() != ""; i += 2 {
		x.table, x.rest = append(x.table, t.list[i].Name()), i+1
		if !t.has(i+1, ".") {
			break
		}
	}
	return x, true
}

const maxIdentifier = 63 // bytes: NAMEDATALEN - 1

func checkIdentifiers(l *linter, st statement) {
	for _, tok := range st.sample.list {
		if name := tok.Name(); len(name) > maxIdentifier {
			l.reportToken(ruleIdentifier, st, tok,
				fmt.Sprintf("the identifier has %d bytes; the server silently cuts it to %d", len(name), maxIdentifier), "shorten it")
		}
	}
}

func checkSessionSettings(l *linter, st statement) {
	t := st.sample
	i := 1
	if !t.has(0, "set") {
		return
	}
	if t.has(i, "session") {
		i++
	}
	var what string
	switch {
	case t.has(i, "role"):
		what = "role"
	case t.has(i, "authorization"):
		what = "session authorization"
	case t.has(i, "search_path"):
		what = "search_path"
	case t.has(i, "schema"):
		what = "schema"
	default:
		return
	}
	hint := "write SET LOCAL " + what + ", or qualify names with {{schema}} and {{tables.t}}"
	if l.script.directives.noTransaction { // where SET LOCAL ends with its own statement
		hint = "qualify names with {{schema}} and {{tables.t}}; what needs a role goes into a file that is a transaction, behind SET LOCAL ROLE"
	}
	l.reportToken(ruleSession, st, t.list[0], "SET "+what+" changes the session, and what the file's own record is written with", hint)
}
