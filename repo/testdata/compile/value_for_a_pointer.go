package compile

var _ = func() {
	nick.Set("al") // want: cannot use "al"
}
