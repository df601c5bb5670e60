package pgdbmtest_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

// A template is of one way to read the migrations: other variables and functions
// make another one.
func TestTemplatesTellVariablesAndGoMigrationsApart(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"1_a.sql": {Data: []byte("create table {{tables.t}} (n int); insert into {{tables.t}} values ({{var.n}})")}}
	add := func(n int) migrations.GoMigration {
		return migrations.GoMigration{Version: int64(n), Name: "add", Up: func(ctx context.Context, db pgdbm.DB) error {
			_, err := db.Exec(ctx, "insert into {{tables.t}} values ($1)", n)
			return err
		}}
	}
	for _, c := range []struct {
		vars string
		list []migrations.GoMigration
		want int
	}{{"10", nil, 10}, {"20", nil, 20}, {"20", []migrations.GoMigration{add(3)}, 23}, {"20", []migrations.GoMigration{add(4)}, 24}} {
		m := module.Module{Name: "loaded", Migrations: files, Load: migrations.LoadOptions{Vars: map[string]string{"n": c.vars}, Go: c.list}}
		db := pgdbmtest.NewSet(t, m).DB(m)
		n, err := pgdbm.FetchValue[int](t.Context(), db, "select sum(n)::int from {{tables.t}}")
		testkit.NoError(t, err)
		testkit.Equal(t, n, c.want)
	}
}
