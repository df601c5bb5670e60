package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// ExecReturningID runs one INSERT, UPDATE, DELETE or MERGE that changes one row,
// and returns the first column of its RETURNING. A statement without RETURNING
// gets RETURNING id.
//
//	id, err := pgdbm.ExecReturningID[int64](ctx, db, "insert into {{tables.users}} (email) values ($1)", email)
//
// It returns [ErrNotFound] when the statement changes no row, as INSERT … ON
// CONFLICT DO NOTHING does where the row is there already. A statement that
// changes several rows is an error, but on a [Manager] it has happened then.
func ExecReturningID[ID any](ctx context.Context, db DB, sql string, args ...any) (ID, error) {
	var none ID
	text, err := returning(sql)
	if err != nil {
		return none, err
	}
	id, more, err := fetchFirst[ID](ctx, db, text, args)
	if err != nil {
		return none, err
	}
	if more {
		return none, errors.New("pgdbm: ExecReturningID: the statement changed more than one row; use FetchAll, with RETURNING")
	}
	return id, nil
}

// returning adds RETURNING id to a statement that has no RETURNING.
func returning(sql string) (string, error) {
	statements, err := sqllex.Split(sql)
	if err != nil {
		return "", fmt.Errorf("pgdbm: ExecReturningID: %w", err)
	}
	if len(statements) != 1 {
		return "", fmt.Errorf("pgdbm: ExecReturningID: the text has %d statements; run one at a time", len(statements))
	}
	text := sql[:statements[0].Offset+len(statements[0].Text)]
	var room [64]sqllex.Token
	outer := outermost(text, room[:0])
	if !slices.ContainsFunc(changing, mainVerb(outer).Is) {
		return "", errors.New("pgdbm: ExecReturningID is for INSERT, UPDATE, DELETE and MERGE; use FetchValue for what else returns a row, Exec for the rest")
	}
	for i := 1; i < len(outer); i++ {
		// As a reserved word it is a name only where it must be one.
		if outer[i].Is("returning") && !outer[i-1].Is("as") && !outer[i-1].Is(".") {
			return text, nil
		}
	}
	return text + " returning id", nil
}

// changing are the statements that have RETURNING.
var changing = []string{"insert", "update", "delete", "merge"}

// outermost returns the tokens of a statement that stand in no parentheses, and
// the parentheses themselves, in the room that tokens has.
func outermost(text string, tokens []sqllex.Token) []sqllex.Token {
	depth := 0
	for t := range sqllex.Tokens(text) {
		if t.Is(")") && depth > 0 {
			depth--
		}
		if depth == 0 && !t.Trivia() {
			tokens = append(tokens, t)
		}
		if t.Is("(") {
			depth++
		}
	}
	return tokens
}

// mainVerb returns the word that says what a statement does: the first one, or,
// after WITH, the first one that ends the list of queries and names none of them.
func mainVerb(tokens []sqllex.Token) (none sqllex.Token) {
	if !tokens[0].Is("with") {
		return tokens[0]
	}
	for i := 2; i+1 < len(tokens); i++ {
		t, after := tokens[i], tokens[i+1]
		switch {
		case t.Is("select"), t.Is("insert") && after.Is("into"), t.Is("merge") && after.Is("into"), t.Is("delete") && after.Is("from"):
			return t // no name: the one is reserved, the others are followed by a word that is
		case t.Is("update") && endsQuery(tokens[:i]) && !after.Is("as") && !after.Is("("):
			return t
		}
	}
	return none
}

// endsQuery reports whether a query of WITH may end with tokens: with its
// parenthesis, or with the column that a SEARCH or CYCLE clause adds.
func endsQuery(tokens []sqllex.Token) bool {
	last := len(tokens) - 1
	return tokens[last].Is(")") || tokens[last-1].Is("set") || tokens[last-1].Is("using")
}
