package repo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	insert(t, users, user{Email: "a@x", Age: 10}, user{Email: "b@x", Age: 20, Nick: new("Bo")}, user{Email: "c%@y", Age: 30, Nick: new("Cy")})
	for name, c := range map[string]struct {
		cond repo.Condition[user]
		want string
	}{
		"eq":           {userAge.Eq(10), "a"},
		"ne":           {userAge.Ne(10), "bc"},
		"lt":           {userAge.Lt(20), "a"},
		"le":           {userAge.Le(20), "ab"},
		"gt":           {userAge.Gt(20), "c"},
		"ge":           {userAge.Ge(20), "bc"},
		"between":      {userAge.Between(10, 20), "ab"},
		"not between":  {repo.Not(userAge.Between(10, 20)), "c"},
		"in":           {userAge.In(10, 30, 99), "ac"},
		"not in":       {userAge.NotIn(10, 30), "b"},
		"in nothing":   {userAge.In(), ""},
		"eq nil":       {userNick.Eq(nil), "a"},
		"ne nil":       {userNick.Ne(nil), "bc"},
		"eq pointer":   {userNick.Eq(new("Bo")), "b"},
		"in pointers":  {userNick.In(new("Bo"), nil), "ab"},
		"not in nil":   {userNick.NotIn(nil), "bc"},
		"is null":      {userNick.IsNull(), "a"},
		"is not null":  {userNick.IsNotNull(), "bc"},
		"like":         {repo.Like(userEmail, "%@x"), "ab"},
		"like escaped": {repo.Like(userEmail, `_\%@%`), "c"},
		"ilike":        {repo.ILike(userNick, "b%"), "b"},
		"and":          {repo.And(userAge.Gt(10), userAge.Lt(30)), "b"},
		"and nothing":  {repo.And[user](), "abc"},
		"or nothing":   {repo.Or[user](), ""},
		"or in and":    {repo.And(repo.Or(userAge.Eq(10), userAge.Eq(30)), repo.Like(userEmail, "%x")), "a"},
		"not or":       {repo.Not(repo.Or(userAge.Eq(10), userAge.Eq(30))), "b"},
		"one in or":    {repo.Or(userAge.Eq(20)), "b"},
		"sql":          {repo.SQL[user]("lower(nick) = lower($1) or age = $2", "BO", 10), "ab"},
		"sql twice":    {repo.SQL[user]("age = $2 or age = $1 or age = $1 * 3", 10, 20), "abc"},
		"sql comment":  {repo.SQL[user]("age = $1 -- not $2\n/* ; */", 20), "b"},
		"sql strings":  {repo.SQL[user]("email <> '$9;--' and $$ $7 ( $$ <> email and age = $1", 20), "b"},
		"sql array":    {repo.SQL[user]("age = any($1)", []int{10, 20}), "ab"},
		"sql template": {repo.SQL[user]("id in (select id from {{tables.users}} where age = $1)", 20), "b"},
		"sql among":    {repo.And(userAge.Ge(10), repo.SQL[user]("age = $1 or age = $2", 20, 30), userAge.Le(20)), "b"},
	} {
		var got strings.Builder
		for u, err := range users.Where(c.cond).OrderBy(userID.Asc()).Each(t.Context()) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			got.WriteString(u.Email[:1])
		}
		if got.String() != c.want {
			t.Errorf("%s: %q, want %q", name, got.String(), c.want)
		}
		if n, err := users.Where(c.cond).Count(t.Context()); err != nil || int(n) != len(c.want) {
			t.Errorf("%s: count %d, %v", name, n, err)
		}
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	db, users := setup(t)
	ctx := t.Context()
	all := users.Where()
	read := func(q repo.Query[user]) error { _, err := q.All(ctx); return err }
	update := func(q repo.Query[user], a ...repo.Assignment[user]) error { _, err := q.Update(ctx, a...); return err }
	remove := func(q repo.Query[user]) error { _, err := q.Delete(ctx); return err }
	purge := func(q repo.Query[user]) error { _, err := q.Purge(ctx); return err }
	get := func(key ...any) error { _, err := users.Get(ctx, key...); return err }
	var zeroColumn repo.Column[user, int]
	one := userAge.Eq(1)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"update all":         {update(all, userAge.Set(1)), "Update without a condition would reach every row; add Where(…), or Where(repo.And[user]()) if that is meant"},
		"delete all":         {remove(all), "Delete without a condition would reach every row"},
		"purge all":          {purge(all.WithDeleted()), "Purge without a condition would reach every row"},
		"update with order":  {update(all.Where(one).OrderBy(userID.Asc()), userAge.Set(1)), "Update does not take OrderBy, Limit, After or Before: it reaches every row that meets the conditions; read the keys first, then Update Where(key.In(keys...))"},
		"delete with limit":  {remove(all.Where(one).Limit(1)), "Delete does not take OrderBy, Limit"},
		"delete with lock":   {remove(all.Where(one).ForUpdate()), "Delete locks what it writes by itself; drop ForUpdate"},
		"lock without tx":    {read(all.ForUpdate()), "ForUpdate outside of a transaction would let go of the rows at once; use db.InTx and users.In(tx).Where(…).ForUpdate"},
		"two waits":          {read(all.ForUpdate(repo.SkipLocked, repo.NoWait)), "SkipLocked and NoWait exclude each other"},
		"nothing to update":  {update(all.Where(one)), "Update without an assignment"},
		"assigned twice":     {update(all.Where(one), userAge.Set(1), repo.Add(userAge, 1)), "Update: column age is assigned twice"},
		"version":            {update(all.Where(one), userVersion.Set(1)), "Update: column version is counted by the repository"},
		"zero assignment":    {update(all.Where(one), repo.Assignment[user]{}), "a zero Assignment"},
		"zero condition":     {read(all.Where(repo.Condition[user]{})), "a zero Condition; write repo.And[T]()"},
		"zero within":        {read(all.Where(repo.Or(one, repo.Condition[user]{}))), "a zero Condition"},
		"zero column":        {read(all.Where(zeroColumn.Eq(1))), "a zero Column names no column; declare it with repo.Col"},
		"zero column in":     {read(all.Where(zeroColumn.In(1))), "a zero Column"},
		"zero column order":  {read(all.OrderBy(zeroColumn.Asc())), "a zero Column"},
		"zero column set":    {update(all.Where(one), zeroColumn.Set(1)), "a zero Column"},
		"zero column null":   {read(all.Where(zeroColumn.IsNull())), "a zero Column"},
		"negative limit":     {read(all.Limit(-1)), "Limit(-1): a number of rows is not negative"},
		"comparison to null": {read(all.Where(userNick.Gt(nil))), "nick.Gt(nil) is never true in SQL; use IsNull or IsNotNull"},
		"no key":             {get(), "a key of 1 column (id int64), but 0 values"},
		"long key":           {get(int64(1), int64(2)), "a key of 1 column (id int64), but 2 values"},
		"key of int":         {get(1), "key column id wants int64, not int; convert it: int64(…)"},
		"key of nil":         {get(nil), "key column id wants int64, not <nil>"},
		"by key":             {read(users.ByKey("x")), "key column id wants int64, not string"},
		"delete by key":      {users.Delete(ctx, 7), "key column id wants int64, not int"},
		"nil row":            {users.Insert(ctx, nil), "Insert: the row is nil"},
		"nil row updated":    {users.Update(ctx, nil), "Update: the row is nil"},
		"sql open":           {read(all.Where(repo.SQL[user]("email = 'x"))), `SQL "email = 'x": "'x" is never closed`},
		"sql parenthesis":    {read(all.Where(repo.SQL[user]("(age = 1"))), `"(" is never closed`},
		"sql closes":         {read(all.Where(repo.SQL[user]("age = 1) or (true"))), `")" at offset 7 closes nothing`},
		"sql semicolon":      {read(all.Where(repo.SQL[user]("true; drop table users"))), `";" at offset 4: a fragment is one expression`},
		"sql empty":          {read(all.Where(repo.SQL[user](" -- x"))), "is empty"},
		"sql too few":        {read(all.Where(repo.SQL[user]("age = $1"))), "1 placeholders but 0 arguments"},
		"sql too many":       {read(all.Where(repo.SQL[user]("age = 1", 2))), "0 placeholders but 1 arguments"},
		"sql named":          {read(all.Where(repo.SQL[user]("age = $1", pgx.NamedArgs{"a": 1}))), `SQL "age = $1": argument 1 is a pgx.NamedArgs, which is an instruction to pgx and no value; write $1, $2 and their values in this order`},
		"sql exec mode":      {read(all.Where(one, repo.SQL[user]("age = $1", pgx.QueryExecModeExec))), "argument 1 is a pgx.QueryExecMode, which is an instruction to pgx"},
		"set sql named":      {update(all.Where(one), userAge.SetSQL("$1", pgx.NamedArgs{})), "argument 1 is a pgx.NamedArgs"},
		"sql gap":            {read(all.Where(repo.SQL[user]("age = $2", 1, 2))), "$2 is used but not every placeholder before it"},
		"sql zero":           {read(all.Where(repo.SQL[user]("age = $0", 1))), "$0 is not a placeholder"},
		"set sql":            {update(all.Where(one), userAge.SetSQL("1, email = 'x'")), `age.SetSQL "1, email = 'x'": "," at offset 1: a fragment is one expression`},
		"count locked":       {func() error { _, err := all.ForUpdate().Count(ctx); return err }(), "Count locks no rows"},
		"exists locked":      {func() error { _, err := all.ForUpdate().Exists(ctx); return err }(), "Exists locks no rows"},
		"predicate with arg": {func() error { _, err := users.Upsert(ctx, &user{}, userEmail.Where(one)); return err }(), "the predicate of a unique index takes no arguments"},
		"nil upserted":       {func() error { _, err := users.Upsert(ctx, nil); return err }(), "Upsert: the row is nil"},
		"many arguments": {read(all.Where(repo.SQL[user](
			"age = any(array["+strings.TrimSuffix(strings.Join(placeholders(40_000), ","), ",")+"])", make([]any, 40_000)...),
			repo.SQL[user]("age = any(array["+strings.Join(placeholders(30_000), ",")+"])", make([]any, 30_000)...))), "70000 arguments, of which a statement takes 65535; pass values as an array: In, or any($1)"},
	} {
		if c.err == nil || !strings.HasPrefix(c.err.Error(), "repo: users: ") || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, c.err, c.want)
		}
		if _, ok := errors.AsType[*pgdbm.Error](c.err); ok {
			t.Errorf("%s: an error of the database: %v", name, c.err)
		}
	}
	wantError(t, read(repo.Query[user]{}), "repo: a zero Query has no table")
	for _, err := range all.Limit(-1).Each(ctx) {
		wantError(t, err, "Limit(-1)")
	}
	if s := db.Stat(); s.AcquiredConns() != 0 {
		t.Errorf("%d connections are out", s.AcquiredConns())
	}
	n, err := all.Where(userAge.In(slices.Repeat([]int{1}, 100_000)...)).Count(ctx)
	if check(t, err); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func placeholders(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("$%d", i+1)
	}
	return out
}

func TestSoftDeletedRowsAreInvisible(t *testing.T) {
	t.Parallel()
	db, users := setup(t)
	ctx := t.Context()
	rows := insert(t, users, user{Email: "a@x", Age: 1}, user{Email: "b@x", Age: 1})
	gone := rows[0]
	check(t, users.Delete(ctx, gone.ID))
	_, getErr := users.Get(ctx, gone.ID)
	for name, err := range map[string]error{
		"get": getErr, "update": users.Update(ctx, &gone), "delete": users.Delete(ctx, gone.ID), "purge": users.Purge(ctx, gone.ID),
	} {
		if !errors.Is(err, pgdbm.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	q := users.Where(repo.SQL[user]("age = 1 or age = 2")) // an or beside what excludes them
	all, err := q.All(ctx)
	if check(t, err); len(all) != 1 || all[0].ID != rows[1].ID {
		t.Errorf("all: %+v", all)
	}
	page, err := q.Limit(5).Page(ctx)
	if check(t, err); len(page.Rows) != 1 {
		t.Errorf("page: %+v", page)
	}
	n, err := q.Update(ctx, repo.Add(userAge, 1))
	if check(t, err); n != 1 {
		t.Errorf("update: %d", n)
	}
	if n, err = q.Count(ctx); err != nil || n != 1 {
		t.Errorf("count: %d, %v", n, err)
	}
	if n, err = q.WithDeleted().Count(ctx); err != nil || n != 2 {
		t.Errorf("count with deleted: %d, %v", n, err)
	}
	was, err := users.ByKey(gone.ID).WithDeleted().One(ctx)
	if check(t, err); was.DeletedAt == nil || was.Version != 2 || !was.UpdatedAt.After(gone.UpdatedAt) {
		t.Errorf("deleted: %+v", was)
	}
	if n, err = q.WithDeleted().Delete(ctx); err != nil || n != 1 {
		t.Errorf("delete: %d, %v", n, err)
	}
	again, err := users.ByKey(gone.ID).WithDeleted().One(ctx)
	if check(t, err); !again.DeletedAt.Equal(*was.DeletedAt) {
		t.Error("deleted twice")
	}
	if n, err = users.ByKey(gone.ID).WithDeleted().Update(ctx, userDeleted.Set(nil)); err != nil || n != 1 {
		t.Errorf("restore: %d, %v", n, err)
	}
	if _, err := users.Get(ctx, gone.ID); err != nil {
		t.Errorf("restored: %v", err)
	}
	if n, err = users.Where(repo.And[user]()).WithDeleted().Purge(ctx); err != nil || n != 2 {
		t.Errorf("purge: %d, %v", n, err)
	}
	if ok, err := pgdbm.FetchValue[bool](ctx, db, "select exists (select from {{tables.users}})"); err != nil || ok {
		t.Errorf("still there: %t, %v", ok, err)
	}
}

func TestQueriesAreValues(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	insert(t, users, manyUsers(30)...)
	q := users.Where(userAge.Ge(10)).OrderBy(userAge.Asc()).Limit(100)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			mine := q.Where(userAge.Eq(10 + i%20)).OrderBy(userID.Asc())
			got, err := mine.All(t.Context())
			if err != nil || len(got) != 1 || got[0].Age != 10+i%20 {
				t.Errorf("%d: %+v, %v", i, got, err)
			}
		})
	}
	wg.Wait()
	n, err := q.Count(t.Context())
	if check(t, err); n != 20 {
		t.Errorf("%d rows", n)
	}
	values := []int{1, 2}
	in := userAge.In(values...)
	values[0] = 99
	if n, err = users.Where(in).Count(t.Context()); err != nil || n != 2 {
		t.Errorf("a condition changed with its argument: %d, %v", n, err)
	}
}

func TestDeepConditions(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	insert(t, users, user{Email: "a@x", Age: 5})
	cond := userAge.Eq(5)
	for i := range 1000 {
		if i%2 == 0 {
			cond = repo.And(cond, userID.Gt(0))
		} else {
			cond = repo.Or(cond, userAge.Eq(-1))
		}
	}
	n, err := users.Where(cond).Count(t.Context())
	if check(t, err); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestEachLetsGoOfTheConnection(t *testing.T) {
	t.Parallel()
	db := openWith(t, pgdbm.Config{MaxConns: 1}, userTable)
	users := newRepo[user](t, db, "users")
	check(t, users.InsertAll(t.Context(), manyUsers(500)))
	n := 0
	for _, err := range users.Where().Each(t.Context()) {
		if check(t, err); n == 3 {
			break
		}
		n++
	}
	got, err := users.Where().Count(t.Context())
	if check(t, err); got != 500 {
		t.Errorf("%d rows", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range users.Where(repo.SQL[user]("pg_sleep(0.01) is not null")).Each(ctx) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", last)
	}
	func() {
		defer func() { _ = recover() }()
		for _, err := range users.Where().Each(t.Context()) {
			panic(err)
		}
	}()
	if _, err := users.Where().Count(t.Context()); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestErrorsOfTheDatabase(t *testing.T) {
	t.Parallel()
	db, users := setup(t)
	missing := newRepo[user](t, db, "missing")
	_, err := missing.Where().All(t.Context())
	if !errors.Is(err, pgdbm.ErrUndefined) {
		t.Errorf("got %v, want ErrUndefined", err)
	}
	wantError(t, err, "repo: missing: undefined object: relation")
	if err := missing.InsertAll(t.Context(), manyUsers(20)); !errors.Is(err, pgdbm.ErrUndefined) {
		t.Errorf("got %v, want ErrUndefined", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = users.Where().Count(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	run(t, db, `create function {{schema}}.skip() returns trigger language plpgsql as 'begin return null; end';
		create trigger skip before insert on {{tables.users}} for each row execute function {{schema}}.skip()`)
	wantError(t, users.Insert(t.Context(), &user{}), "Insert: the database stored no row; a trigger or rule discards it")
	wantError(t, users.InsertAll(t.Context(), manyUsers(3)), "InsertAll: the database did not store every row")
	wantError(t, users.InsertAll(t.Context(), manyUsers(30)), "InsertAll: the database did not store every row")
}
