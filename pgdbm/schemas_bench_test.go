package pgdbm_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

const tenantTables = 10

// fleet makes PGDBM_BENCH_SCHEMAS schemas of 10 tables with a row each, 100 by
// default, and returns how many there are. 5,000 take a minute and a half.
func fleet(b *testing.B, connString string) int {
	b.Helper()
	schemas := 100
	if s := os.Getenv("PGDBM_BENCH_SCHEMAS"); s != "" {
		var err error
		schemas, err = strconv.Atoi(s)
		testkit.NoError(b, err)
	}
	m := bind(b, open(b, pgdbm.Config{ConnString: connString, MaxConns: 1, StatementTimeout: time.Hour}), "")
	for first := 0; first < schemas; first += 50 { // a transaction must not hold too many locks
		exec(b, m, fmt.Sprintf(`do $$ begin
			for s in %d..%d loop
				execute format('create schema tenant_%%s', s);
				for i in 0..%d loop
					execute format('create table tenant_%%s.t%%s (id bigint primary key, name varchar(100), n int)', s, i);
					execute format('insert into tenant_%%s.t%%s values (1, %%L, 1)', s, i, 'name');
				end loop;
			end loop;
		end $$`, first, min(first+50, schemas)-1, tenantTables-1))
	}
	exec(b, m, "analyze pg_class, pg_attribute, pg_index, pg_namespace, pg_constraint, pg_type")
	return schemas
}

// fleetModes are the ways to serve many schemas.
var fleetModes = []struct {
	name  string
	cache int
	mode  pgx.QueryExecMode
}{
	{"cache_statement", 0, 0},
	{"StatementCache=8192", 8192, 0},
	{"cache_describe", 0, pgx.QueryExecModeCacheDescribe},
	{"exec", 0, pgx.QueryExecModeExec},
}

// A read by key of each of many schemas in turn, on one connection that has seen
// all of them before, and on one that is retired after 500: the time and the round
// trips of a read. The ways take turns of 200 reads, each round one.
func BenchmarkFleetRead(b *testing.B) {
	connString := testkit.ConnString(b)
	all := fleet(b, connString)
	for _, schemas := range slices.Compact([]int{min(50, all), all}) {
		b.Run(strconv.Itoa(schemas), func(b *testing.B) {
			var readers []*fleetReader
			for _, limit := range []int{-1, 500} {
				for _, way := range fleetModes {
					r := &fleetReader{name: fmt.Sprintf("%-20s MaxSchemasPerConn %3d", way.name, limit)}
					pool := open(b, r.trips.watch(pgdbm.Config{ConnString: connString, MaxConns: 1, StatementCache: way.cache, MaxSchemasPerConn: limit}))
					r.managers = bindFleet(b, pool, way.mode, schemas)
					r.read(b, schemas)
					r.took = nil
					r.trips.n.Store(0)
					readers = append(readers, r)
				}
			}
			for b.Loop() {
				for _, r := range readers {
					r.read(b, 200)
				}
			}
			for _, r := range readers {
				b.Log(r)
			}
		})
	}
}

// fleetReader reads from one schema after the other.
type fleetReader struct {
	name     string
	managers []*pgdbm.Manager
	next     int
	trips    tripCount
	took     []time.Duration
}

func (r *fleetReader) read(b *testing.B, times int) {
	b.Helper()
	for range times {
		start := time.Now()
		m, n := r.managers[r.next%len(r.managers)], 0
		if err := m.QueryRow(b.Context(), "select n from {{tables.t0}} where id = $1", 1).Scan(&n); err != nil {
			b.Fatal(err)
		}
		r.took = append(r.took, time.Since(start))
		r.next++
	}
}

func (r *fleetReader) String() string {
	slices.Sort(r.took)
	var sum time.Duration
	for _, d := range r.took {
		sum += d
	}
	at := func(q float64) int64 { return r.took[int(q*float64(len(r.took)-1))].Microseconds() }
	n := len(r.took)
	return fmt.Sprintf("%s: p50 %4d µs, p95 %4d µs, p99.9 %5d µs, mean %4d µs, %.2f round trips",
		r.name, at(0.5), at(0.95), at(0.999), sum.Microseconds()/int64(n), float64(r.trips.n.Load())/float64(n))
}

func bindFleet(b *testing.B, pool *pgdbm.Pool, mode pgx.QueryExecMode, schemas int) []*pgdbm.Manager {
	b.Helper()
	managers := make([]*pgdbm.Manager, schemas)
	for i := range managers {
		var err error
		managers[i], err = pool.Bind(pgdbm.Binding{Module: "tenant", Schema: fmt.Sprintf("tenant_%d", i), ExecMode: mode})
		testkit.NoError(b, err)
	}
	return managers
}

// What a server process takes once it has touched all tables of many schemas, and
// what keeping it small costs: the time of a read of a table that is new to it.
func BenchmarkFleetMemory(b *testing.B) {
	connString := testkit.ConnString(b)
	schemas := fleet(b, connString)
	for _, limit := range []int{-1, 500} {
		for _, way := range fleetModes {
			b.Run(fmt.Sprintf("%d/limit=%d/%s", schemas, limit, way.name), func(b *testing.B) {
				pool := open(b, pgdbm.Config{ConnString: connString, MaxConns: 1, StatementCache: way.cache, MaxSchemasPerConn: limit})
				managers := bindFleet(b, pool, way.mode, schemas)
				unbound := bind(b, pool, "")
				var most float64
				for b.Loop() {
					for i, m := range managers {
						for t := range tenantTables {
							exec(b, m, fmt.Sprintf("select n from {{tables.t%d}} where id = $1", t), 1)
						}
						if i%50 == 48 || i == schemas-1 {
							bytes, err := pgdbm.FetchValue[float64](b.Context(), unbound,
								"select sum(total_bytes)::float8 from pg_backend_memory_contexts", pgx.QueryExecModeExec)
							testkit.NoError(b, err)
							most = max(most, bytes)
						}
					}
				}
				b.ReportMetric(most/1e6, "MB")
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*schemas*tenantTables), "µs/read")
				b.ReportMetric(float64(pool.Metrics().MaxSchemasDestroyCount)/float64(b.N), "retired/op")
			})
		}
	}
}

// What it costs a statement that its schema is counted and its mode set: beside the
// time of any statement, nothing.
func BenchmarkSpeaker(b *testing.B) {
	for _, schemas := range []int{1, 5, 50, 500} {
		pool := open(b, pgdbm.Config{MaxConns: 1})
		managers := bindFleet(b, pool, pgx.QueryExecModeExec, schemas)
		conn, err := pool.Pgx().Acquire(b.Context())
		testkit.NoError(b, err)
		b.Run(strconv.Itoa(schemas), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				managers[i%schemas].Speaks(conn.Conn())
				i++
			}
		})
		conn.Release()
	}
}

// What it takes to replace a connection: two statements of two schemas, after which
// it is retired, or not.
func BenchmarkRetire(b *testing.B) {
	connString := testkit.ConnString(b)
	for _, limit := range []int{-1, 1} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			managers := bindFleet(b, open(b, pgdbm.Config{ConnString: connString, MaxConns: 1, MaxSchemasPerConn: limit}), 0, 2)
			for b.Loop() {
				for _, m := range managers {
					exec(b, m, "select 1 where $1", true)
				}
			}
		})
	}
}
