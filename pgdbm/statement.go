package pgdbm

import (
	"context"
	"errors"
)

// statement is what errors need to know of a statement.
type statement struct {
	ctx    context.Context // that it runs under; as long as its rows
	schema string
	sql    string
	args   []any
	role   *role // that it runs as; nil for that of the connection
}

// classify is classify for an error of the statement. Where pgx cancels on the
// server when the context ends, the server's answer is not the reason.
func (s *statement) classify(err error) error {
	if err != nil && s.ctx != nil && sqlState(err) == "57014" && s.ctx.Err() != nil {
		err = &contextError{what: "the statement was cancelled", err: s.ctx.Err(), also: err}
	}
	if s.role == nil || err == nil {
		return classify(err, s.schema, s.sql, s.args...)
	}
	if _, known := errors.AsType[*Error](err); known {
		return err
	}
	err = classify(err, s.schema, s.sql, s.args...)
	s.role.explain(err)
	return err
}
