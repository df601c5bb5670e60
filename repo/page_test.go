package repo_test

import (
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

type point struct {
	A    int    `db:"a,key"`
	B    string `db:"b,key"`
	Rank int32  `db:"rank"`
	Note string `db:"note"`
}

var (
	pointA    = repo.Col(func(p *point) *int { return &p.A })
	pointB    = repo.Col(func(p *point) *string { return &p.B })
	pointRank = repo.Col(func(p *point) *int32 { return &p.Rank })
)

const pointTable = `create table {{tables.points}} (a int, b text collate "C", rank int not null, note text not null default '', primary key (a, b))`

func TestPagesInEveryOrder(t *testing.T) {
	t.Parallel()
	db := open(t, pointTable, `insert into {{tables.points}} select i % 10, 'b' || i, i % 7, '' from generate_series(1, 60) i`)
	points := newRepo[point](t, db, "points")
	for name, order := range map[string][]repo.Order[point]{
		"key":       nil,
		"ascending": {pointRank.Asc()},
		"backward":  {pointRank.Desc()},
		"mixed":     {pointRank.Desc(), pointB.Asc()},
		"mixed too": {pointRank.Asc(), pointA.Desc(), pointB.Asc()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := points.Where(pointRank.Ge(1)).OrderBy(order...).Limit(9)
			var pages []repo.Page[point]
			for cursor := ""; len(pages) == 0 || cursor != ""; {
				page, err := q.After(cursor).Page(t.Context())
				if check(t, err); len(page.Rows) == 0 {
					t.Fatal("an empty page behind a cursor")
				}
				pages = append(pages, page)
				cursor = page.Next
			}
			var walked []point
			for _, p := range pages {
				walked = append(walked, p.Rows...)
			}
			if len(walked) != 52 || len(slices.Compact(slices.Clone(walked))) != 52 {
				t.Fatalf("%d rows", len(walked))
			}
			want, err := points.Where(pointRank.Ge(1)).OrderBy(order...).All(t.Context())
			check(t, err)
			for i := range walked {
				if len(order) > 0 && walked[i].Rank != want[i].Rank {
					t.Fatalf("row %d has rank %d, want %d", i, walked[i].Rank, want[i].Rank)
				}
			}
			if pages[0].Prev != "" || pages[len(pages)-1].Next != "" {
				t.Error("the ends have cursors")
			}
			i := len(pages) - 2
			for cursor := pages[len(pages)-1].Prev; cursor != ""; i-- {
				page, err := q.Before(cursor).Page(t.Context())
				if check(t, err); !slices.Equal(page.Rows, pages[i].Rows) || page.Next == "" {
					t.Fatalf("page %d backwards: %+v, want %+v", i, page, pages[i])
				}
				cursor = page.Prev
			}
			if i != -1 {
				t.Errorf("stopped %d pages before the first", i+1)
			}
			last, err := q.Before("").Page(t.Context())
			if check(t, err); last.Rows[8] != walked[51] || last.Next != "" || last.Prev == "" {
				t.Errorf("the last page is %+v", last)
			}
		})
	}
}

func TestPagesWhileRowsComeAndGo(t *testing.T) {
	t.Parallel()
	db := open(t, pointTable, `insert into {{tables.points}} select i, 'x', i % 13, 'stays' from generate_series(1, 10000) i`)
	points := newRepo[point](t, db, "points")
	q := points.Where().OrderBy(pointRank.Desc()).Limit(97)
	seen := map[int]bool{}
	deleted := map[int]bool{}
	for cursor, n := "", 0; ; n++ {
		page, err := q.After(cursor).Page(t.Context())
		check(t, err)
		for _, p := range page.Rows {
			if seen[p.A] {
				t.Fatalf("row %d seen twice", p.A)
			}
			seen[p.A] = true
		}
		if page.Next == "" {
			break
		}
		cursor = page.Next
		gone := rand.IntN(10000) + 1
		_, err = points.Where(pointA.In(gone, page.Rows[len(page.Rows)-1].A)).Delete(t.Context())
		check(t, err)
		deleted[gone], deleted[page.Rows[len(page.Rows)-1].A] = true, true
		insert(t, points, point{A: 20000 + n, B: "new", Rank: rand.Int32N(13)})
	}
	for a := 1; a <= 10000; a++ {
		if !seen[a] && !deleted[a] {
			t.Errorf("row %d was there all the time and not seen", a)
		}
	}
}

func TestPageMisuse(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	ctx := t.Context()
	insert(t, users, user{Email: "a@x"}, user{Email: "b@x"})
	q := users.Where().OrderBy(userAge.Asc())
	_, err := q.Page(ctx)
	wantError(t, err, "repo: users: Page without a Limit", "add Limit(50)")
	_, err = q.Limit(0).Page(ctx)
	wantError(t, err, "Page without a Limit")
	_, err = q.Limit(5).After("").Before("").Page(ctx)
	wantError(t, err, "After and Before are given twice")
	_, err = q.OrderBy(userNick.Asc()).Limit(5).Page(ctx)
	wantError(t, err, "column nick can be NULL (*string)")
	_, err = q.Limit(5).After("x").All(ctx)
	wantError(t, err, "All does not take After or Before; they belong to Page")

	page, err := q.Limit(1).Page(ctx)
	check(t, err)
	for name, run := range map[string]func() error{
		"another order": func() error {
			_, err := users.Where().OrderBy(userAge.Desc()).Limit(1).After(page.Next).Page(ctx)
			return err
		},
		"not base64":        func() error { _, err := q.Limit(1).After("%").Page(ctx); return err },
		"cut":               func() error { _, err := q.Limit(1).After(page.Next[:len(page.Next)-3]).Page(ctx); return err },
		"without signature": func() error { _, err := q.Limit(1).After("AAAA").Page(ctx); return err },
		"other values":      func() error { _, err := q.Limit(1).After(withValues(t, page.Next, `["a","b"]`)).Page(ctx); return err },
		"null": func() error {
			_, err := q.Limit(1).After(withValues(t, page.Next, `[null,null]`)).Page(ctx)
			return err
		},
		"too few":   func() error { _, err := q.Limit(1).After(withValues(t, page.Next, `[1]`)).Page(ctx); return err },
		"too large": func() error { _, err := q.Limit(1).After(withValues(t, page.Next, `[1,1e30]`)).Page(ctx); return err },
	} {
		err := run()
		if !errors.Is(err, repo.ErrCursor) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantError(t, err, "repo: users: the cursor was changed or belongs to another order")
	}
}

// withValues exchanges the values in a cursor.
func withValues(tb testing.TB, cursor, values string) string {
	tb.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	check(tb, err)
	return base64.RawURLEncoding.EncodeToString(append(raw[:8:8], values...))
}

func FuzzCursor(f *testing.F) {
	db := offline(f)
	points := newRepo[point](f, db, "points")
	for _, seed := range []string{"", "AAAA", "====", "AAAAAAAAAABbXQ"} {
		f.Add(seed)
	}
	q := points.Where().OrderBy(pointRank.Desc(), pointB.Asc()).Limit(2)
	f.Fuzz(func(t *testing.T, cursor string) {
		if cursor == "" {
			return
		}
		_, err := q.After(cursor).Page(t.Context())
		if err == nil || !errors.Is(err, repo.ErrCursor) && !errors.Is(err, pgdbm.ErrUnavailable) {
			t.Fatalf("cursor %q: %v", cursor, err)
		}
	})
}

// offline returns a manager of a server that is not there.
func offline(tb testing.TB) *pgdbm.Manager {
	tb.Helper()
	pool, err := pgdbm.New(pgdbm.Config{ConnString: "host=/nonexistent user=nobody", Pooler: pgdbm.PoolerNone})
	check(tb, err)
	db, err := pool.Manager("app")
	check(tb, err)
	return db
}
