package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.Or(age.Eq(1), orderID.Eq(1)) // want: does not match inferred type repo.Condition[user]
}
