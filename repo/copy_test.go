package repo_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestCopy(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	ctx := t.Context()
	before := time.Now().Add(-time.Hour)
	rows := manyUsers(20_000)
	n, err := users.Copy(ctx, slices.Values(rows))
	if check(t, err); n != 20_000 {
		t.Errorf("%d rows", n)
	}
	stored, err := users.Where().OrderBy(userID.Asc()).All(ctx)
	check(t, err)
	for i, u := range stored {
		if w := rows[i]; u.Email != w.Email || u.Age != w.Age || (u.Nick == nil) != (w.Nick == nil) || u.Version != 1 || u.CreatedAt.IsZero() || !u.UpdatedAt.After(before) {
			t.Fatalf("row %d: %+v", i, u)
		}
	}
	if rows[0].ID != 0 {
		t.Error("the rows were changed")
	}
	if n, err := users.Copy(ctx, slices.Values([]user(nil))); err != nil || n != 0 {
		t.Errorf("none: %d, %v", n, err)
	}
	n, err = users.Copy(ctx, slices.Values([]user{{ID: 90_001, Email: "a"}, {ID: 90_002, Email: "b"}}))
	if err != nil || n != 2 {
		t.Errorf("with ids: %d, %v", n, err)
	}
}

func TestCopyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	db, users := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	mixed := manyUsers(10)
	mixed[7].ID = 5
	mixedToo := manyUsers(10)
	for i := range 9 {
		mixedToo[i].ID = int64(100 + i)
	}
	twice := manyUsers(10)
	twice[9].Email = twice[0].Email
	for name, c := range map[string]struct {
		rows  iter.Seq[user]
		class error
		want  string
	}{
		"set in some rows":     {slices.Values(mixed), nil, "Copy: row 8 sets column id, which the first row leaves to the database; set it in all rows or in none"},
		"not set in some rows": {slices.Values(mixedToo), nil, "Copy: row 10 leaves column id to the database, which the first row sets"},
		"conflict":             {slices.Values(twice), pgdbm.ErrConflict, "repo: users: conflict"},
	} {
		_, err := users.Copy(ctx, c.rows)
		wantError(t, err, "repo: users: ", c.want)
		if c.class != nil && !errors.Is(err, c.class) {
			t.Errorf("%s: %v is no %v", name, err, c.class)
		}
	}
	_, err := users.Copy(ctx, func(yield func(user) bool) {
		for i := range 100_000 {
			if i == 500 {
				cancel()
			}
			if !yield(user{Email: fmt.Sprint(i)}) {
				return
			}
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if some, err := users.Where().Exists(t.Context()); err != nil || some {
		t.Errorf("some rows are stored: %v", err)
	}
	err = db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		n, err := users.In(tx).Copy(t.Context(), slices.Values(manyUsers(10)))
		if err != nil || n != 10 {
			t.Errorf("in a transaction: %d, %v", n, err)
		}
		return errors.New("back")
	})
	wantError(t, err, "back")
	if some, err := users.Where().Exists(t.Context()); err != nil || some {
		t.Errorf("rows of a transaction that was rolled back: %v", err)
	}
}

func TestCopyOfEveryType(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			things := newRepo[thing](t, openMode(t, mode, thingTable), "things")
			values, null := full(1), nulls(2)
			values.Moods = nil // an array of an enum has no place in COPY
			n, err := things.Copy(t.Context(), slices.Values([]thing{values, null}))
			if check(t, err); n != 2 {
				t.Errorf("%d rows", n)
			}
			for _, want := range []thing{values, null} {
				got, err := things.Get(t.Context(), want.ID, "eu")
				check(t, err)
				sameThing(t, "copied", got, want)
			}
		})
	}
}

func TestCopyOfAHundredThousand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("100,000 rows")
	}
	_, users := setup(t)
	n, err := users.Copy(t.Context(), func(yield func(user) bool) {
		for i := range 100_000 {
			if !yield(user{Email: fmt.Sprint(i), Age: i}) {
				return
			}
		}
	})
	if check(t, err); n != 100_000 {
		t.Errorf("%d rows", n)
	}
}

func TestCopyOfAnIteratorThatPanicsOrEnds(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	rows := func(end func()) iter.Seq[user] {
		return func(yield func(user) bool) {
			for i := range 100 {
				if i == 50 {
					end()
				}
				if !yield(user{Email: fmt.Sprint(i)}) {
					return
				}
			}
		}
	}
	var recovered any
	func() {
		defer func() { recovered = recover() }()
		_, _ = users.Copy(t.Context(), rows(func() { panic("the iterator") }))
	}()
	if recovered == nil {
		t.Error("the panic is gone")
	}
	returned, done := true, make(chan bool)
	go func() {
		defer func() { done <- true }()
		returned = false
		_, _ = users.Copy(t.Context(), rows(runtime.Goexit))
		returned = true
	}()
	<-done
	if returned {
		t.Error("the goroutine goes on")
	}
	if some, err := users.Where().Exists(t.Context()); err != nil || some {
		t.Errorf("some rows are stored: %v", err)
	}
}
