package compile

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/repo"
)

type user struct {
	ID    int64             `db:"id,key,auto"`
	Email string            `db:"email"`
	Age   int               `db:"age"`
	Nick  *string           `db:"nick"`
	Tags  []string          `db:"tags"`
	Span  pgtype.Range[int] `db:"span"`
}

type order struct {
	ID int64 `db:"id,key,auto"`
}

var (
	ctx     context.Context
	users   *repo.Repository[user]
	orders  *repo.Repository[order]
	id      = repo.Col(func(u *user) *int64 { return &u.ID })
	email   = repo.Col(func(u *user) *string { return &u.Email })
	age     = repo.Col(func(u *user) *int { return &u.Age })
	nick    = repo.Col(func(u *user) **string { return &u.Nick })
	tags    = repo.Col(func(u *user) *[]string { return &u.Tags })
	span    = repo.Col(func(u *user) *pgtype.Range[int] { return &u.Span })
	orderID = repo.Col(func(o *order) *int64 { return &o.ID })
)

func compiles() {
	_ = users.Where(age.Ge(18), repo.Or(nick.IsNull(), repo.Like(email, "%@x"), repo.ILike(nick, "a%"))).OrderBy(age.Desc(), id.Asc())
	_, _ = users.ByKey(int64(7)).Update(ctx, nick.Set(nil), repo.Add(age, 1))
	_, _ = users.Upsert(ctx, &user{}, email, age.Where(nick.IsNull()))
	_ = users.Where(repo.HasPrefix(nick, "a"), repo.ContainsAny(tags, "a"), repo.RangeContains(span, 7), repo.Search(email, "simple", "x"))
	_, _ = repo.GroupBy[struct{ Age, Count int }](ctx, users.Where().OrderBy(repo.Count(id).Desc()), age, repo.Count(id))
	_ = orders.Where(orderID.In(1, 2))
}
