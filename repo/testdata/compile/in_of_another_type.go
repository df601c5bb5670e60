package compile

var _ = func() {
	age.In(1, "2") // want: cannot use "2"
}
