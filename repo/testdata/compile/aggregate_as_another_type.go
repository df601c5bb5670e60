package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	func() { var n string; n, _ = repo.Max(age).Of(ctx, users.Where()); _ = n }() // want: cannot use repo.Max(age).Of
}
