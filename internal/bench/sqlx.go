package main

import (
	"context"
	"slices"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
	"github.com/jmoiron/sqlx"
	"github.com/jmoiron/sqlx/reflectx"
)

// withSqlx is sqlx on pgx's driver for database/sql.
type withSqlx struct{ db *sqlx.DB }

func openSqlx(ctx context.Context, dsn string) (Library, error) {
	db, err := sqlx.ConnectContext(ctx, "pgx", dsn)
	if err != nil {
		return nil, err
	}
	pooled(db.DB)
	db.Mapper = reflectx.NewMapperTagFunc("db", strings.ToLower, func(tag string) string { // without options
		name, _, _ := strings.Cut(tag, ",")
		return name
	})
	return withSqlx{db}, nil
}

func (withSqlx) Name() string { return "sqlx" }
func (l withSqlx) Close()     { _ = l.db.Close() }

const (
	named       = ":email, :name, :city, :age, :nick, :score, :active, :updated_at"
	namedInsert = "insert into " + accounts + " (" + settable + ") values (" + named + ")"
	selection   = "select " + columns + " from " + accounts
)

// write runs a statement with named parameters and reads one row back.
func (l withSqlx) write(ctx context.Context, db sqlx.ExtContext, sql string, a *Account) error {
	rows, err := sqlx.NamedQueryContext(ctx, db, sql+" returning "+columns, a)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		if err := rows.StructScan(a); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (l withSqlx) Insert(ctx context.Context, a *Account) error {
	return l.write(ctx, l.db, namedInsert, a)
}

func (l withSqlx) Get(ctx context.Context, id int64) (a Account, err error) {
	return a, l.db.GetContext(ctx, &a, selection+" where id = $1", id)
}

func (l withSqlx) List(ctx context.Context, n int) (list []Account, err error) {
	return list, l.db.SelectContext(ctx, &list, selection+" order by id limit $1", n)
}

func (l withSqlx) Filter(ctx context.Context, f Filter) (list []Account, err error) {
	var (
		conds []string
		args  []any
	)
	if f.City != "" {
		conds, args = append(conds, "city = ?"), append(args, f.City)
	}
	if f.MinAge > 0 {
		conds, args = append(conds, "age >= ?"), append(args, f.MinAge)
	}
	if f.Active != nil {
		conds, args = append(conds, "active = ?"), append(args, *f.Active)
	}
	sql := selection
	if len(conds) > 0 {
		sql += " where " + strings.Join(conds, " and ")
	}
	return list, l.db.SelectContext(ctx, &list, l.db.Rebind(sql+" order by id limit ?"), append(args, 20)...)
}

func (l withSqlx) Update(ctx context.Context, a *Account) error {
	return l.write(ctx, l.db, "update "+accounts+` set email = :email, name = :name, city = :city, age = :age, nick = :nick,
		score = :score, active = :active, updated_at = :updated_at where id = :id`, a)
}

func (l withSqlx) Patch(ctx context.Context, id int64, nick string, older int) error {
	_, err := l.db.ExecContext(ctx, "update "+accounts+" set nick = $1, age = age + $2 where id = $3", nick, older, id)
	return err
}

func (l withSqlx) Upsert(ctx context.Context, a *Account) error {
	return l.write(ctx, l.db, namedInsert+overwrite, a)
}

func (l withSqlx) InsertAll(ctx context.Context, rows []Account) error {
	for part := range slices.Chunk(rows, 1000) {
		result, err := l.db.NamedQueryContext(ctx, namedInsert+" returning "+columns, part)
		if err != nil {
			return err
		}
		for i := 0; result.Next(); i++ {
			if err := result.StructScan(&part[i]); err != nil {
				return err
			}
		}
		if err := result.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (l withSqlx) Copy(ctx context.Context, rows []Account) error {
	for part := range slices.Chunk(rows, 1000) {
		if _, err := l.db.NamedExecContext(ctx, namedInsert, part); err != nil {
			return err
		}
	}
	return nil
}

func (l withSqlx) UpsertAll(ctx context.Context, rows []Account) error {
	_, err := l.db.NamedExecContext(ctx, namedInsert+overwrite, rows)
	return err
}

func (l withSqlx) Delete(ctx context.Context, id int64) error {
	_, err := l.db.ExecContext(ctx, "delete from "+accounts+" where id = $1", id)
	return err
}

func (l withSqlx) Three(ctx context.Context, id int64) error {
	tx, err := l.db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var a Account
	if err := tx.GetContext(ctx, &a, selection+" where id = $1", id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "update "+accounts+" set age = age + $1 where id = $2", 1, id); err != nil {
		return err
	}
	a.Email += ".copy"
	if err := l.write(ctx, tx, namedInsert, &a); err != nil {
		return err
	}
	return tx.Commit()
}

func (l withSqlx) Count(ctx context.Context, age int) (n int64, err error) {
	return n, l.db.GetContext(ctx, &n, "select count(*) from "+accounts+" where age >= $1", age)
}

func (l withSqlx) Exists(ctx context.Context, email string) (ok bool, err error) {
	return ok, l.db.GetContext(ctx, &ok, "select exists (select from "+accounts+" where email = $1)", email)
}

func (l withSqlx) Page(ctx context.Context, after *Account, n int) (list []Account, err error) {
	if after == nil {
		return list, l.db.SelectContext(ctx, &list, selection+" order by age, id limit $1", n)
	}
	return list, l.db.SelectContext(ctx, &list, selection+" where (age, id) > ($1, $2) order by age, id limit $3", after.Age, after.ID, n)
}
