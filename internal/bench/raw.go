package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// raw is pgx as one writes it by hand who knows it: explicit columns, targets
// that are built once for a statement, arrays for many rows.
type raw struct{ pool *pgxpool.Pool }

func openRaw(ctx context.Context, dsn string, t *tape) (Library, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	if t != nil {
		cfg.ConnConfig.DialFunc = t.dial
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	return raw{pool}, err
}

func (raw) Name() string { return "pgx" }
func (l raw) Close()     { l.pool.Close() }

const (
	accounts = schema + ".accounts"
	columns  = "id, email, name, city, age, nick, score, active, created_at, updated_at"
	settable = "email, name, city, age, nick, score, active, updated_at"
)

func (a *Account) targets() []any {
	return []any{&a.ID, &a.Email, &a.Name, &a.City, &a.Age, &a.Nick, &a.Score, &a.Active, &a.CreatedAt, &a.UpdatedAt}
}

func (l raw) Insert(ctx context.Context, a *Account) error {
	return l.pool.QueryRow(ctx, "insert into "+accounts+" ("+settable+") values ($1, $2, $3, $4, $5, $6, $7, $8) returning "+columns,
		a.Email, a.Name, a.City, a.Age, a.Nick, a.Score, a.Active, a.UpdatedAt).Scan(a.targets()...)
}

func (l raw) Get(ctx context.Context, id int64) (a Account, err error) {
	return a, l.pool.QueryRow(ctx, "select "+columns+" from "+accounts+" where id = $1", id).Scan(a.targets()...)
}

func (l raw) query(ctx context.Context, n int, sql string, args ...any) ([]Account, error) {
	rows, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var a Account
	targets, list := a.targets(), make([]Account, 0, n)
	for rows.Next() {
		a.Nick = nil
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

func (l raw) List(ctx context.Context, n int) ([]Account, error) {
	return l.query(ctx, n, "select "+columns+" from "+accounts+" order by id limit $1", n)
}

func (l raw) Filter(ctx context.Context, f Filter) ([]Account, error) {
	var (
		conds []string
		args  []any
	)
	where := func(cond string, arg any) {
		args = append(args, arg)
		conds = append(conds, fmt.Sprintf(cond, len(args)))
	}
	if f.City != "" {
		where("city = $%d", f.City)
	}
	if f.MinAge > 0 {
		where("age >= $%d", f.MinAge)
	}
	if f.Active != nil {
		where("active = $%d", *f.Active)
	}
	sql := "select " + columns + " from " + accounts
	if len(conds) > 0 {
		sql += " where " + strings.Join(conds, " and ")
	}
	args = append(args, 20)
	return l.query(ctx, 20, fmt.Sprintf("%s order by id limit $%d", sql, len(args)), args...)
}

func (l raw) Update(ctx context.Context, a *Account) error {
	return l.pool.QueryRow(ctx, "update "+accounts+" set email = $1, name = $2, city = $3, age = $4, nick = $5, score = $6, active = $7, updated_at = $8 where id = $9 returning "+columns,
		a.Email, a.Name, a.City, a.Age, a.Nick, a.Score, a.Active, a.UpdatedAt, a.ID).Scan(a.targets()...)
}

func (l raw) Patch(ctx context.Context, id int64, nick string, older int) error {
	tag, err := l.pool.Exec(ctx, "update "+accounts+" set nick = $1, age = age + $2 where id = $3", nick, older, id)
	return one(tag, err)
}

func one(tag pgconn.CommandTag, err error) error {
	if err != nil {
		return err
	}
	return check(tag.RowsAffected() == 1, "number of rows")
}

const overwrite = " on conflict (email) do update set name = excluded.name, city = excluded.city, age = excluded.age, nick = excluded.nick, score = excluded.score, active = excluded.active, updated_at = excluded.updated_at"

func (l raw) Upsert(ctx context.Context, a *Account) error {
	return l.pool.QueryRow(ctx, "insert into "+accounts+" ("+settable+") values ($1, $2, $3, $4, $5, $6, $7, $8)"+overwrite+" returning "+columns,
		a.Email, a.Name, a.City, a.Age, a.Nick, a.Score, a.Active, a.UpdatedAt).Scan(a.targets()...)
}

const unnest = "insert into " + accounts + " (" + settable + `)
	select * from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::float8[], $7::bool[], $8::timestamptz[])`

// arrays returns the columns of rows as arrays.
func arrays(rows []Account) []any {
	n := len(rows)
	var (
		emails, names, cities = make([]string, n), make([]string, n), make([]string, n)
		ages, nicks           = make([]int, n), make([]*string, n)
		scores, active        = make([]float64, n), make([]bool, n)
		updated               = make([]any, n)
	)
	for i := range rows {
		a := &rows[i]
		emails[i], names[i], cities[i], ages[i], nicks[i] = a.Email, a.Name, a.City, a.Age, a.Nick
		scores[i], active[i], updated[i] = a.Score, a.Active, a.UpdatedAt
	}
	return []any{emails, names, cities, ages, nicks, scores, active, updated}
}

func (l raw) InsertAll(ctx context.Context, rows []Account) error {
	return insertAll(ctx, l.pool, rows)
}

func insertAll(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, rows []Account,
) error {
	result, err := db.Query(ctx, unnest+" returning "+columns, arrays(rows)...)
	if err != nil {
		return err
	}
	defer result.Close()
	var a Account
	targets := a.targets()
	for i := 0; result.Next(); i++ {
		a.Nick = nil
		if err := result.Scan(targets...); err != nil {
			return err
		}
		rows[i] = a
	}
	return result.Err()
}

func (l raw) Copy(ctx context.Context, rows []Account) error {
	names := strings.Split(settable, ", ")
	values := make([]any, len(names))
	n, err := l.pool.CopyFrom(ctx, pgx.Identifier{schema, "accounts"}, names, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		a := &rows[i]
		values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7] = a.Email, a.Name, a.City, a.Age, a.Nick, a.Score, a.Active, a.UpdatedAt
		return values, nil
	}))
	if err != nil {
		return err
	}
	return check(int(n) == len(rows), "number of rows")
}

func (l raw) UpsertAll(ctx context.Context, rows []Account) error {
	tag, err := l.pool.Exec(ctx, unnest+overwrite, arrays(rows)...)
	if err != nil {
		return err
	}
	return check(int(tag.RowsAffected()) == len(rows), "number of rows")
}

func (l raw) Delete(ctx context.Context, id int64) error {
	return one(l.pool.Exec(ctx, "delete from "+accounts+" where id = $1", id))
}

func (l raw) Three(ctx context.Context, id int64) error {
	return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		var a Account
		if err := tx.QueryRow(ctx, "select "+columns+" from "+accounts+" where id = $1", id).Scan(a.targets()...); err != nil {
			return err
		}
		if err := one(tx.Exec(ctx, "update "+accounts+" set age = age + $1 where id = $2", 1, id)); err != nil {
			return err
		}
		a.Email += ".copy"
		return tx.QueryRow(ctx, "insert into "+accounts+" ("+settable+") values ($1, $2, $3, $4, $5, $6, $7, $8) returning "+columns,
			a.Email, a.Name, a.City, a.Age, a.Nick, a.Score, a.Active, a.UpdatedAt).Scan(a.targets()...)
	})
}

func (l raw) Count(ctx context.Context, age int) (n int64, err error) {
	return n, l.pool.QueryRow(ctx, "select count(*) from "+accounts+" where age >= $1", age).Scan(&n)
}

func (l raw) Exists(ctx context.Context, email string) (ok bool, err error) {
	return ok, l.pool.QueryRow(ctx, "select exists (select from "+accounts+" where email = $1)", email).Scan(&ok)
}

func (l raw) Page(ctx context.Context, after *Account, n int) ([]Account, error) {
	if after == nil {
		return l.query(ctx, n, "select "+columns+" from "+accounts+" order by age, id limit $1", n)
	}
	return l.query(ctx, n, "select "+columns+" from "+accounts+" where (age, id) > ($1, $2) order by age, id limit $3", after.Age, after.ID, n)
}
