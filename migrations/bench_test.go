package migrations_test

import (
	"fmt"
	"testing"

	"github.com/pgdbm/pgdbm-go/migrations"
)

// schemas returns a migrator of n schemas with two files.
func schemas(b *testing.B, n int) *migrations.Migrator {
	b.Helper()
	src, err := migrations.Load(files(
		"1_a.sql", "create table {{tables.t}} (id bigint primary key, n int); create index on {{tables.t}} (n)",
		"2_b.sql", "alter table {{tables.t}} add m int; insert into {{tables.t}} values (1, 2, 3)",
	), migrations.LoadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var targets []migrations.Target
	for i := range n {
		targets = append(targets, migrations.Target{Module: "app", Schema: fmt.Sprintf("s%d", i), Source: src})
	}
	return newMigrator(b, setup(b), migrations.Config{}, targets...)
}

// BenchmarkProvision creates a schema and applies two files.
func BenchmarkProvision(b *testing.B) {
	m := schemas(b, b.N)
	b.ResetTimer()
	up(b, m)
}

// BenchmarkNothingToDo is a start over 1,000 schemas that are up to date.
func BenchmarkNothingToDo(b *testing.B) {
	m := schemas(b, 1000)
	up(b, m)
	for b.Loop() {
		up(b, m)
	}
}

func BenchmarkLoad(b *testing.B) {
	fsys := files()
	for i := range 100 {
		fsys[fmt.Sprintf("%d_x.sql", i+1)] = files("x", "create table {{tables.t}} (id bigint primary key, n int not null default 1, s text);\ncreate index i on {{tables.t}} (n);\ninsert into {{tables.t}} values (1, 2, 'three');")["x"]
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := migrations.Load(fsys, migrations.LoadOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
