package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Somebody corrected a comment in a file that is applied everywhere. The edit is
// right, so its checksum is accepted, once for every database.
func ExampleMigrator_Resolve() {
	open := func(pool *pgdbm.Pool, text string) (*migrations.Migrator, error) {
		src, err := migrations.Load(fstest.MapFS{"0001_users.sql": {Data: []byte(text)}}, migrations.LoadOptions{})
		if err != nil {
			return nil, err
		}
		return migrations.New(pool, []migrations.Target{{Module: "users", Schema: "users", Source: src}}, migrations.Config{})
	}
	example(func(ctx context.Context, pool *pgdbm.Pool) error {
		m, err := open(pool, "-- Usres.\nCREATE TABLE {{tables.users}} (id bigint PRIMARY KEY)")
		if err != nil {
			return err
		}
		if _, err := m.Up(ctx); err != nil {
			return err
		}
		if m, err = open(pool, "-- Users.\nCREATE TABLE {{tables.users}} (id bigint PRIMARY KEY)"); err != nil {
			return err
		}
		fmt.Println(errors.Is(m.Verify(ctx), migrations.ErrDrift))
		if err := m.Resolve(ctx, "users", "1", migrations.ResolveAccept); err != nil {
			return err
		}
		fmt.Println(m.Verify(ctx))
		rows, err := m.History(ctx)
		for _, r := range rows {
			fmt.Println(r.Kind, r.Name)
		}
		return err
	})
	// Output:
	// true
	// <nil>
	// sql users
	// audit accept v:0000000000000000001
}

// A checkpoint is what a new schema begins with; one that has run the files before
// it never runs it.
func Example_checkpoint() {
	files := fstest.MapFS{
		"0001_users.sql":      {Data: []byte("CREATE TABLE {{tables.users}} (id bigint PRIMARY KEY)")},
		"0002_email.sql":      {Data: []byte("ALTER TABLE {{tables.users}} ADD email text")},
		"0003_checkpoint.sql": {Data: []byte("-- pgdbm:checkpoint 1-2\nCREATE TABLE {{tables.users}} (id bigint PRIMARY KEY, email text)")},
		"0004_index.sql":      {Data: []byte("CREATE INDEX users_email ON {{tables.users}} (email)")},
	}
	example(func(ctx context.Context, pool *pgdbm.Pool) error {
		src, err := migrations.Load(files, migrations.LoadOptions{})
		if err != nil {
			return err
		}
		m, err := migrations.New(pool, []migrations.Target{
			{Module: "old", Schema: "old", Source: src}, {Module: "new", Schema: "new", Source: src},
		}, migrations.Config{})
		if err != nil {
			return err
		}
		for _, scopes := range [][]migrations.Scope{{migrations.Only("old"), migrations.To(2)}, {}} {
			report, err := m.Up(ctx, scopes...)
			if err != nil {
				return err
			}
			for _, a := range report.Applied {
				fmt.Println(a.Schema, a.File)
			}
		}
		return m.Verify(ctx)
	})
	// Output:
	// old 0001_users.sql
	// old 0002_email.sql
	// new 0003_checkpoint.sql
	// new 0004_index.sql
	// old 0004_index.sql
}
