package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.Add(email, "x") // want: string does not satisfy repo.Number
}
