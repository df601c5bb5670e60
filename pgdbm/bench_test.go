package pgdbm_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Each operation through a Manager beside the same on the bare pgx pool.
func BenchmarkAgainstPgx(b *testing.B) {
	for _, op := range duels(b) {
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

// The same in turns: whatever else the machine does meets both, so that the ratio
// of their medians tells something on a busy machine, too.
func BenchmarkRatioToPgx(b *testing.B) {
	for _, op := range duels(b) {
		b.Run(op.name, func(b *testing.B) {
			var took [2][]time.Duration
			sides := [2]func() error{op.pgx, op.ours}
			for first := 0; b.Loop(); first = 1 - first {
				for _, i := range [2]int{first, 1 - first} {
					begin := time.Now()
					if err := sides[i](); err != nil {
						b.Fatal(err)
					}
					took[i] = append(took[i], time.Since(begin))
				}
			}
			for _, all := range took {
				slices.Sort(all)
			}
			pgx, ours := took[0][len(took[0])/2], took[1][len(took[1])/2]
			b.ReportMetric(float64(ours)/float64(pgx), "ratio")
			b.ReportMetric(float64(pgx), "pgx-ns")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// duel is an operation on the bare pgx pool, and through a Manager.
type duel struct {
	name      string
	pgx, ours func() error
}

func duels(b *testing.B) []duel {
	b.Helper()
	m := setup(b)
	ctx := b.Context()
	ours := m.Pool().Pgx().Config()
	cfg, err := pgxpool.ParseConfig(ours.ConnString())
	if err != nil {
		b.Fatal(err)
	}
	cfg.ConnConfig.RuntimeParams = ours.ConnConfig.RuntimeParams // a limit costs the server a timer for each statement
	raw, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(raw.Close)
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
	return []duel{
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
