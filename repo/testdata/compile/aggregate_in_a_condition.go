package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	users.Where(repo.Count(id)) // want: cannot use repo.Count(id)
}
