package migrations_test

import (
	"context"
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
