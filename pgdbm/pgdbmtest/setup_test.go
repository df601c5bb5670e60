package pgdbmtest_test

import (
	"context"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

// Every kind of test is a TB.
var (
	_ pgdbmtest.TB = (*testing.T)(nil)
	_ pgdbmtest.TB = (*testing.B)(nil)
	_ pgdbmtest.TB = (*testing.F)(nil)
)

func files(pairs ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

var users = module.Module{Name: "users", Migrations: files(
	"1_users.sql", "create table {{tables.users}} (id bigint generated always as identity primary key, email text not null unique);",
)}

var orders = module.Module{Name: "orders", DependsOn: []module.Module{users}, Migrations: files(
	"1_orders.sql", "create table {{tables.orders}} (id bigserial primary key, owner bigint not null references {{tables.users.users}});",
)}

// store is a service as applications write them.
type store struct{ db pgdbm.DB }

func (s store) add(ctx context.Context, email string) (id int64, err error) {
	return pgdbm.FetchValue[int64](ctx, s.db, "insert into {{tables.users}} (email) values ($1) returning id", email)
}

func execute(t testing.TB, db pgdbm.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}
