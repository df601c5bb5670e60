package repo_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

func emails(rows []user) []string {
	var out []string
	for _, u := range rows {
		out = append(out, u.Email)
	}
	slices.Sort(out)
	return out
}

func TestWritesReturnTheirRows(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	ctx := t.Context()
	rows := insert(t, users, manyUsers(6)...)
	young := users.Where(userAge.Lt(2))

	got, err := young.UpdateReturning(ctx, repo.Add(userAge, 50), userNick.Set(new("old")))
	check(t, err)
	if !slices.Equal(emails(got), []string{"u0@x", "u1@x"}) || got[0].Age < 50 || *got[0].Nick != "old" || got[0].Version != 2 || !got[0].UpdatedAt.After(rows[0].UpdatedAt) {
		t.Errorf("updated: %+v", got)
	}
	got, err = young.UpdateReturning(ctx, userAge.Set(1))
	if err != nil || got == nil || len(got) != 0 {
		t.Errorf("updated none: %v, %v", got, err)
	}

	got, err = users.Where(userAge.Ge(50)).DeleteReturning(ctx)
	check(t, err)
	if !slices.Equal(emails(got), []string{"u0@x", "u1@x"}) || got[0].DeletedAt == nil || got[0].Version != 3 {
		t.Errorf("deleted: %+v", got)
	}
	got, err = users.Where(userAge.Ge(50)).WithDeleted().DeleteReturning(ctx)
	if err != nil || len(got) != 0 {
		t.Errorf("deleted again: %v, %v", got, err)
	}

	got, err = users.Where(userAge.Ge(5)).WithDeleted().PurgeReturning(ctx)
	check(t, err)
	if !slices.Equal(emails(got), []string{"u0@x", "u1@x", "u5@x"}) {
		t.Errorf("purged: %+v", got)
	}
	n, err := users.Where().WithDeleted().Count(ctx)
	if check(t, err); n != 3 {
		t.Errorf("%d rows are left", n)
	}

	for want, err := range map[string]error{
		"UpdateReturning without a condition would reach every row":         second(users.Where().UpdateReturning(ctx, userAge.Set(1))),
		"UpdateReturning without an assignment; write UpdateReturning(ctx,": second(young.UpdateReturning(ctx)),
		"UpdateReturning: column age is assigned twice":                     second(young.UpdateReturning(ctx, userAge.Set(1), userAge.Set(1))),
		"DeleteReturning without a condition would reach every row":         second(users.Where().DeleteReturning(ctx)),
		"PurgeReturning does not take OrderBy, Limit, After or Before":      second(young.Limit(1).PurgeReturning(ctx)),
	} {
		wantError(t, err, "repo: users: ", want)
	}
}

func TestDeleteReturningWithoutSoftDelete(t *testing.T) {
	t.Parallel()
	posts := newRepo[post](t, open(t, postTable), "posts")
	insert(t, posts, post{ID: 1, Title: "a"}, post{ID: 2, Title: "b"})
	got, err := posts.ByKey(1).DeleteReturning(t.Context())
	if err != nil || len(got) != 1 || got[0].Title != "a" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := posts.Get(t.Context(), 1); !errors.Is(err, pgdbm.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestInsertMissing(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	ctx := t.Context()
	u := user{Email: "a@x", Age: 1}
	ok, err := users.InsertMissing(ctx, &u, userEmail)
	if err != nil || !ok || u.ID == 0 || u.Version != 1 {
		t.Fatalf("%t, %v, %+v", ok, err, u)
	}
	again := user{Email: "a@x", Age: 2}
	for name, on := range map[string][]repo.Target[user]{"by email": {userEmail}, "by any index": nil} {
		if ok, err := users.InsertMissing(ctx, &again, on...); err != nil || ok || again != (user{Email: "a@x", Age: 2}) {
			t.Errorf("%s: %t, %v, %+v", name, ok, err, again)
		}
	}
	u.ID, u.Email = 0, "b@x"
	rows := []user{{Email: "a@x"}, {Email: "b@x"}, {Email: "c@x"}, {Email: "c@x"}, {ID: 77, Email: "d@x"}}
	n, err := users.InsertAllMissing(ctx, rows, userEmail)
	if err != nil || n != 3 {
		t.Errorf("%d rows, %v", n, err)
	}
	if n, err = users.InsertAllMissing(ctx, rows); err != nil || n != 0 {
		t.Errorf("again: %d rows, %v", n, err)
	}
	if n, err = users.InsertAllMissing(ctx, nil); err != nil || n != 0 {
		t.Errorf("none: %d rows, %v", n, err)
	}
	got, err := users.Where(userEmail.Eq("a@x")).One(ctx)
	if check(t, err); got.Age != 1 {
		t.Errorf("changed: %+v", got)
	}
	_, err = users.InsertMissing(ctx, nil)
	wantError(t, err, "InsertMissing: the row is nil")
	_, err = users.InsertMissing(ctx, &again, userAge)
	wantError(t, err, "repo: users: ", "no unique or exclusion constraint")
}

func TestInsertMissingByPartialIndex(t *testing.T) {
	t.Parallel()
	db := open(t, `create table {{tables.jobs}} (id int primary key, name text not null, state text not null);
		create unique index on {{tables.jobs}} (name) where state = 'active'`)
	type job struct {
		ID    int    `db:"id,key"`
		Name  string `db:"name"`
		State string `db:"state"`
	}
	name := repo.Col(func(j *job) *string { return &j.Name })
	active := name.Where(repo.SQL[job]("state = 'active'"))
	jobs := newRepo[job](t, db, "jobs")
	for i, want := range []bool{true, false} {
		if ok, err := jobs.InsertMissing(t.Context(), &job{i, "n", "active"}, active); err != nil || ok != want {
			t.Errorf("%d: %t, %v", i, ok, err)
		}
	}
	n, err := jobs.InsertAllMissing(t.Context(), []job{{5, "n", "done"}, {6, "n", "active"}, {7, "m", "active"}}, active)
	if err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
	n, err = jobs.UpsertAll(t.Context(), []job{{8, "n", "active"}, {9, "o", "active"}}, active)
	if err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestLocks(t *testing.T) {
	t.Parallel()
	db, users := setup(t)
	rows := insert(t, users, manyUsers(1)...)
	q := users.ByKey(rows[0].ID)
	locks := map[string]func(repo.Query[user], ...repo.Wait) repo.Query[user]{
		"update": repo.Query[user].ForUpdate, "no key update": repo.Query[user].ForNoKeyUpdate,
		"share": repo.Query[user].ForShare, "key share": repo.Query[user].ForKeyShare,
	}
	compatible := map[[2]string]bool{ // as in PostgreSQL's table of row-level locks
		{"key share", "key share"}: true, {"key share", "share"}: true, {"key share", "no key update"}: true,
		{"share", "key share"}: true, {"share", "share"}: true, {"no key update", "key share"}: true,
	}
	for held, hold := range locks {
		check(t, db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			if _, err := hold(users.In(tx).ByKey(rows[0].ID)).One(t.Context()); err != nil {
				return err
			}
			for wanted, lock := range locks {
				err := db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
					if _, err := lock(users.In(tx).ByKey(rows[0].ID), repo.NoWait).One(t.Context()); err != nil {
						return err
					}
					_, err := lock(users.In(tx).ByKey(rows[0].ID), repo.SkipLocked).One(t.Context())
					return err
				})
				if ok := compatible[[2]string{held, wanted}]; ok != (err == nil) || !ok && !errors.Is(err, pgdbm.ErrLocked) {
					t.Errorf("for %s while others hold for %s: %v", wanted, held, err)
				}
			}
			return nil
		}))
	}
	wantError(t, second(q.ForShare().All(t.Context())), "ForShare outside of a transaction")
	wantError(t, second(q.ForShare().ForUpdate().All(t.Context())), "ForShare and ForUpdate: a query takes one lock")
}
