package pgdbm_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Inspection among many schemas of 10 tables with 40 relations each, beside the
// views that one would ask otherwise: PGDBM_BENCH_SCHEMAS=8000 makes 320,000
// relations, which takes a minute and a half. The default is 50.
func BenchmarkInspection(b *testing.B) {
	schemas := 50
	if s := os.Getenv("PGDBM_BENCH_SCHEMAS"); s != "" {
		var err error
		if schemas, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	ctx := b.Context()
	pool := open(b, pgdbm.Config{MaxConns: 1, StatementTimeout: time.Hour})
	m, err := pool.Manager("t1")
	if err != nil {
		b.Fatal(err)
	}
	for first := 1; first <= schemas; first += 20 { // a transaction must not hold too many locks
		exec(b, m, `do $$ begin
			for s in `+strconv.Itoa(first)+`..`+strconv.Itoa(min(first+19, schemas))+` loop
				execute format('create schema t%s', s);
				for i in 1..10 loop
					execute format('create table t%s.table%s (id bigint primary key, name text, n int)', s, i);
				end loop;
			end loop;
		end $$`)
	}
	exec(b, m, "analyze pg_class, pg_depend, pg_index, pg_attribute, pg_namespace, pg_statistic")
	view := func(sql string) func() error {
		return func() error { return second(pgdbm.FetchAll[map[string]any](ctx, m, sql)) }
	}
	for _, op := range []struct {
		name string
		run  func() error
	}{
		{"SchemaStat", func() error { return second(m.SchemaStat(ctx)) }},
		{"DatabaseStat", func() error { return second(pool.DatabaseStat(ctx)) }},
		{"LongRunning", func() error { return second(pool.LongRunning(ctx, time.Minute)) }},
		{"Blocked", func() error { return second(pool.Blocked(ctx)) }},
		{"view/pg_stat_user_tables", view("select * from pg_stat_user_tables where schemaname = 't1'")},
		{"view/pg_statio_user_tables", view("select * from pg_statio_user_tables where schemaname = 't1'")},
		{"view/pg_stat_user_indexes", view("select * from pg_stat_user_indexes where schemaname = 't1'")},
		{"view/information_schema", view("select table_name from information_schema.tables where table_schema = 't1'")},
		{"view/pg_tables", view("select * from pg_tables where schemaname = 't1'")},
	} {
		b.Run(op.name, func(b *testing.B) {
			for b.Loop() {
				if err := op.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
