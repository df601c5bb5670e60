package main

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

var (
	accountID     = repo.Col(func(a *Account) *int64 { return &a.ID })
	accountEmail  = repo.Col(func(a *Account) *string { return &a.Email })
	accountCity   = repo.Col(func(a *Account) *string { return &a.City })
	accountAge    = repo.Col(func(a *Account) *int { return &a.Age })
	accountActive = repo.Col(func(a *Account) *bool { return &a.Active })
	accountNick   = repo.Col(func(a *Account) **string { return &a.Nick })
)

// ours is the repository, on a pool with everything that it has by default.
type ours struct {
	pool     *pgdbm.Pool
	db       *pgdbm.Manager
	accounts *repo.Repository[Account]
	cursors  map[int64]string // of pages that were read, by their last row
}

func openRepo(ctx context.Context, dsn string, t *tape) (Library, error) {
	cfg := pgdbm.Config{ConnString: dsn}
	if t != nil {
		cfg.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
			cc.DialFunc = t.dial
			return nil
		}
	}
	pool, err := pgdbm.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	db, err := pool.Manager(schema)
	if err != nil {
		return nil, err
	}
	accounts, err := repo.New[Account](db, "accounts")
	return &ours{pool, db, accounts, map[int64]string{}}, err
}

func (*ours) Name() string { return "repo" }
func (l *ours) Close()     { _ = l.pool.Close(context.Background()) }

func (l *ours) Insert(ctx context.Context, a *Account) error { return l.accounts.Insert(ctx, a) }

func (l *ours) Get(ctx context.Context, id int64) (Account, error) { return l.accounts.Get(ctx, id) }

func (l *ours) List(ctx context.Context, n int) ([]Account, error) {
	return l.accounts.Where().OrderBy(accountID.Asc()).Limit(n).All(ctx)
}

func (l *ours) Filter(ctx context.Context, f Filter) ([]Account, error) {
	q := l.accounts.Where()
	if f.City != "" {
		q = q.Where(accountCity.Eq(f.City))
	}
	if f.MinAge > 0 {
		q = q.Where(accountAge.Ge(f.MinAge))
	}
	if f.Active != nil {
		q = q.Where(accountActive.Eq(*f.Active))
	}
	return q.OrderBy(accountID.Asc()).Limit(20).All(ctx)
}

func (l *ours) Update(ctx context.Context, a *Account) error { return l.accounts.Update(ctx, a) }

func (l *ours) Patch(ctx context.Context, id int64, nick string, older int) error {
	n, err := l.accounts.ByKey(id).Update(ctx, accountNick.Set(&nick), repo.Add(accountAge, older))
	if err != nil {
		return err
	}
	return check(n == 1, "number of rows")
}

func (l *ours) Upsert(ctx context.Context, a *Account) error {
	_, err := l.accounts.Upsert(ctx, a, accountEmail)
	return err
}

func (l *ours) InsertAll(ctx context.Context, rows []Account) error {
	return l.accounts.InsertAll(ctx, rows)
}

func (l *ours) Copy(ctx context.Context, rows []Account) error {
	n, err := l.accounts.Copy(ctx, slices.Values(rows))
	if err != nil {
		return err
	}
	return check(int(n) == len(rows), "number of rows")
}

func (l *ours) UpsertAll(ctx context.Context, rows []Account) error {
	_, err := l.accounts.UpsertAll(ctx, rows, accountEmail)
	return err
}

func (l *ours) Delete(ctx context.Context, id int64) error { return l.accounts.Delete(ctx, id) }

func (l *ours) Three(ctx context.Context, id int64) error {
	return l.db.InTx(ctx, func(tx *pgdbm.Tx) error {
		accounts := l.accounts.In(tx)
		a, err := accounts.Get(ctx, id)
		if err != nil {
			return err
		}
		if _, err := accounts.ByKey(id).Update(ctx, repo.Add(accountAge, 1)); err != nil {
			return err
		}
		a.ID, a.CreatedAt, a.Email = 0, time.Time{}, a.Email+".copy"
		return accounts.Insert(ctx, &a)
	})
}

func (l *ours) Count(ctx context.Context, age int) (int64, error) {
	return l.accounts.Where(accountAge.Ge(age)).Count(ctx)
}

func (l *ours) Exists(ctx context.Context, email string) (bool, error) {
	return l.accounts.Where(accountEmail.Eq(email)).Exists(ctx)
}

func (l *ours) Page(ctx context.Context, after *Account, n int) ([]Account, error) {
	q := l.accounts.Where().OrderBy(accountAge.Asc()).Limit(n)
	if after != nil {
		q = q.After(l.cursors[after.ID])
	}
	page, err := q.Page(ctx)
	if after == nil && len(page.Rows) > 0 {
		l.cursors[page.Rows[len(page.Rows)-1].ID] = page.Next
	}
	return page.Rows, err
}
