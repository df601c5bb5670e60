package pgdbm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Classify turns an error of pgx into an [*Error] with its class. An error that
// is classified already, and nil, are returned as they are. The methods of
// this package do it by themselves; Classify is for code that uses a raw
// connection.
func Classify(err error) error { return classify(err, "", "") }

// classify is Classify with what is known of the statement. The values of args
// are kept out of the message.
func classify(err error, schema, sql string, args ...any) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[*sourceError](err); ok {
		return err
	}
	e := &Error{Schema: schema, SQL: sql, Err: err}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		e.fromServer(pg, args)
	} else {
		e.fromClient(err)
	}
	return e
}

func (e *Error) fromServer(pg *pgconn.PgError, args []any) {
	e.text = redactServer(pg, args)
	e.Class = classOf(pg)
	if pg.SchemaName != "" {
		e.Schema = pg.SchemaName
	}
	e.Table, e.Column, e.Constraint = pg.TableName, pg.ColumnName, pg.ConstraintName
	bound := e.Schema
	e.readNames(pg)
	e.Hint = hintFor(pg, e, bound)
	if ended, ok := errors.AsType[*contextError](e.Err); ok { // see statement.classify
		e.Class, e.Hint, e.text = nil, "", ended.err.Error()+": "+e.text
		if errors.Is(ended.err, context.DeadlineExceeded) {
			e.Class = ErrTimeout
		}
	}
}

func (e *Error) fromClient(err error) {
	var (
		netErr  net.Error
		connErr *pgconn.ConnectError
	)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		e.Class = ErrNotFound
	case errors.As(err, &connErr): // also when it ran out of time: nobody answered
		e.fromConnect(connErr)
	case errors.Is(err, context.DeadlineExceeded):
		e.Class = ErrTimeout
	case errors.Is(err, context.Canceled), errors.Is(err, pgx.ErrTxClosed):
		// the caller's own doing: no class
	case errors.Is(err, pgx.ErrTxCommitRollback): // for a reason that pgdbm did not see
		e.Class = ErrRetryable
	case isEncoding(err.Error()):
		e.Class = ErrInvalid
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.As(err, &netErr),
		errors.Is(err, pgconn.ErrConnClosed), err.Error() == "closed pool":
		e.Class = ErrUnavailable
	}
	e.Hint = cmp.Or(e.Hint, hintForClient(err))
}

// classOf maps a server's error to its class, nil for none.
func classOf(pg *pgconn.PgError) error {
	switch stateOf(pg) {
	case "23505", "23P01":
		return ErrConflict
	case "23503":
		return ErrReference
	case "23502", "23514":
		return ErrInvalid
	case "40001", "40P01":
		return ErrRetryable
	case "55P03":
		return ErrLocked
	case "57014":
		if strings.HasPrefix(pg.Message, "COPY from stdin failed") { // the client's rows ended it
			if isEncoding(pg.Message) {
				return ErrInvalid
			}
			return nil
		}
		return ErrTimeout
	case "25P03", "25P04":
		return ErrTimeout
	case "25006":
		return ErrReadOnly
	case "42501", "28000", "28P01":
		return ErrPermission
	case "42P01", "42703", "3F000", "42883", "42704", "3D000":
		return ErrUndefined
	case "53300", "57P01", "57P02", "57P03", "57P05":
		return ErrUnavailable
	}
	switch {
	case stalePlan(pg):
		return ErrRetryable
	case refusesSettings(pg): // the configuration is wrong
		return nil
	case strings.HasPrefix(pg.Code, "22"), malformed(pg):
		return ErrInvalid
	case strings.HasPrefix(pg.Code, "08"):
		return ErrUnavailable
	}
	return nil
}

// malformed reports whether the server could not read a message: a string with a NUL
// byte cuts it in two. (A pooler names no routine.)
func malformed(pg *pgconn.PgError) bool {
	return pg.Code == "08P01" && strings.HasPrefix(pg.Routine, "pq_getmsg")
}

// stalePlan reports whether a prepared statement, or what is remembered of one,
// no longer fits its tables. Nothing was executed. pgx has forgotten it by now, so
// the next attempt works.
func stalePlan(pg *pgconn.PgError) bool {
	return pg.Code == "0A000" && pg.Routine == "RevalidateCachedQuery" ||
		pg.Code == "08P01" && (pg.Routine == "exec_bind_message" || pg.Routine == "PortalSetResultFormat")
}

// isEncoding reports whether s is about a value that pgx could not encode.
func isEncoding(s string) bool {
	_, ok := encoding(s)
	return ok
}

// encoding reports whether s is about a value that pgx could not encode, and
// returns a message without the value. pgx prints it: "failed to encode args[0]:
// unable to encode X into binary format for int8 (OID 20): X is greater than…",
// alone, behind other words, or sent to the server to end a COPY.
func encoding(s string) (string, bool) {
	at := -1
	for _, mark := range []string{"failed to encode ", "unable to encode "} {
		if i := strings.Index(s, mark); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at < 0 {
		return "", false
	}
	msg := "a value cannot be encoded"
	var index int
	if _, err := fmt.Sscanf(s[at:], "failed to encode args[%d]", &index); err == nil {
		msg = fmt.Sprintf("argument $%d cannot be encoded", index+1)
	}
	if i := strings.LastIndex(s, " format for "); i >= 0 {
		if typ, _, ok := strings.Cut(s[i+len(" format for "):], " (OID "); ok {
			msg += " as " + typ
		}
	}
	return msg, true
}
