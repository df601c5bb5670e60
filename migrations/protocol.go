package migrations

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// request is one statement as one protocol message, with text arguments.
type request struct {
	sql  string
	args []any // string, []byte or nil
	keep bool  // keep the rows
}

// response is what came back for a request.
type response struct {
	rows     [][]string // when kept; NULL is ""
	affected int64
}

// pipeline sends all requests in one round trip and reads their responses.
// On error, failed is the index of the request that it belongs to; the ones
// behind it were not executed. Outside of a transaction the server runs the
// requests as one.
func pipeline(ctx context.Context, conn *pgconn.PgConn, requests []request, done func(i int)) (responses []response, failed int, err error) {
	p := conn.StartPipeline(ctx)
	for _, r := range requests {
		p.SendQueryParams(r.sql, encode(r.args), nil, nil, nil)
	}
	if err := p.Sync(); err != nil {
		_ = p.Close()
		return nil, 0, err
	}
	for i, r := range requests {
		response, err := receive(p, r.keep)
		if err != nil {
			_ = p.Close() // it reports the same error
			return responses, i, err
		}
		responses = append(responses, response)
		if done != nil {
			done(i)
		}
	}
	return responses, len(requests), p.Close()
}

func receive(p *pgconn.Pipeline, keep bool) (response, error) {
	var out response
	results, err := p.GetResults()
	if err != nil {
		return out, err
	}
	reader, ok := results.(*pgconn.ResultReader)
	if !ok {
		return out, errUnexpected
	}
	for reader.NextRow() {
		if keep {
			var row []string
			for _, v := range reader.Values() {
				row = append(row, string(v))
			}
			out.rows = append(out.rows, row)
		}
	}
	tag, err := reader.Close()
	out.affected = tag.RowsAffected()
	return out, err
}

var errUnexpected = errors.New("the server's answer is not what the protocol says")

func encode(args []any) [][]byte {
	out := make([][]byte, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			out[i] = []byte(a)
		case []byte:
			out[i] = a
		}
	}
	return out
}

// run sends a single request.
func run(ctx context.Context, conn *pgconn.PgConn, sql string, args ...any) (response, error) {
	responses, _, err := pipeline(ctx, conn, []request{{sql: sql, args: args, keep: true}}, nil)
	if err != nil {
		return response{}, err
	}
	return responses[0], nil
}
