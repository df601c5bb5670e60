package compile

var _ = func() {
	nick.IsDistinctFrom("al") // want: cannot use "al"
}
