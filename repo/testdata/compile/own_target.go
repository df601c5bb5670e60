package compile

var _ = func() {
	users.Upsert(ctx, &user{}, target{}) // want: does not implement repo.Target[user]
}

type target struct{}

func (target) target(*user) {}
