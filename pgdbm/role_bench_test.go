package pgdbm_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Each operation under a module's role beside the same without one.
func BenchmarkModuleRoles(b *testing.B) {
	cfg := setupRole(b, testkit.ConnString(b))
	pool := open(b, cfg)
	plain := open(b, pgdbm.Config{ConnString: cfg.ConnString})
	exec(b, bind(b, plain, "app"), "insert into {{tables.items}} (name, n) select 'name ' || g, g from generate_series(1, 100) g")
	ctx := b.Context()
	for _, op := range []struct {
		name string
		run  func(m, other *pgdbm.Manager) error
	}{
		{"Exec", func(m, _ *pgdbm.Manager) error {
			return second(m.Exec(ctx, "update {{tables.items}} set n = n where id = $1", 7))
		}},
		{"QueryRow", func(m, _ *pgdbm.Manager) error {
			return m.QueryRow(ctx, "select name from {{tables.items}} where id = $1", 7).Scan(new(string))
		}},
		{"Query100", func(m, _ *pgdbm.Manager) error {
			rows, err := m.Query(ctx, "select id, name from {{tables.items}}")
			if err != nil {
				return err
			}
			var (
				id   int64
				name string
			)
			_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error { return nil })
			return err
		}},
		{"InTx2", func(m, _ *pgdbm.Manager) error {
			return m.InTx(ctx, func(tx *pgdbm.Tx) error {
				if err := second(tx.Exec(ctx, "update {{tables.items}} set n = n where id = $1", 7)); err != nil {
					return err
				}
				return second(tx.Exec(ctx, "update {{tables.items}} set n = n where id = $1", 8))
			})
		}},
		{"InTxOther", func(m, other *pgdbm.Manager) error {
			return m.InTx(ctx, func(tx *pgdbm.Tx) error {
				if err := second(tx.Exec(ctx, "update {{tables.items}} set n = n where id = $1", 7)); err != nil {
					return err
				}
				return second(other.In(tx).Exec(ctx, "select id from {{tables.items}} where id = $1", 8))
			})
		}},
	} {
		for _, of := range []struct {
			name string
			pool *pgdbm.Pool
		}{{"without", plain}, {"with", pool}} {
			b.Run(op.name+"/"+of.name, func(b *testing.B) {
				m, other := bindRole(b, of.pool, "app"), bindRole(b, of.pool, "shop")
				b.ReportAllocs()
				for b.Loop() {
					if err := op.run(m, other); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
