package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.RangeContains(span, "x") // want: cannot use "x"
}
