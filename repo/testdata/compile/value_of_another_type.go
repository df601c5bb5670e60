package compile

var _ = func() {
	age.Eq("18") // want: cannot use "18"
}
