package repo_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func manyUsers(n int) []user {
	rows := make([]user, n)
	for i := range rows {
		rows[i] = user{Email: fmt.Sprintf("u%d@x", i), Age: i % 90}
		if i%3 == 0 {
			rows[i].Nick = new(fmt.Sprint("nick", i))
		}
	}
	return rows
}

func TestInsertAll(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 8, 9, 1000, 12000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			_, users := setup(t)
			rows := manyUsers(n)
			check(t, users.InsertAll(t.Context(), rows))
			stored, err := users.Where().OrderBy(userID.Asc()).All(t.Context())
			check(t, err)
			if len(stored) != n {
				t.Fatalf("%d rows stored", len(stored))
			}
			for i, u := range rows {
				s := stored[i]
				if u.ID != s.ID || u.Email != fmt.Sprintf("u%d@x", i) || s.Email != u.Email || u.Version != 1 ||
					(u.Nick == nil) != (i%3 != 0) || !u.CreatedAt.Equal(s.CreatedAt) || u.UpdatedAt.IsZero() {
					t.Fatalf("row %d: filled in %+v, stored %+v", i, u, s)
				}
			}
		})
	}
}

func TestInsertAllIsAllOrNothing(t *testing.T) {
	t.Parallel()
	for _, n := range []int{5, 50, 11000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			_, users := setup(t)
			rows := manyUsers(n)
			rows[n-1].Email = rows[0].Email
			err := users.InsertAll(t.Context(), rows)
			if !errors.Is(err, pgdbm.ErrConflict) {
				t.Errorf("got %v, want ErrConflict", err)
			}
			wantError(t, err, "repo: users: conflict")
			if rows[0].ID != 0 || rows[0].Version != 0 {
				t.Errorf("changed: %+v", rows[0])
			}
			ok, err := users.Where().Exists(t.Context())
			if check(t, err); ok {
				t.Error("some rows are stored")
			}
		})
	}
}

func TestInsertAllWithSomeKeysSet(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	rows := manyUsers(30)
	for i := range rows {
		if i%2 == 0 {
			rows[i].ID = int64(1000 + i)
		}
		if i%5 == 0 {
			rows[i].CreatedAt = at
		}
	}
	check(t, users.InsertAll(t.Context(), rows))
	for i := range rows {
		got, err := users.Get(t.Context(), rows[i].ID)
		check(t, err)
		if got.Email != fmt.Sprintf("u%d@x", i) || (i%2 == 0) != (got.ID == int64(1000+i)) || (i%5 == 0) != got.CreatedAt.Equal(at) {
			t.Errorf("row %d: %+v", i, got)
		}
	}
}

func TestUpsertAll(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	rows := manyUsers(3000)
	check(t, users.InsertAll(t.Context(), rows[:1000]))
	again := manyUsers(3000)
	for i := range again {
		again[i].Age = -1
	}
	n, err := users.UpsertAll(t.Context(), again, userEmail)
	if check(t, err); n != 3000 {
		t.Errorf("%d rows", n)
	}
	if n, err = users.Where(userAge.Eq(-1)).Count(t.Context()); err != nil || n != 3000 {
		t.Errorf("%d rows, %v", n, err)
	}
	if n, err = users.Where(userVersion.Eq(2)).Count(t.Context()); err != nil || n != 1000 {
		t.Errorf("%d rows updated, %v", n, err)
	}
}

func TestUpsertAllRefusesTwoRowsForOnePlace(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	rows := manyUsers(2)
	rows[1].Email = rows[0].Email
	_, err := users.UpsertAll(t.Context(), rows, userEmail)
	if !errors.Is(err, pgdbm.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	wantError(t, err, "repo: users: UpsertAll: two of the rows are for the same place")
}

func TestUpsertAllDoesNotReviveSoftDeletedRows(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	rows := insert(t, users, manyUsers(3)...)
	check(t, users.Delete(t.Context(), rows[1].ID))
	_, err := users.UpsertAll(t.Context(), rows)
	if !errors.Is(err, pgdbm.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	got, err := users.Get(t.Context(), rows[0].ID)
	if check(t, err); got.Version != 1 {
		t.Errorf("a part was stored: %+v", got)
	}
}

func TestBulkOfAHundredThousand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("100,000 rows")
	}
	_, users := setup(t)
	rows := manyUsers(100_000)
	check(t, users.InsertAll(t.Context(), rows))
	n, err := users.UpsertAll(t.Context(), rows, userEmail)
	if check(t, err); n != 100_000 {
		t.Errorf("%d rows", n)
	}
	rows[99_999].Email = rows[0].Email
	_, err = users.UpsertAll(t.Context(), rows, userEmail)
	wantError(t, err, "two of the rows are for the same place")
}
