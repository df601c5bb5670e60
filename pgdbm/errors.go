package pgdbm

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// The classes of errors. Test for them with errors.Is.
var (
	ErrNotFound      = errors.New("not found")                 // no row where one was required
	ErrConflict      = errors.New("conflict")                  // 23505 unique, 23P01 exclusion
	ErrReference     = errors.New("broken reference")          // 23503
	ErrInvalid       = errors.New("invalid value")             // 23502, 23514, 22xxx
	ErrRetryable     = errors.New("transaction must retry")    // 40001, 40P01, a stale plan (0A000): run the whole transaction again
	ErrLocked        = errors.New("locked")                    // 55P03
	ErrStale         = errors.New("stale version")             // the row changed since it was read
	ErrTimeout       = errors.New("timeout")                   // 57014, 25P03, 25P04, a deadline
	ErrUnavailable   = errors.New("server unavailable")        // no connection, or it was lost: 08xxx, 57P01…, 53300
	ErrReadOnly      = errors.New("read-only")                 // 25006
	ErrPermission    = errors.New("permission denied")         // 42501
	ErrUndefined     = errors.New("undefined object")          // 42P01, 42703, 3F000, 42883, 42704, 3D000
	ErrCommitUnknown = errors.New("outcome of commit unknown") // COMMIT was sent and no answer came
)

// Error is a classified database error. errors.Is reaches its Class and
// everything in Err; errors.As reaches the *[pgconn.PgError].
//
// Its message never holds values: neither those of arguments nor those in rows,
// which the server's own fields Detail and Where do hold. Printing, logging or
// encoding an Error yields that message.
type Error struct {
	Class      error  // one of the sentinels of this package; nil when none fits
	Schema     string // of the object concerned, else the one bound to the manager
	Table      string
	Column     string
	Constraint string
	SQL        string // the statement, templates expanded; not part of the message
	Hint       string // what to do about it
	Err        error  // what pgx reported; its own message may hold values

	text string // of the server, without values
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("pgdbm: ")
	if e.Class != nil {
		b.WriteString(e.Class.Error())
	}
	if s := e.detail(); s != "" {
		if e.Class != nil {
			b.WriteString(": ")
		}
		b.WriteString(s)
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// GoString is Error: %#v must not print values either.
func (e *Error) GoString() string { return e.Error() }

// MarshalText keeps values out of JSON and other encodings.
func (e *Error) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

// detail renders the cause without values.
func (e *Error) detail() string {
	if e.Err == nil {
		return ""
	}
	pg, ok := errors.AsType[*pgconn.PgError](e.Err)
	if !ok {
		return redactClient(e.Err)
	}
	s := e.text
	if s == "" {
		s = redactServer(pg, nil)
	}
	var where []string
	if e.Table != "" {
		table := e.Table
		if e.Schema != "" {
			table = e.Schema + "." + table
		}
		where = append(where, "table "+table)
	} else if e.Schema != "" {
		where = append(where, "schema "+e.Schema)
	}
	if e.Column != "" {
		where = append(where, "column "+e.Column)
	}
	if e.Constraint != "" && !strings.Contains(s, e.Constraint) {
		where = append(where, "constraint "+e.Constraint)
	}
	where = append(where, "SQLSTATE "+pg.Code)
	return s + " (" + strings.Join(where, ", ") + ")"
}

// Unwrap returns the class and the cause.
func (e *Error) Unwrap() []error {
	switch {
	case e.Class == nil:
		return []error{e.Err}
	case e.Err == nil:
		return []error{e.Class}
	default:
		return []error{e.Class, e.Err}
	}
}

// within says what was going on when err happened, with the package's prefix once.
func within(what string, err error) error {
	return &contextError{what: what, err: err}
}

type contextError struct {
	what string
	err  error
	also error // reached by errors.Is and errors.As, not part of the message
}

func (e *contextError) Error() string {
	return "pgdbm: " + e.what + ": " + strings.TrimPrefix(e.err.Error(), "pgdbm: ")
}

func (e *contextError) Unwrap() []error {
	if e.also == nil {
		return []error{e.err}
	}
	return []error{e.err, e.also}
}
