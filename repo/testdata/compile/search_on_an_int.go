package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.Search(age, "english", "1") // want: int does not satisfy repo.Document
}
