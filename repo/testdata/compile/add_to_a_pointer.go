package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	repo.Add(nick, nil) // want: *string does not satisfy repo.Number
}
