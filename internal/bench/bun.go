package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/driver/pgdriver"
)

// withBun is bun with its own driver, as in its documentation.
type withBun struct{ db *bun.DB }

func openBun(_ context.Context, dsn string) (Library, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	network, address := "tcp", fmt.Sprint(cfg.Host, ":", cfg.Port)
	if strings.HasPrefix(cfg.Host, "/") {
		network, address = "unix", fmt.Sprint(cfg.Host, "/.s.PGSQL.", cfg.Port)
	}
	connector := pgdriver.NewConnector(pgdriver.WithNetwork(network), pgdriver.WithAddr(address), pgdriver.WithInsecure(true),
		pgdriver.WithUser(cfg.User), pgdriver.WithPassword(cfg.Password), pgdriver.WithDatabase(cfg.Database))
	return withBun{bun.NewDB(pooled(sql.OpenDB(connector)), pgdialect.New())}, nil
}

// pooled lets a pool of database/sql keep its connections, as pgx's does.
func pooled(db *sql.DB) *sql.DB {
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	return db
}

func (withBun) Name() string { return "bun" }
func (l withBun) Close()     { _ = l.db.Close() }

func (l withBun) Insert(ctx context.Context, a *Account) error {
	_, err := l.db.NewInsert().Model(a).Returning("*").Exec(ctx)
	return err
}

func (l withBun) Get(ctx context.Context, id int64) (a Account, err error) {
	return a, l.db.NewSelect().Model(&a).Where("id = ?", id).Scan(ctx)
}

func (l withBun) List(ctx context.Context, n int) (list []Account, err error) {
	return list, l.db.NewSelect().Model(&list).Order("id").Limit(int64(n)).Scan(ctx)
}

func (l withBun) Filter(ctx context.Context, f Filter) (list []Account, err error) {
	q := l.db.NewSelect().Model(&list)
	if f.City != "" {
		q = q.Where("city = ?", f.City)
	}
	if f.MinAge > 0 {
		q = q.Where("age >= ?", f.MinAge)
	}
	if f.Active != nil {
		q = q.Where("active = ?", *f.Active)
	}
	return list, q.Order("id").Limit(20).Scan(ctx)
}

func (l withBun) Update(ctx context.Context, a *Account) error {
	_, err := l.db.NewUpdate().Model(a).ExcludeColumn("created_at").WherePK().Returning("*").Exec(ctx)
	return err
}

func (l withBun) Patch(ctx context.Context, id int64, nick string, older int) error {
	_, err := l.db.NewUpdate().Model((*Account)(nil)).Set("nick = ?", nick).Set("age = age + ?", older).Where("id = ?", id).Exec(ctx)
	return err
}

func (l withBun) overwrite(q *bun.InsertQuery) *bun.InsertQuery {
	q = q.On("conflict (email) do update")
	for column := range strings.SplitSeq(strings.TrimPrefix(settable, "email, "), ", ") {
		q = q.Set("? = excluded.?", bun.Ident(column), bun.Ident(column))
	}
	return q
}

func (l withBun) Upsert(ctx context.Context, a *Account) error {
	_, err := l.overwrite(l.db.NewInsert().Model(a)).Returning("*").Exec(ctx)
	return err
}

func (l withBun) InsertAll(ctx context.Context, rows []Account) error {
	_, err := l.db.NewInsert().Model(&rows).Returning("*").Exec(ctx)
	return err
}

func (l withBun) Copy(ctx context.Context, rows []Account) error {
	_, err := l.db.NewInsert().Model(&rows).Returning("NULL").Exec(ctx)
	return err
}

func (l withBun) UpsertAll(ctx context.Context, rows []Account) error {
	_, err := l.overwrite(l.db.NewInsert().Model(&rows)).Returning("NULL").Exec(ctx)
	return err
}

func (l withBun) Delete(ctx context.Context, id int64) error {
	_, err := l.db.NewDelete().Model((*Account)(nil)).Where("id = ?", id).Exec(ctx)
	return err
}

func (l withBun) Three(ctx context.Context, id int64) error {
	return l.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var a Account
		if err := tx.NewSelect().Model(&a).Where("id = ?", id).Scan(ctx); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model((*Account)(nil)).Set("age = age + ?", 1).Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		a.ID, a.CreatedAt, a.Email = 0, time.Time{}, a.Email+".copy"
		_, err := tx.NewInsert().Model(&a).Returning("*").Exec(ctx)
		return err
	})
}

func (l withBun) Count(ctx context.Context, age int) (int64, error) {
	n, err := l.db.NewSelect().Model((*Account)(nil)).Where("age >= ?", age).Count(ctx)
	return int64(n), err
}

func (l withBun) Exists(ctx context.Context, email string) (bool, error) {
	return l.db.NewSelect().Model((*Account)(nil)).Where("email = ?", email).Exists(ctx)
}

func (l withBun) Page(ctx context.Context, after *Account, n int) (list []Account, err error) {
	q := l.db.NewSelect().Model(&list)
	if after != nil {
		q = q.Where("(age, id) > (?, ?)", after.Age, after.ID)
	}
	return list, q.Order("age", "id").Limit(int64(n)).Scan(ctx)
}
