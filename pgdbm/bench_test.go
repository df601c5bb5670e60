package pgdbm_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Each operation through a Manager beside the same on the bare pgx pool.
func BenchmarkAgainstPgx(b *testing.B) {
	m := setup(b)
	ctx := b.Context()
	raw, err := pgxpool.New(ctx, m.Pool().Pgx().Config().ConnString())
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	exec(b, m, "insert into {{tables.items}} (name, n) select 'name ' || g, g from generate_series(1, 100) g")
	scanAll := func(rows pgx.Rows, err error) error {
		if err != nil {
			return err
		}
		var (
			id   int64
			name string
		)
		_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error { return nil })
		return err
	}
	const (
		one  = `select name from "app"."items" where id = $1`
		many = `select id, name from "app"."items"`
		upd  = `update "app"."items" set n = n where id = $1`
	)
	for _, op := range []struct {
		name string
		pgx  func() error
		ours func() error
	}{
		{
			"QueryRow",
			func() error { return raw.QueryRow(ctx, one, 7).Scan(new(string)) },
			func() error {
				return m.QueryRow(ctx, "select name from {{tables.items}} where id = $1", 7).Scan(new(string))
			},
		},
		{
			"Query100",
			func() error { return scanAll(raw.Query(ctx, many)) },
			func() error { return scanAll(m.Query(ctx, "select id, name from {{tables.items}}")) },
		},
		{
			"Exec",
			func() error { _, err := raw.Exec(ctx, upd, 7); return err },
			func() error { _, err := m.Exec(ctx, "update {{tables.items}} set n = n where id = $1", 7); return err },
		},
		{
			"Tx3",
			func() error {
				return pgx.BeginFunc(ctx, raw, func(tx pgx.Tx) error { return three(ctx, tx, upd) })
			},
			func() error {
				return m.InTx(ctx, func(tx *pgdbm.Tx) error { return three(ctx, tx, "update {{tables.items}} set n = n where id = $1") })
			},
		},
	} {
		for name, fn := range map[string]func() error{"pgx": op.pgx, "pgdbm": op.ours} {
			b.Run(op.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := fn(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func three(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, sql string,
) error {
	for range 3 {
		if err := db.QueryRow(ctx, sql+" returning name", 7).Scan(new(string)); err != nil {
			return err
		}
	}
	return nil
}

// What it costs to know who holds a connection: the same pool without it.
func BenchmarkHolders(b *testing.B) {
	ours := open(b, pgdbm.Config{}).Pgx()
	cfg := ours.Config()
	cfg.ConnConfig.Tracer, cfg.BeforeConnect = nil, nil
	bare, err := pgxpool.NewWithConfig(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	for name, pool := range map[string]*pgxpool.Pool{"without": bare, "with": ours} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := pool.QueryRow(b.Context(), "select 1").Scan(new(int)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
