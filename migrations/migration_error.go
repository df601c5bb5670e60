package migrations

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// MigrationError says which migration failed where. errors.Is reaches the
// sentinels of this package and the classes of [pgdbm.Error]; errors.As reaches
// the *[pgconn.PgError].
type MigrationError struct {
	Module    string
	Schema    string
	File      string    // "" when the error is about the schema
	Line      int       // in File, from 1; 0 when no place is known
	Column    int       // in characters, from 1
	Statement int       // number of the statement in File, from 1; 0 when none is meant
	SQLState  string    // "" when the error does not come from the server
	Excerpt   string    // the line of File with a caret below the place; may be empty
	Blockers  []Session // who held the lock that the file waited for
	Err       error
}

// Error returns module, schema, place and reason, and the line below.
func (e *MigrationError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "migrations: %s (schema %s): ", e.Module, e.Schema)
	if e.File != "" {
		b.WriteString(Position{File: e.File, Line: e.Line, Column: e.Column}.String() + ": ")
	}
	b.WriteString(reason(e.Err))
	for i, s := range e.Blockers {
		if i == 0 {
			b.WriteString("; waited for ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(s.String())
	}
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *MigrationError) Unwrap() error { return e.Err }

// reason is an error's message without the prefix of the package it comes from,
// and with the server's hint.
func reason(err error) string {
	s := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "pgdbm: "), "migrations: ")
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Hint != "" && !strings.Contains(s, pg.Hint) {
		s += "; hint: " + pg.Hint
	}
	return s
}

// String describes the session in a few words.
func (s Session) String() string {
	out := fmt.Sprintf("pid %d", s.PID)
	var more []string
	if s.Application != "" {
		more = append(more, s.Application)
	}
	if s.User != "" {
		more = append(more, "user "+s.User)
	}
	if s.State != "" {
		more = append(more, fmt.Sprintf("%s for %s", s.State, s.Age.Round(100*time.Millisecond)))
	}
	if len(more) > 0 {
		out += " (" + strings.Join(more, ", ") + ")"
	}
	return out
}

// stageError says what was being done when an error occurred.
type stageError struct {
	stage string
	err   error
}

// during classifies an error and says what was being done.
func during(stage string, err error) error {
	if err == nil {
		return nil
	}
	return &stageError{stage: stage, err: pgdbm.Classify(err)}
}

func (e *stageError) Error() string { return e.stage + ": " + reason(e.err) }

func (e *stageError) Unwrap() error { return e.err }

// fail wraps an error about the target.
func (t *target) fail(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*MigrationError](err); ok {
		return err
	}
	e := &MigrationError{Module: t.Module, Schema: t.Schema, Err: pgdbm.Classify(err), SQLState: sqlState(err)}
	if e.SQLState == "" && !isConnError(err) {
		e.Err = err
	}
	return e
}

// failFile wraps an error about a file.
func (t *target) failFile(file string, err error) *MigrationError {
	e, ok := errors.AsType[*MigrationError](t.fail(err))
	if !ok || e.File != "" {
		return e
	}
	e.File = file
	return e
}

// failStatement wraps an error about a statement, the i-th of a script, that was
// sent as r.
func (t *target) failStatement(s *script, i int, r rendered, err error) *MigrationError {
	e := t.failFile(s.file, err)
	e.Statement = i + 1
	offset := s.statements[i].offset
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Position > 0 {
		offset += r.mapping.Source(byteOffset(r.sql, int(pg.Position)))
	}
	pos, line := s.at(offset)
	e.Line, e.Column, e.Excerpt = pos.Line, pos.Column, line
	return e
}

func sqlState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// isConnError reports whether the connection, rather than the server or this
// package, failed.
func isConnError(err error) bool {
	return errors.Is(pgdbm.Classify(err), pgdbm.ErrUnavailable)
}
