package compile

var _ = func() {
	users.Upsert(ctx, &user{}, orderID) // want: does not implement repo.Target[user]
}
