package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.Add(age, 1.5) // want: cannot use 1.5
}
