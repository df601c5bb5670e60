package pgdbmtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// transactional are the words with which a statement would end the transaction
// that all of it is.
var transactional = []string{"begin", "start", "commit", "end", "rollback", "abort"}

// loadSQL runs the statements of a file.
func loadSQL(ctx context.Context, tx *pgdbm.Tx, f fixture, counts map[string]int) error {
	text := strings.TrimPrefix(string(f.data), "\ufeff")
	statements, err := sqllex.Split(text)
	if lexErr, ok := errors.AsType[*sqllex.Error](err); ok {
		return fmt.Errorf("%s:%d: %s", f.path, line(text, lexErr.Offset), lexErr.Reason)
	}
	for _, s := range statements {
		if err := runSQL(ctx, tx, s.Text, counts); err != nil {
			return fmt.Errorf("%s:%d: %w", f.path, line(text, s.Offset)+linesBefore(tx, s.Text, err), err)
		}
	}
	return nil
}

func runSQL(ctx context.Context, tx *pgdbm.Tx, sql string, counts map[string]int) error {
	for t := range sqllex.Tokens(sql) {
		if t.Trivia() {
			continue
		}
		if slices.ContainsFunc(transactional, t.Is) {
			return fmt.Errorf("remove %s: all files are one transaction", t.Text)
		}
		break
	}
	tag, err := tx.Exec(ctx, sql)
	if err != nil || !tag.Insert() {
		return err
	}
	name, err := target(sql, tx.Schema())
	counts[name] += int(tag.RowsAffected())
	return err
}

// linesBefore returns how many lines into a statement its error is. Templates
// expand to names, so the lines of what was sent are those of the file.
func linesBefore(tx *pgdbm.Tx, sql string, err error) int {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Position <= 0 {
		return 0
	}
	sent, err := tx.Expand(sql)
	if err != nil {
		return 0
	}
	offset := 0 // the server counts characters, from 1
	for range pg.Position - 1 {
		_, n := utf8.DecodeRuneInString(sent[offset:])
		offset += n
	}
	return line(sent, offset) - 1
}

// target returns the table of an INSERT, named as [DB.Count] names it: "users" in
// the bound schema, else "billing.invoices", after the module in a template.
func target(sql, bound string) (string, error) {
	template, err := sqltmpl.Parse(sql, sqltmpl.Query)
	if err != nil {
		return "", err
	}
	sql, err = template.Expand(func(r sqltmpl.Ref) (string, error) {
		if r.Kind == sqltmpl.Schema {
			return cmp.Or(bound, "public"), nil
		}
		return r.Module, nil
	})
	return inserted(sql, bound), err
}

// inserted returns the name that follows the statement's INTO.
func inserted(sql, bound string) string {
	var name []string
	depth, into, dot := 0, false, true
	for t := range sqllex.Tokens(sql) {
		switch {
		case t.Trivia():
			continue
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		}
		switch {
		case !into:
			into = depth == 0 && t.Is("into")
		case t.Is("."):
			dot = true
		case dot && t.Name() != "":
			name, dot = append(name, t.Name()), false
		default:
			return qualified(name, bound)
		}
	}
	return qualified(name, bound)
}

func qualified(name []string, bound string) string {
	if len(name) == 2 && name[0] == bound {
		return name[1]
	}
	return strings.Join(name, ".")
}
