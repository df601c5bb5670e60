package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.Sum(email) // want: string does not satisfy repo.Summable
}
