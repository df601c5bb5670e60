package compile

var _ = func() {
	users.Where().OrderBy(orderID.Asc()) // want: repo.Order[order]
}
