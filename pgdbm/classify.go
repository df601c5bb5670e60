package pgdbm

import (
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

// classify is Classify with what is known of the statement.
func classify(err error, schema, sql string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	e := &Error{Schema: schema, SQL: sql, Err: err}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		e.fromServer(pg)
		return e
	}
	e.fromClient(err)
	return e
}

func (e *Error) fromServer(pg *pgconn.PgError) {
	e.Class = classOf(pg.Code)
	if pg.Code == "57014" && strings.HasPrefix(pg.Message, "COPY from stdin failed") { // the client's rows ended it
		e.Class = nil
		if isEncoding(pg.Message) {
			e.Class = ErrInvalid
		}
	}
	if pg.SchemaName != "" {
		e.Schema = pg.SchemaName
	}
	e.Table, e.Column, e.Constraint = pg.TableName, pg.ColumnName, pg.ConstraintName
	e.Hint = serverHint(pg)
	switch pg.Code {
	case "42P01", "3F000":
		e.Hint = "was the module migrated, and does the SQL name the table as {{tables.<name>}}?"
	case "42501":
		e.Hint = "grant the privilege to the role that the pool connects as"
	case "25006":
		e.Hint = "the server is a standby or the transaction is read-only"
	case "53300":
		e.Hint = "the server has no connection slot left; lower MaxConns or use a pooler"
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
	case isEncoding(err.Error()):
		e.Class = ErrInvalid
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.As(err, &netErr),
		strings.Contains(err.Error(), "conn closed"):
		e.Class = ErrUnavailable
	}
}

// classOf maps an SQLSTATE to its class, nil for none.
func classOf(code string) error {
	switch code {
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
	case "57014", "25P03", "25P04":
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
	case strings.HasPrefix(code, "22"):
		return ErrInvalid
	case strings.HasPrefix(code, "08"):
		return ErrUnavailable
	}
	return nil
}

// redactServer returns a server's message without values. Messages of class 22
// quote the input ("invalid input syntax for type integer: "x""); what stands
// between the first and the last quote is dropped.
func redactServer(pg *pgconn.PgError) string {
	if msg, ok := encoding(pg.Message); ok {
		return msg
	}
	if !strings.HasPrefix(pg.Code, "22") {
		return pg.Message
	}
	return dropQuoted(pg.Message)
}

func dropQuoted(s string) string {
	first, last := strings.IndexByte(s, '"'), strings.LastIndexByte(s, '"')
	if first < 0 || first == last {
		return s
	}
	return s[:first] + `"…"` + s[last+1:]
}

// redact returns a client-side message without argument values.
func redact(err error) string {
	s := connectText(err)
	if msg, ok := encoding(s); ok {
		return msg
	}
	return s
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

func isEncoding(s string) bool {
	_, ok := encoding(s)
	return ok
}
