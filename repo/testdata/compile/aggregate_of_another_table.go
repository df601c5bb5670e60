package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.Sum(age).Of(ctx, orders.Where()) // want: cannot use orders.Where()
}
