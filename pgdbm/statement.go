package pgdbm

import "context"

// statement is what errors need to know of a statement.
type statement struct {
	ctx    context.Context // that it runs under; as long as its rows
	schema string
	sql    string
	args   []any
}

// classify is classify for an error of the statement. Where pgx cancels on the
// server when the context ends, the server's answer is not the reason.
func (s *statement) classify(err error) error {
	if err != nil && s.ctx != nil && sqlState(err) == "57014" && s.ctx.Err() != nil {
		err = &contextError{what: "the statement was cancelled", err: s.ctx.Err(), also: err}
	}
	return classify(err, s.schema, s.sql, s.args...)
}
