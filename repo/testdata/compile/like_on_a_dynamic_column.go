package compile

import "github.com/pgdbm/pgdbm-go/repo"

var _ = func() {
	func() { c, _ := repo.ColByName[user]("age"); repo.Like(c, "x") }() // want: any does not satisfy repo.Text
}
