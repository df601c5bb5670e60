package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5"
)

// copier is a pgx connection or transaction.
type copier interface {
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error)
}

// copyFrom copies the rows of src. pgx reads them in a goroutine of its own, where
// a panic ends the process, and sends their error to the server, which returns
// its text. Here the panic and the error are the caller's.
func copyFrom(ctx context.Context, to copier, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	s := &copySource{CopyFromSource: src}
	n, err := to.CopyFrom(ctx, table, columns, s)
	switch {
	case s.panicked != nil:
		panic(s.panicked)
	case err != nil && s.err != nil && sqlState(err) == "57014":
		err = &sourceError{table: table.Sanitize(), err: s.err, server: err}
	case err != nil && ctx.Err() != nil && errors.Is(err, net.ErrClosed):
		// pgx's writer noticed first and closed the connection under its reader
		err = fmt.Errorf("the copy was cancelled: %w (%w)", ctx.Err(), err)
	}
	return n, err
}

type copySource struct {
	pgx.CopyFromSource
	err      error // of the source
	panicked *panicError
}

func (s *copySource) Next() (more bool) {
	defer s.catch()
	return s.CopyFromSource.Next()
}

func (s *copySource) Values() (values []any, err error) {
	defer s.catch()
	values, err = s.CopyFromSource.Values()
	return values, s.note(err)
}

func (s *copySource) Err() error {
	if s.panicked != nil {
		return errSource
	}
	defer s.catch()
	return s.note(s.CopyFromSource.Err())
}

// note keeps err; what takes its place goes to the server, and into its log.
func (s *copySource) note(err error) error {
	if err == nil {
		return nil
	}
	s.err = err
	return errSource
}

var errSource = errors.New("the source of the rows failed")

// catch ends the rows where the source panics.
func (s *copySource) catch() {
	if value := recover(); value != nil && s.panicked == nil {
		s.panicked = &panicError{value, debug.Stack()}
	}
}

// panicError is what a source panicked with, and where.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string {
	return fmt.Sprintf("pgdbm: the source of a CopyFrom panicked: %v\n\n%s", p.value, p.stack)
}

func (p *panicError) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

// sourceError is the error of a source. It is the caller's: it is not classified.
type sourceError struct {
	table  string
	err    error
	server error // its answer to the end of the rows
}

func (e *sourceError) Error() string {
	return "pgdbm: copy " + e.table + ": the source of the rows: " + strings.TrimPrefix(e.err.Error(), "pgdbm: ")
}

func (e *sourceError) Unwrap() []error { return []error{e.err, e.server} }
