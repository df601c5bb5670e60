package compile

var _ = func() {
	users.ByKey(int64(1)).Update(ctx, age.Eq(1)) // want: repo.Assignment[user]
}
