package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.RangeContains(age, 1) // want: type repo.Column[user, int] of age does not match
}
