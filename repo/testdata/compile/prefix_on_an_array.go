package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.HasPrefix(tags, "1") // want: []string does not satisfy repo.Text
}
