package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.ContainsAll(email, "x") // want: S (type string) does not satisfy ~[]E
}
