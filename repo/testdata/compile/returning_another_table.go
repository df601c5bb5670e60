package compile

var _ = func() {
	users.ByKey(int64(1)).UpdateReturning(ctx, orderID.Set(1)) // want: repo.Assignment[order]
}
