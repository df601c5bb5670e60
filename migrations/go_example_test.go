package migrations_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// What SQL cannot compute, a function can: it runs among the files, in one
// transaction with the row that records it.
func ExampleGoMigration() {
	slugs := func(ctx context.Context, db pgdbm.DB) error {
		type article struct {
			ID    int
			Title string
		}
		articles, err := pgdbm.FetchAll[article](ctx, db, "SELECT id, title FROM {{tables.articles}}")
		if err != nil {
			return err
		}
		var sets [][]any
		for _, a := range articles {
			sets = append(sets, []any{a.ID, strings.ToLower(strings.ReplaceAll(a.Title, " ", "-"))})
		}
		_, err = pgdbm.ExecMany(ctx, db, "UPDATE {{tables.articles}} SET slug = $2 WHERE id = $1", sets)
		return err
	}
	files := fstest.MapFS{ // usually an embed.FS
		"0001_articles.sql": {Data: []byte("CREATE TABLE {{tables.articles}} (id int PRIMARY KEY, title text, slug text);\n" +
			"INSERT INTO {{tables.articles}} VALUES (1, 'On Locks')")},
		"0003_not_null.sql": {Data: []byte("ALTER TABLE {{tables.articles}} ALTER slug SET NOT NULL")},
	}

	example(func(ctx context.Context, pool *pgdbm.Pool) error {
		src, err := migrations.Load(files, migrations.LoadOptions{
			Go: []migrations.GoMigration{{Version: 2, Name: "slugs", Up: slugs}},
		})
		if err != nil {
			return err
		}
		m, err := migrations.New(pool, []migrations.Target{{Module: "blog", Schema: "blog", Source: src}}, migrations.Config{})
		if err != nil {
			return err
		}
		report, err := m.Up(ctx)
		for _, a := range report.Applied {
			fmt.Println(a.File, a.Kind)
		}
		return err
	})
	// Output:
	// 0001_articles.sql sql
	// 2_slugs go
	// 0003_not_null.sql sql
}

// example runs fn with a pool on a database of its own, and prints its error.
func example(fn func(ctx context.Context, pool *pgdbm.Pool) error) {
	var t exampleTB
	defer t.end()
	ctx := context.Background()
	pool, err := pgdbm.Open(ctx, pgdbm.Config{ConnString: testkit.ConnString(&t)})
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer func() { _ = pool.Close(ctx) }()
	if err := fn(ctx, pool); err != nil {
		fmt.Println(err)
	}
}

// exampleTB is the test that an example is not.
type exampleTB struct{ cleanups []func() }

func (t *exampleTB) end() {
	for _, cleanup := range slices.Backward(t.cleanups) {
		cleanup()
	}
}

func (t *exampleTB) Helper()                           {}
func (t *exampleTB) Cleanup(fn func())                 { t.cleanups = append(t.cleanups, fn) }
func (t *exampleTB) Failed() bool                      { return false }
func (t *exampleTB) Logf(string, ...any)               {}
func (t *exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleTB) Skipf(format string, args ...any)  { panic(fmt.Sprintf(format, args...)) }
