package compile

var _ = func() {
	age.Eq(nil) // want: cannot use nil as int value
}
