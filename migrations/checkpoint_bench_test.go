package migrations_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/migrations"
)

// BenchmarkProvisionOf40Versions creates a schema of one table that 40 files made,
// from the files and from their checkpoint.
func BenchmarkProvisionOf40Versions(b *testing.B) {
	fsys := files("1_x.sql", "create table {{tables.t}} (id bigint primary key)")
	var columns []string
	for i := 2; i <= 40; i++ {
		fsys[fmt.Sprintf("%d_x.sql", i)] = files("x", fmt.Sprintf("alter table {{tables.t}} add c%d int", i))["x"]
		columns = append(columns, fmt.Sprintf("c%d int", i))
	}
	run := func(b *testing.B) {
		b.Helper()
		src, err := migrations.Load(fsys, migrations.LoadOptions{})
		if err != nil {
			b.Fatal(err)
		}
		pool := setup(b)
		for i := 0; b.Loop(); i++ {
			up(b, newMigrator(b, pool, migrations.Config{}, migrations.Target{Module: "app", Schema: fmt.Sprintf("s%d", i), Source: src}))
		}
	}
	b.Run("files", run)
	fsys["41_all.sql"] = files("x", "-- pgdbm:checkpoint 1-40\ncreate table {{tables.t}} (id bigint primary key, "+strings.Join(columns, ", ")+")")["x"]
	b.Run("checkpoint", run)
}
