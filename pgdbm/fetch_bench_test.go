package pgdbm_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// The fetch helpers beside Scan by hand on the bare pgx pool.
func BenchmarkFetch(b *testing.B) {
	m := setup(b)
	raw := m.Pool().Pgx()
	ctx := b.Context()
	exec(b, m, "insert into {{tables.items}} (name, n) select 'name ' || g, g from generate_series(1, 100) g")
	const columns, table = "select id, name, n from ", `"app"."items"`
	byHand := func(query string, args ...any) ([]item, error) {
		rows, err := raw.Query(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		items := []item{}
		for rows.Next() {
			var it item
			if err := rows.Scan(&it.ID, &it.Name, &it.N); err != nil {
				return nil, err
			}
			items = append(items, it)
		}
		return items, rows.Err()
	}
	type nested struct {
		ID   int64
		Name *string
		More *struct{ N *int }
	}
	for _, op := range []struct {
		name string
		fn   func() error
	}{
		{"one/pgx", func() error { _, err := byHand(columns+table+" where id = $1", 7); return err }},
		{"one/pgdbm", func() error {
			_, err := pgdbm.FetchOne[item](ctx, m, columns+"{{tables.items}} where id = $1", 7)
			return err
		}},
		{"hundred/pgx", func() error { _, err := byHand(columns + table); return err }},
		{"hundred/pgx by name", func() error {
			rows, err := raw.Query(ctx, columns+table)
			if err != nil {
				return err
			}
			_, err = pgx.CollectRows(rows, pgx.RowToStructByName[item])
			return err
		}},
		{"hundred/pgdbm", func() error { _, err := pgdbm.FetchAll[item](ctx, m, columns+"{{tables.items}}"); return err }},
		{"hundred/pgdbm pointers", func() error {
			_, err := pgdbm.FetchAll[*item](ctx, m, columns+"{{tables.items}}")
			return err
		}},
		{"hundred/pgdbm nested", func() error {
			_, err := pgdbm.FetchAll[nested](ctx, m, `select id, name, n as "more.n" from {{tables.items}}`)
			return err
		}},
		{"hundred/pgdbm maps", func() error {
			_, err := pgdbm.FetchAll[map[string]any](ctx, m, columns+"{{tables.items}}")
			return err
		}},
	} {
		b.Run(op.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := op.fn(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Rows of an iterator, and sets of arguments, beside what pgx does by hand.
func BenchmarkBulk(b *testing.B) {
	m := setup(b)
	raw := m.Pool().Pgx()
	ctx := b.Context()
	exec(b, m, "create unlogged table {{tables.bulk}} (name text, n int)")
	const sql = `insert into "app"."bulk" (name, n) values ($1, $2)`
	argSets := make([][]any, 1000)
	for i := range argSets {
		argSets[i] = []any{"x", i}
	}
	for _, op := range []struct {
		name string
		fn   func() error
	}{
		{"copy 10000/pgx", func() error {
			_, err := raw.CopyFrom(ctx, pgx.Identifier{"app", "bulk"}, nameN, pgx.CopyFromSlice(10_000, func(i int) ([]any, error) { return []any{"x", i}, nil }))
			return err
		}},
		{"copy 10000/pgdbm", func() error {
			_, err := pgdbm.CopySeq(ctx, m, "bulk", nameN, func(yield func([]any, error) bool) {
				for i := 0; i < 10_000 && yield([]any{"x", i}, nil); i++ {
				}
			})
			return err
		}},
		{"exec 1000/pgx", func() error {
			batch := &pgx.Batch{}
			for _, args := range argSets {
				batch.Queue(sql, args...)
			}
			return raw.SendBatch(ctx, batch).Close()
		}},
		{"exec 1000/pgdbm", func() error { _, err := pgdbm.ExecMany(ctx, m, sql, argSets); return err }},
	} {
		b.Run(op.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := op.fn(); err != nil {
					b.Fatal(err)
				}
			}
			exec(b, m, "truncate {{tables.bulk}}")
		})
	}
}
