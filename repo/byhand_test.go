package repo_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// byHand is what the benchmarks compare with: pgx as one writes it who knows it, with
// explicit columns, targets that are made once for a statement, arrays for many rows.
type byHand struct {
	ctx  context.Context
	pool *pgxpool.Pool
}

const (
	columns   = `id, email, age, nick, version, deleted_at, created_at, updated_at`
	returning = ` returning ` + columns
	selectSQL = `select ` + columns + ` from app.users where deleted_at is null`
	insertSQL = `insert into app.users (email, age, nick, version, updated_at) values ($1, $2, $3, 1, now())`
	unnestSQL = `insert into app.users (email, age, nick, version, updated_at) select u.*, 1, now() from unnest($1::text[], $2::int[], $3::text[]) u`
	overwrite = ` on conflict (email) where deleted_at is null do update set age = excluded.age, nick = excluded.nick, version = users.version + 1, updated_at = now()`
	updateSQL = `update app.users set email = $1, age = $2, nick = $3, version = version + 1, updated_at = now() where id = $4 and version = $5 and deleted_at is null`
	patchSQL  = `update app.users set nick = $1, age = age + $2, version = version + 1, updated_at = now() where id = $3 and deleted_at is null`
)

func (h *byHand) insert(u *user) error {
	return h.pool.QueryRow(h.ctx, insertSQL+returning, u.Email, u.Age, u.Nick).Scan(u.targets()...)
}

func (h *byHand) get(id int64) (u user, err error) {
	err = h.pool.QueryRow(h.ctx, selectSQL+" and id = $1", id).Scan(u.targets()...)
	return u, err
}

func (u *user) targets() []any {
	return []any{&u.ID, &u.Email, &u.Age, &u.Nick, &u.Version, &u.DeletedAt, &u.CreatedAt, &u.UpdatedAt}
}

func (h *byHand) list(n int) ([]user, error) {
	return h.query(n, selectSQL+" order by id limit $1", n)
}

// query reads about n rows.
func (h *byHand) query(n int, sql string, args ...any) ([]user, error) {
	rows, err := h.pool.Query(h.ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var u user
	all := make([]user, 0, n)
	_, err = pgx.ForEachRow(rows, u.targets(), func() error {
		all = append(all, u)
		return nil
	})
	return all, err
}

func (h *byHand) filter(like string, age int, not *string) ([]user, error) {
	sql, args := selectSQL, []any(nil)
	where := func(condition string, arg any) {
		args = append(args, arg)
		sql += fmt.Sprintf(" and %s $%d", condition, len(args))
	}
	if like != "" {
		where("email like", like)
	}
	if age > 0 {
		where("age >=", age)
	}
	if not != nil {
		where("nick <>", *not)
	}
	return h.query(20, fmt.Sprintf("%s order by id limit $%d", sql, len(args)+1), append(args, 20)...)
}

func (h *byHand) page(last user, n int) ([]user, error) {
	return h.query(n, selectSQL+" and (age, id) > ($1, $2) order by age, id limit $3", last.Age, last.ID, n)
}

func (h *byHand) count(age int) (n int64, err error) {
	err = h.pool.QueryRow(h.ctx, "select count(*) from app.users where age >= $1 and deleted_at is null", age).Scan(&n)
	return n, err
}

func (h *byHand) exists(email string) (ok bool, err error) {
	err = h.pool.QueryRow(h.ctx, "select exists (select from app.users where email = $1 and deleted_at is null)", email).Scan(&ok)
	return ok, err
}

func (h *byHand) update(u *user) error {
	return h.pool.QueryRow(h.ctx, updateSQL+returning, u.Email, u.Age, u.Nick, u.ID, u.Version).Scan(u.targets()...)
}

func (h *byHand) patch(id int64, nick *string, older int) (int64, error) {
	tag, err := h.pool.Exec(h.ctx, patchSQL, nick, older, id)
	return tag.RowsAffected(), err
}

func (h *byHand) upsert(u *user) error {
	return h.pool.QueryRow(h.ctx, insertSQL+overwrite+returning, u.Email, u.Age, u.Nick).Scan(u.targets()...)
}

func (h *byHand) delete(id int64) (int64, error) {
	tag, err := h.pool.Exec(h.ctx, "delete from app.users where id = $1 and deleted_at is null", id)
	return tag.RowsAffected(), err
}

func (h *byHand) three(id int64) error {
	return pgx.BeginFunc(h.ctx, h.pool, func(tx pgx.Tx) error {
		var u user
		if err := tx.QueryRow(h.ctx, selectSQL+" and id = $1", id).Scan(u.targets()...); err != nil {
			return err
		}
		if _, err := tx.Exec(h.ctx, patchSQL, nil, 1, id); err != nil {
			return err
		}
		copied := user{Email: u.Email + " copy"}
		return tx.QueryRow(h.ctx, insertSQL+returning, copied.Email, copied.Age, copied.Nick).Scan(copied.targets()...)
	})
}

// insertAll fills the rows in place.
func (h *byHand) insertAll(rows []user) error {
	stored, err := h.query(len(rows), unnestSQL+returning, arrays(rows)...)
	copy(rows, stored)
	return want(err, len(stored) == len(rows))
}

func (h *byHand) upsertAll(rows []user) (int64, error) {
	tag, err := h.pool.Exec(h.ctx, unnestSQL+overwrite, arrays(rows)...)
	return tag.RowsAffected(), err
}

// arrays are the columns of rows.
func arrays(rows []user) []any {
	emails, ages, nicks := make([]string, len(rows)), make([]int, len(rows)), make([]*string, len(rows))
	for i := range rows {
		emails[i], ages[i], nicks[i] = rows[i].Email, rows[i].Age, rows[i].Nick
	}
	return []any{emails, ages, nicks}
}

func (h *byHand) copy(rows []user) (int64, error) {
	columns, values, now := []string{"email", "age", "nick", "version", "updated_at"}, make([]any, 5), time.Now()
	return h.pool.CopyFrom(h.ctx, pgx.Identifier{"app", "users"}, columns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		values[0], values[1], values[2], values[3], values[4] = rows[i].Email, rows[i].Age, rows[i].Nick, 1, now
		return values, nil
	}))
}

// reset leaves the users that are always there. It vacuums after many others alone:
// all connections plan again after that.
func (h *byHand) reset() error {
	tag, err := h.pool.Exec(h.ctx, "delete from app.users where id > 20000")
	if err == nil && tag.RowsAffected() > 500 {
		_, err = h.pool.Exec(h.ctx, "vacuum app.users")
	}
	return err
}
