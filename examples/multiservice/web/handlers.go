package web

import (
	"context"
	"net/http"

	"github.com/pgdbm/pgdbm-go/repo"
)

// Create answers with what create makes of the request's body.
func Create[In, Out any](create func(context.Context, In) (Out, error)) Handler {
	return func(r *http.Request) (int, any, error) {
		in, err := Decode[In](r)
		if err != nil {
			return 0, nil, err
		}
		out, err := create(r.Context(), in)
		return http.StatusCreated, out, err
	}
}

// Get answers with what get finds under the {id} of the request's path.
func Get[K int64 | string, T any](get func(context.Context, K) (T, error)) Handler {
	return func(r *http.Request) (int, any, error) {
		id, err := ID[K](r)
		if err != nil {
			return 0, nil, err
		}
		row, err := get(r.Context(), id)
		return http.StatusOK, row, err
	}
}

// List answers with a page of a query's rows: at most ?limit= behind the cursor
// ?after=, which is the next of the page before.
func List[T any](q repo.Query[T]) Handler {
	return Pages(func(ctx context.Context, limit int, after string) (repo.Page[T], error) {
		return q.Limit(limit).After(after).Page(ctx)
	})
}

// Pages is List of rows that take more than a query.
func Pages[T any](page func(ctx context.Context, limit int, after string) (repo.Page[T], error)) Handler {
	return func(r *http.Request) (int, any, error) {
		limit, err := Limit(r)
		if err != nil {
			return 0, nil, err
		}
		rows, err := page(r.Context(), limit, r.URL.Query().Get("after"))
		return http.StatusOK, struct {
			Items []T    `json:"items"`
			Next  string `json:"next,omitempty"`
		}{rows.Rows, rows.Next}, err
	}
}
