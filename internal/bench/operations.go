package main

import (
	"context"
	"fmt"
	"time"
)

// operation is something that is measured.
type operation struct {
	name    string
	times   int // in a round
	reads   bool
	replays bool // COPY does not: it reads at any time

	// prepare does what is not measured, and returns what is.
	prepare func(ctx context.Context, t *table, l Library, times int) (func(i int) error, error)
}

var operations = []operation{
	{"insert one", 300, false, true, func(ctx context.Context, t *table, l Library, times int) (func(int) error, error) {
		rows := t.rows(times)
		return func(i int) error {
			if err := l.Insert(ctx, &rows[i]); err != nil {
				return err
			}
			return check(rows[i].ID > base && !rows[i].CreatedAt.IsZero(), "read back")
		}, nil
	}},
	{"get by key", 600, true, true, func(ctx context.Context, _ *table, l Library, _ int) (func(int) error, error) {
		return func(i int) error {
			a, err := l.Get(ctx, int64(100+i))
			if err != nil {
				return err
			}
			return check(a.Email == fmt.Sprint("user", 100+i, "@example.org"), "row")
		}, nil
	}},
	{"list 100", 100, true, true, list(100)},
	{"list 10,000", 3, true, true, list(10_000)},
	{"filtered list, 3 dynamic conditions", 200, true, true, func(ctx context.Context, _ *table, l Library, _ int) (func(int) error, error) {
		return func(i int) error {
			rows, err := l.Filter(ctx, Filter{City: fmt.Sprint("city", i%50), MinAge: 40, Active: new(i%2 == 0)})
			if err != nil {
				return err
			}
			return check(len(rows) == 20, "number of rows")
		}, nil
	}},
	{"keyset page of 50", 200, true, true, func(ctx context.Context, _ *table, l Library, _ int) (func(int) error, error) {
		rows, err := l.Page(ctx, nil, 50)
		if err != nil {
			return nil, err
		}
		last := rows[len(rows)-1]
		return func(int) error {
			rows, err := l.Page(ctx, &last, 50)
			if err != nil {
				return err
			}
			if err := check(len(rows) == 50 && rows[0].ID > last.ID, "page"); err != nil {
				return err
			}
			return nil
		}, nil
	}},
	{"count", 40, true, true, func(ctx context.Context, _ *table, l Library, _ int) (func(int) error, error) {
		return func(int) error {
			n, err := l.Count(ctx, 45)
			if err != nil {
				return err
			}
			return check(n > base/3 && n < base, "number")
		}, nil
	}},
	{"exists", 600, true, true, func(ctx context.Context, _ *table, l Library, _ int) (func(int) error, error) {
		return func(i int) error {
			ok, err := l.Exists(ctx, fmt.Sprint("user", 1+i, "@example.org"))
			if err != nil {
				return err
			}
			return check(ok, "answer")
		}, nil
	}},
	{"update one", 300, false, true, eachStored(func(ctx context.Context, l Library, a *Account) error {
		a.Age++
		return l.Update(ctx, a)
	})},
	{"partial update", 300, false, true, eachStored(func(ctx context.Context, l Library, a *Account) error {
		return l.Patch(ctx, a.ID, "al", 1)
	})},
	{"upsert one", 300, false, true, eachStored(func(ctx context.Context, l Library, a *Account) error {
		id := a.ID
		a.ID, a.CreatedAt, a.Age = 0, time.Time{}, a.Age+1
		if err := l.Upsert(ctx, a); err != nil {
			return err
		}
		return check(a.ID == id, "row")
	})},
	{"delete one", 300, false, true, eachStored(func(ctx context.Context, l Library, a *Account) error { return l.Delete(ctx, a.ID) })},
	{"transaction of 3 statements", 150, false, true, eachStored(func(ctx context.Context, l Library, a *Account) error { return l.Three(ctx, a.ID) })},
	{"bulk insert 1,000", 5, false, true, bulk(1000, Library.InsertAll, true)},
	{"bulk insert 10,000", 2, false, true, bulk(10_000, Library.InsertAll, true)},
	{"bulk insert 10,000, nothing read back", 2, false, false, bulk(10_000, Library.Copy, false)},
	{"bulk upsert 1,000", 5, false, true, func(ctx context.Context, t *table, l Library, _ int) (func(int) error, error) {
		rows, err := t.stored(ctx, 500)
		for i := range rows {
			rows[i].ID, rows[i].CreatedAt, rows[i].Age = 0, time.Time{}, rows[i].Age+1
		}
		rows = append(rows, t.rows(500)...)
		return func(int) error { return l.UpsertAll(ctx, rows) }, err
	}},
}

func list(n int) func(context.Context, *table, Library, int) (func(int) error, error) {
	return func(ctx context.Context, _ *table, l Library, _ int) (func(int) error, error) {
		return func(int) error {
			rows, err := l.List(ctx, n)
			if err != nil {
				return err
			}
			return check(len(rows) == n && rows[n-1].ID == int64(n) && rows[2].Nick != nil, "rows")
		}, nil
	}
}

// eachStored does something to a row that was stored before, another one each time.
func eachStored(do func(context.Context, Library, *Account) error) func(context.Context, *table, Library, int) (func(int) error, error) {
	return func(ctx context.Context, t *table, l Library, times int) (func(int) error, error) {
		rows, err := t.stored(ctx, times)
		return func(i int) error { return do(ctx, l, &rows[i]) }, err
	}
}

func bulk(n int, do func(Library, context.Context, []Account) error, filled bool) func(context.Context, *table, Library, int) (func(int) error, error) {
	return func(ctx context.Context, t *table, l Library, times int) (func(int) error, error) {
		all := make([][]Account, times)
		for i := range all {
			all[i] = t.rows(n)
		}
		return func(i int) error {
			if err := do(l, ctx, all[i]); err != nil {
				return err
			}
			return check(!filled || all[i][n-1].ID > base, "read back")
		}, nil
	}
}
