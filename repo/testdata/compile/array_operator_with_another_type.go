package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.ContainsAny(tags, 1) // want: cannot use 1
}
