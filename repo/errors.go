package repo

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// ErrCursor is the class of errors about a page cursor that was changed or that
// belongs to another order.
var ErrCursor = errors.New("bad cursor")

// failure is an error of a repository: the text says which, err is the class and
// may be nil.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

// misuse is an error of the program: it has no class.
func (t *table) misuse(format string, args ...any) error {
	return &failure{text: fmt.Sprintf("repo: %s: %s", t.name, fmt.Sprintf(format, args...))}
}

// wrap names the repository in an error of the database, or of the program.
func (t *table) wrap(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*failure](err); ok {
		return err
	}
	text := "repo: " + t.name + ": " + strings.TrimPrefix(err.Error(), "pgdbm: ")
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		text += hint(pg)
	}
	return &failure{text, err}
}

// hint returns what to do about an error of the server whose message does not say it.
func hint(pg *pgconn.PgError) string {
	switch {
	case pg.Code == "428C9": // GENERATED ALWAYS
		return "; leave the field zero, or tag it generated"
	case pg.Code == "42P10" && strings.Contains(pg.Message, "ON CONFLICT"):
		return "; name exactly the columns of a unique index, and the predicate of a partial one by Column.Where"
	case pg.Code == "42803" && strings.Contains(pg.Message, "WHERE"):
		return "; conditions on aggregates belong into Having"
	}
	return ""
}

// absent is an error of a class about a row.
func (t *table) absent(db pgdbm.DB, class error, hint string) error {
	e := &pgdbm.Error{Class: class, Schema: db.Schema(), Table: t.name, Hint: hint}
	if errors.Is(class, pgdbm.ErrNotFound) {
		e.Err = pgx.ErrNoRows
	}
	text := "repo: " + t.name + ": " + class.Error()
	if hint != "" {
		text += "; " + hint
	}
	return &failure{text, e}
}
