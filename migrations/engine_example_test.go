package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// A program that brings its schema up to date when it starts. It compiles as it
// stands; it needs a server to run.
func ExampleMigrator_Up() {
	ctx := context.Background()
	pool, err := pgdbm.Open(ctx, pgdbm.Config{Host: "localhost", Database: "shop"})
	if err != nil {
		panic(err)
	}
	defer func() { _ = pool.Close(ctx) }()

	src, err := migrations.Load(fstest.MapFS{ // usually an embed.FS
		"0001_users.sql": {Data: []byte("CREATE TABLE {{tables.users}} (id bigint PRIMARY KEY)")},
	}, migrations.LoadOptions{})
	if err != nil {
		panic(err)
	}
	m, err := migrations.New(pool, []migrations.Target{{Module: "users", Schema: "users", Source: src}}, migrations.Config{})
	if err != nil {
		panic(err)
	}
	report, err := m.Up(ctx)
	fmt.Println(report)
	if err != nil {
		panic(err)
	}
}

// A program whose schema has been migrated by goose so far. It compiles as it
// stands; it needs a server to run.
func ExampleMigrator_Adopt() {
	ctx := context.Background()
	pool, err := pgdbm.Open(ctx, pgdbm.Config{Host: "localhost", Database: "shop"})
	if err != nil {
		panic(err)
	}
	defer func() { _ = pool.Close(ctx) }()

	src, err := migrations.Load(fstest.MapFS{ // goose's own folder
		"00001_users.sql": {Data: []byte("-- +goose Up\nCREATE TABLE users (id bigint PRIMARY KEY);\n-- +goose Down\nDROP TABLE users;\n")},
	}, migrations.LoadOptions{})
	if err != nil {
		panic(err)
	}
	m, err := migrations.New(pool, []migrations.Target{{Module: "users", Schema: "public", Source: src}}, migrations.Config{})
	if err != nil {
		panic(err)
	}
	report, err := m.Adopt(ctx, "users", migrations.Adoption{Tool: migrations.ToolGoose})
	if err != nil && !errors.Is(err, pgdbm.ErrUndefined) { // a new database has no table of goose's
		panic(err)
	}
	fmt.Println(report)
	if _, err = m.Up(ctx); err != nil {
		panic(err)
	}
}
