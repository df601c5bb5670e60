package pgdbm

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// hintFor says in one sentence what to do about a server's error, where somebody
// can do something. bound is the schema that the statement's manager is bound to.
func hintFor(pg *pgconn.PgError, e *Error, bound string) string {
	if hint := hintLimit(pg); hint != "" && e.SQL != "" { // a raw connection may have other limits
		return hint
	}
	switch pg.Code {
	case "42P01":
		return hintMissingRelation(e, bound)
	case "3F000":
		return "was the module migrated? Manager.EnsureSchema creates a schema without migrations"
	case "42501":
		return "grant the privilege to the role that the pool connects as, or let the owner run the statement"
	case "25006":
		return "the transaction is read-only, or the server is a standby: write in another transaction, or connect to the primary (target_session_attrs=read-write)"
	case "25P02":
		return "return the error of the statement that failed, or run it in tx.InTx, a savepoint"
	case "40001":
		return "run the whole transaction again: InTxWith does with TxOptions.Attempts"
	case "40P01":
		return "run the whole transaction again: InTxWith does with TxOptions.Attempts; lock rows in the same order everywhere"
	case "53300":
		return "the server has no connection slot left; lower MaxConns or use a pooler"
	case "57014":
		if strings.Contains(pg.Message, "user request") {
			return "somebody cancelled it on the server (pg_cancel_backend)"
		}
	case "26000", "42P05":
		return "prepared statements do not live behind a transaction pooler; set Config.Pooler"
	}
	if stalePlan(pg) {
		return "a table changed after the statement was prepared; run the transaction again"
	}
	if strings.HasPrefix(pg.Code, "42") {
		return ownHint(pg)
	}
	return serverHint(pg)
}

func hintMissingRelation(e *Error, bound string) string {
	switch {
	case e.Table == "": // not a table that is missing, but one in FROM
		return ""
	case strings.Contains(e.text, "."+e.Table+`"`):
		return fmt.Sprintf("was the module of schema %s migrated?", e.Schema)
	case bound == "":
		return "was it migrated, and should the manager be bound to a schema?"
	default:
		return fmt.Sprintf("the name is not qualified: write {{tables.%s}} for the table of schema %s", e.Table, bound)
	}
}

// hintLimit says which limit of a pool was met.
func hintLimit(pg *pgconn.PgError) string {
	switch {
	case pg.Code == "25P03":
		return "the transaction did nothing for longer than Config.IdleInTransactionTimeout; do slow work outside of transactions"
	case pg.Code == "55P03" && strings.Contains(pg.Message, "lock timeout"):
		return "another transaction held the lock for longer than Config.LockTimeout"
	case pg.Code == "57014" && strings.Contains(pg.Message, "statement timeout"):
		return "it ran for longer than Config.StatementTimeout, or the statement_timeout of its transaction"
	}
	return ""
}

// ownHint returns the server's own hint about a statement's text as half a
// sentence.
func ownHint(pg *pgconn.PgError) string {
	s, _, _ := strings.Cut(strings.TrimSuffix(pg.Hint, "."), ". ")
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToLower(first)) + s[size:]
}

// hintForClient is hintFor for what pgx reports itself.
func hintForClient(err error) string {
	switch s := err.Error(); {
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return "a statement had failed, and its error was not returned"
	case strings.HasSuffix(s, "conn busy"):
		return "close the rows or the batch results of the statement before, or read them to the end"
	case strings.Contains(s, "cannot scan NULL into"):
		return "scan a column that can be NULL into a pointer"
	}
	return ""
}
