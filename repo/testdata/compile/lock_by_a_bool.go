package compile

var _ = func() {
	users.Where().ForUpdate(true) // want: cannot use true
}
