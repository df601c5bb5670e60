package repo_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

func TestInsertReadsBack(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	u := user{Email: "a@x", Age: 30, Nick: new("al")}
	check(t, users.Insert(t.Context(), &u))
	if u.ID == 0 || u.Version != 1 || u.CreatedAt.IsZero() || u.UpdatedAt.IsZero() {
		t.Errorf("not filled in: %+v", u)
	}
	got, err := users.Get(t.Context(), u.ID)
	check(t, err)
	if got.Email != "a@x" || got.Age != 30 || *got.Nick != "al" || got.ID != u.ID || !got.CreatedAt.Equal(u.CreatedAt) {
		t.Errorf("got %+v, want %+v", got, u)
	}
}

func TestInsertSendsAutoColumnsThatAreSet(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	at := time.Date(2001, 2, 3, 4, 5, 6, 7000, time.UTC)
	u := user{ID: 77, Email: "a@x", CreatedAt: at}
	check(t, users.Insert(t.Context(), &u))
	got, err := users.Get(t.Context(), int64(77))
	check(t, err)
	if !got.CreatedAt.Equal(at) || !u.CreatedAt.Equal(at) {
		t.Errorf("created at %v and %v, want %v", u.CreatedAt, got.CreatedAt, at)
	}
}

func TestInsertConflict(t *testing.T) {
	t.Parallel()
	db, users := setup(t)
	insert(t, users, user{Email: "a@x"})
	err := db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		u := user{Email: "a@x", Age: 5}
		err := tx.InTx(t.Context(), func(tx *pgdbm.Tx) error { return users.In(tx).Insert(t.Context(), &u) })
		if !errors.Is(err, pgdbm.ErrConflict) {
			t.Errorf("got %v, want ErrConflict", err)
		}
		wantError(t, err, "repo: users: conflict: ", "users_email_idx", "app.users")
		if u.ID != 0 || u.Version != 0 || u.Age != 5 {
			t.Errorf("changed by an insert that failed: %+v", u)
		}
		return users.In(tx).Insert(t.Context(), &user{Email: "b@x"})
	})
	check(t, err)
	n, err := users.Where().Count(t.Context())
	if check(t, err); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	u := insert(t, users, user{Email: "a@x", Age: 1, Nick: new("al")})[0]
	before := u
	u.Age, u.Nick, u.CreatedAt = 2, nil, time.Time{}
	check(t, users.Update(t.Context(), &u))
	if u.Version != 2 || u.UpdatedAt.Before(before.UpdatedAt) || !u.CreatedAt.Equal(before.CreatedAt) {
		t.Errorf("got %+v after %+v", u, before)
	}
	got, err := users.Get(t.Context(), u.ID)
	if check(t, err); got.Age != 2 || got.Nick != nil || got.Version != 2 {
		t.Errorf("stored %+v", got)
	}
}

func TestUpdateTellsStaleFromGone(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	u := insert(t, users, user{Email: "a@x", Age: 1})[0]
	other := u
	check(t, users.Update(t.Context(), &other))

	u.Age = 9
	err := users.Update(t.Context(), &u)
	if !errors.Is(err, pgdbm.ErrStale) || u.Version != 1 || u.Age != 9 {
		t.Errorf("got %v and %+v, want ErrStale and no change", err, u)
	}
	wantError(t, err, "repo: users: stale version; read the row again")

	check(t, users.Delete(t.Context(), u.ID))
	if err := users.Update(t.Context(), &other); !errors.Is(err, pgdbm.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestOneOfTwoUpdatesIsStale(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	u := insert(t, users, user{Email: "a@x"})[0]
	errs := make(chan error)
	for range 2 {
		go func() {
			mine := u
			errs <- users.Update(t.Context(), &mine)
		}()
	}
	a, b := <-errs, <-errs
	if (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), pgdbm.ErrStale) {
		t.Errorf("got %v and %v, want one ErrStale", a, b)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	_, getErr := users.Get(t.Context(), int64(1))
	_, oneErr := users.Where(userAge.Eq(1)).One(t.Context())
	for name, err := range map[string]error{
		"Get": getErr, "One": oneErr,
		"Update": users.Update(t.Context(), &user{ID: 1}),
		"Delete": users.Delete(t.Context(), int64(1)),
		"Purge":  users.Purge(t.Context(), int64(1)),
	} {
		if !errors.Is(err, pgdbm.ErrNotFound) || err.Error() != "repo: users: not found" {
			t.Errorf("%s: %v", name, err)
		}
		if e, ok := errors.AsType[*pgdbm.Error](err); !ok || e.Table != "users" || e.Schema != "app" {
			t.Errorf("%s: detail %+v", name, e)
		}
	}
}

func TestQueryReads(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	insert(t, users, user{Email: "a@x", Age: 10}, user{Email: "b@x", Age: 20, Nick: new("bo")}, user{Email: "c@y", Age: 30})
	q := users.Where(userAge.Ge(20), repo.Or(userNick.IsNull(), repo.Like(userEmail, "%@x")))
	all, err := q.OrderBy(userAge.Desc(), userID.Asc()).All(t.Context())
	if check(t, err); len(all) != 2 || all[0].Email != "c@y" || all[1].Email != "b@x" {
		t.Errorf("got %+v", all)
	}
	n, err := q.Count(t.Context())
	if check(t, err); n != 2 {
		t.Errorf("count %d", n)
	}
	if n, err = q.Limit(1).Count(t.Context()); err != nil || n != 1 {
		t.Errorf("count of one: %d, %v", n, err)
	}
	ok, err := q.Exists(t.Context())
	if check(t, err); !ok {
		t.Error("exists: false")
	}
	if ok, err = q.Limit(0).Exists(t.Context()); err != nil || ok {
		t.Errorf("exists within none: %t, %v", ok, err)
	}
	one, err := q.Where(userAge.Eq(30)).One(t.Context())
	if check(t, err); one.Email != "c@y" {
		t.Errorf("one: %+v", one)
	}
	_, err = q.One(t.Context())
	wantError(t, err, "repo: users: One: more than one row")
	first, err := q.OrderBy(userAge.Asc()).Limit(1).One(t.Context())
	if check(t, err); first.Age != 20 {
		t.Errorf("first: %+v", first)
	}
	var ages []int
	for u, err := range q.OrderBy(userAge.Asc()).Each(t.Context()) {
		check(t, err)
		ages = append(ages, u.Age)
	}
	if len(ages) != 2 || ages[0] != 20 || ages[1] != 30 {
		t.Errorf("each: %v", ages)
	}
}

func TestPartialUpdate(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	u := insert(t, users, user{Email: "a@x", Age: 10})[0]
	n, err := users.ByKey(u.ID).Update(t.Context(), userNick.Set(new("al")), repo.Add(userAge, 1))
	if check(t, err); n != 1 {
		t.Errorf("%d rows", n)
	}
	n, err = users.ByKey(u.ID).Update(t.Context(), userAge.SetSQL("least(age + $1, $2)", 100, 50))
	if check(t, err); n != 1 {
		t.Errorf("%d rows", n)
	}
	got, err := users.Get(t.Context(), u.ID)
	if check(t, err); got.Age != 50 || *got.Nick != "al" || got.Version != 3 || !got.UpdatedAt.After(u.UpdatedAt) {
		t.Errorf("got %+v", got)
	}
	if n, err = users.ByKey(int64(-1)).Update(t.Context(), userAge.Set(1)); err != nil || n != 0 {
		t.Errorf("no row: %d, %v", n, err)
	}
}

func TestUpsert(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	u := user{Email: "a@x", Age: 1}
	inserted, err := users.Upsert(t.Context(), &u, userEmail)
	if check(t, err); !inserted || u.ID == 0 || u.Version != 1 {
		t.Errorf("inserted %t: %+v", inserted, u)
	}
	again := user{Email: "a@x", Age: 2}
	inserted, err = users.Upsert(t.Context(), &again, userEmail)
	if check(t, err); inserted || again.ID != u.ID || again.Version != 2 || !again.CreatedAt.Equal(u.CreatedAt) {
		t.Errorf("inserted %t: %+v", inserted, again)
	}
	check(t, users.Delete(t.Context(), u.ID))
	third := user{Email: "a@x", Age: 3}
	inserted, err = users.Upsert(t.Context(), &third, userEmail)
	if check(t, err); !inserted || third.ID == u.ID {
		t.Errorf("inserted %t: %+v", inserted, third)
	}
	gone := user{ID: u.ID, Email: "z@x"}
	_, err = users.Upsert(t.Context(), &gone)
	if !errors.Is(err, pgdbm.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	wantError(t, err, "a soft-deleted row is in the way")
}

// A test's transaction embeds a *pgdbm.Tx.
func TestForUpdateWorksOnWhatEmbedsATransaction(t *testing.T) {
	t.Parallel()
	db, _ := setup(t)
	check(t, db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		users, err := repo.New[user](struct{ *pgdbm.Tx }{tx}, "users")
		check(t, err)
		insert(t, users, user{Email: "a@x"})
		rows, err := users.Where().ForUpdate().All(t.Context())
		if len(rows) != 1 {
			t.Errorf("got %+v", rows)
		}
		return err
	}))
}

func TestForUpdateSkipsLockedRows(t *testing.T) {
	t.Parallel()
	db, users := setup(t)
	insert(t, users, user{Email: "a@x"}, user{Email: "b@x"})
	check(t, db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		mine, err := users.In(tx).Where().OrderBy(userID.Asc()).Limit(1).ForUpdate().All(t.Context())
		check(t, err)
		return db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			theirs, err := users.In(tx).Where().ForUpdate(repo.SkipLocked).All(t.Context())
			if check(t, err); len(theirs) != 1 || theirs[0].ID == mine[0].ID {
				t.Errorf("got %+v beside %+v", theirs, mine)
			}
			err = tx.InTx(t.Context(), func(tx *pgdbm.Tx) error {
				_, err := users.In(tx).ByKey(mine[0].ID).ForUpdate(repo.NoWait).One(t.Context())
				return err
			})
			if !errors.Is(err, pgdbm.ErrLocked) {
				t.Errorf("got %v, want ErrLocked", err)
			}
			return nil
		})
	}))
}
