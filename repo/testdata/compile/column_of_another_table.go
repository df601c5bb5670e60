package compile

var _ = func() {
	users.Where(orderID.Eq(1)) // want: repo.Condition[order]
}
