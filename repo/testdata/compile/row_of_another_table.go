package compile

var _ = func() {
	users.Insert(ctx, &order{}) // want: cannot use &order{}
}
