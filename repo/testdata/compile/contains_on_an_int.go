package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.Contains(age, "1") // want: int does not satisfy repo.Text
}
