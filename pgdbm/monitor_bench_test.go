package pgdbm_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// What counting costs: the same statements on a bare pgx pool and through
// managers that count or do not.
func BenchmarkMonitoring(b *testing.B) {
	dsn := testkit.ConnString(b)
	bare, err := pgxpool.New(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(bare.Close)
	off := bind(b, open(b, pgdbm.Config{ConnString: dsn, NoMetrics: true}), "app")
	on := bind(b, open(b, pgdbm.Config{ConnString: dsn}), "app")
	slow := bind(b, open(b, pgdbm.Config{ConnString: dsn, SlowQuery: time.Hour, SlowQueryPlan: true}), "app")
	exec(b, on, "create table {{tables.items}} (id bigint generated always as identity primary key, name text, n int)")
	exec(b, on, "insert into {{tables.items}} (name, n) select 'name ' || g, g from generate_series(1, 100) g")
	const (
		one = `select name from "app"."items" where id = $1`
		upd = `update "app"."items" set n = n where id = $1`
	)
	ctx := b.Context()
	for _, who := range []struct {
		name string
		db   querier
	}{{"pgx", bare}, {"off", off}, {"on", on}, {"slow", slow}} {
		b.Run("QueryRow/"+who.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := who.db.QueryRow(ctx, one, 7).Scan(new(string)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("Exec/"+who.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := who.db.Exec(ctx, upd, 7); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// BenchmarkTracer is what the tracer itself does for a statement, without a
// server.
func BenchmarkTracer(b *testing.B) {
	for name, cfg := range map[string]pgdbm.Config{"history": {}, "counters": {History: -1}, "slow": {NoMetrics: true, SlowQuery: time.Hour}} {
		b.Run(name, func(b *testing.B) {
			tracer := pgdbm.NewTracer(cfg)
			conn, err := pgx.Connect(b.Context(), testkit.ConnString(b))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = conn.Close(context.Background()) }()
			start, end := pgx.TraceQueryStartData{SQL: "select 1"}, pgx.TraceQueryEndData{CommandTag: pgconn.NewCommandTag("SELECT 1")}
			b.ReportAllocs()
			for b.Loop() {
				tracer.TraceQueryEnd(tracer.TraceQueryStart(b.Context(), conn, start), conn, end)
			}
		})
	}
}
