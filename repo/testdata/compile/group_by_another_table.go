package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.GroupBy[int](ctx, users.Where(), orderID) // want: does not match inferred type repo.Grouping[user]
}
