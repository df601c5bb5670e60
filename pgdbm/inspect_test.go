package pgdbm_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// during runs fn while a transaction of pool, that has run sqls, is open.
func during(t *testing.T, m *pgdbm.Manager, fn func(tx *pgdbm.Tx), sqls ...string) {
	t.Helper()
	tx, err := m.Begin(t.Context())
	testkit.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	for _, sql := range sqls {
		exec(t, tx, sql)
	}
	fn(tx)
}

func TestBlockedNamesWhoWaitsForWhom(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{ApplicationName: "shop", LockTimeout: time.Minute}), "app")
	pool, ctx := m.Pool(), t.Context()
	exec(t, m, "create table {{tables.items}} (id int primary key, n int)")
	exec(t, m, "insert into {{tables.items}} values (1, 0)")
	if got, err := pool.Blocked(ctx); err != nil || len(got) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	during(t, m, func(holder *pgdbm.Tx) {
		waiting := func(sql string) chan error {
			done := make(chan error, 1)
			go func() { done <- second(m.Exec(ctx, sql)) }()
			return done
		}
		var got []pgdbm.Blocked
		blocked := func(n int) {
			testkit.Eventually(t, fmt.Sprintf("%d sessions wait, not %d", len(got), n), func() bool {
				var err error
				got, err = pool.Blocked(ctx)
				testkit.NoError(t, err)
				return len(got) == n
			})
		}
		row := waiting("update {{tables.items}} set n = 2 where id = 1 -- a row")
		blocked(1)
		first := got[0]
		testkit.Equal(t, []string{first.Relation, first.Lock, first.Mode, first.Application, first.State, first.Wait},
			[]string{"app.items", "transactionid", "ShareLock", "shop", "active", "Lock: transactionid"})
		if !strings.Contains(first.Query, "a row") || first.Waiting <= 0 || len(first.By) != 1 {
			t.Fatalf("%+v", first)
		}
		by := first.By[0]
		testkit.Equal(t, by.PID, pidOf(t, holder))
		testkit.Equal(t, by.State, "idle in transaction")
		if by.InTransaction <= 0 || by.Wait != "" || by.Query == "" {
			t.Errorf("%+v", by)
		}

		table := waiting("truncate {{tables.items}}")
		blocked(2)
		testkit.Equal(t, got[0].PID, first.PID) // the longest wait first
		testkit.Equal(t, []string{got[1].Relation, got[1].Lock, got[1].Mode}, []string{"app.items", "relation", "AccessExclusiveLock"})
		testkit.Equal(t, len(got[1].By), 2)

		testkit.NoError(t, holder.Rollback(ctx))
		testkit.NoError(t, <-row)
		testkit.NoError(t, <-table)
	}, "update {{tables.items}} set n = 1 where id = 1")
}

func pidOf(t testing.TB, db pgdbm.DB) int32 {
	t.Helper()
	pid, err := pgdbm.FetchValue[int32](t.Context(), db, "select pg_backend_pid()")
	testkit.NoError(t, err)
	return pid
}

func TestLongRunningFindsWhatRunsAndWhatIdles(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{}), "")
	pool, ctx := m.Pool(), t.Context()
	running, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = second(m.Exec(running, "select pg_sleep(60) -- runs")) // canceled
	}()
	defer func() {
		cancel()
		<-done
	}()
	during(t, m, func(idle *pgdbm.Tx) {
		pid := pidOf(t, idle)
		var got []pgdbm.Session
		testkit.Eventually(t, "both are not found", func() bool {
			var err error
			got, err = pool.LongRunning(ctx, 20*time.Millisecond)
			testkit.NoError(t, err)
			return len(got) == 2
		})
		for _, s := range got {
			switch {
			case s.PID == pid:
				testkit.Equal(t, s.State, "idle in transaction")
				if s.InTransaction < 20*time.Millisecond {
					t.Errorf("%+v", s)
				}
			case s.State != "active" || !strings.Contains(s.Query, "-- runs") || s.InState < 20*time.Millisecond || s.Wait != "Timeout: PgSleep":
				t.Errorf("%+v", s)
			}
		}
		none, err := pool.LongRunning(ctx, time.Hour)
		testkit.NoError(t, err)
		testkit.Equal(t, none, []pgdbm.Session{})
	})
}

func TestDatabaseStat(t *testing.T) {
	t.Parallel()
	m := setup(t)
	exec(t, m, "select count(*) from {{tables.items}}")
	s, err := m.Pool().DatabaseStat(t.Context())
	testkit.NoError(t, err)
	if s.Connections < 1 || s.AllConnections < s.Connections || s.MaxConnections < s.AllConnections || s.XIDAge < 1 {
		t.Errorf("%+v", s)
	}
	if s.CacheHitRatio <= 0 || s.CacheHitRatio > 1 {
		t.Errorf("cache hit ratio %v", s.CacheHitRatio)
	}
}

func TestSchemaStat(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	other := bind(t, m.Pool(), "other")
	exec(t, other, "create table {{tables.elsewhere}} (n int)")
	exec(t, m, "create table {{tables.empty}} (id int primary key)")
	exec(t, m, "create materialized view {{schema}}.summary as select 1 as n")
	exec(t, m, "create view {{schema}}.v as select 1 as n")
	exec(t, m, "create table {{tables.long_texts}} (s text)")
	exec(t, m, "alter table {{tables.long_texts}} alter s set storage external")
	exec(t, m, "insert into {{tables.long_texts}} select repeat('x', 50000) from generate_series(1, 10)")
	exec(t, m, "create index items_n on {{tables.items}} (n)")
	exec(t, m, "insert into {{tables.items}} (name, n) select 'name ' || g, g from generate_series(1, 5000) g")
	exec(t, m, "vacuum analyze {{tables.items}}")
	exec(t, m, "update {{tables.items}} set n = n + 1 where n % 2 = 0")
	exec(t, m, "select name from {{tables.items}} where id = 7")

	var s pgdbm.SchemaStat
	var tables map[string]pgdbm.TableStat
	// A session reports what it did within a second or when it is idle.
	testkit.Eventually(t, "the statistics have not arrived", func() bool {
		var err error
		s, err = m.SchemaStat(ctx)
		testkit.NoError(t, err)
		tables = map[string]pgdbm.TableStat{}
		for _, table := range s.Tables {
			tables[table.Name] = table
		}
		return tables["items"].DeadRows >= 2500
	})
	if len(tables) != 4 {
		t.Errorf("tables %v", tables)
	}
	items := tables["items"]
	testkit.Equal(t, items.Rows, int64(5000))
	if items.Modified < 2500 || items.SeqScans < 1 || items.LastVacuum.IsZero() || items.LastAnalyze.IsZero() || items.CacheHitRatio <= 0 {
		t.Errorf("%+v", items)
	}
	testkit.Equal(t, items.Bytes, items.HeapBytes+items.ToastBytes+items.IndexBytes)
	for _, name := range []string{"items", "empty", "long_texts", "summary"} { // the server's own word
		total, err := pgdbm.FetchValue[int64](ctx, m, "select pg_indexes_size($1::regclass) + pg_relation_size($1::regclass)", `"app".`+name)
		testkit.NoError(t, err)
		testkit.Equal(t, tables[name].Bytes-tables[name].ToastBytes, total)
	}
	if tables["long_texts"].ToastBytes < 500_000 || !tables["empty"].LastVacuum.IsZero() || tables["empty"].CacheHitRatio != 1 {
		t.Errorf("%+v", tables)
	}
	if s.Tables[0].Bytes < s.Tables[1].Bytes || s.Bytes < items.Bytes+tables["long_texts"].Bytes {
		t.Errorf("%+v", s)
	}
	indexes := map[string]pgdbm.IndexStat{}
	for _, i := range items.Indexes {
		indexes[i.Name] = i
	}
	if i := indexes["items_n"]; i.Unique || !i.Valid || i.Bytes == 0 || len(indexes) != 3 {
		t.Errorf("%+v", indexes)
	}
	if i := indexes["items_pkey"]; !i.Unique || i.Scans < 1 {
		t.Errorf("%+v", i)
	}
}

func TestSchemaStatFindsBloatAndInvalidIndexes(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{}), "app")
	ctx := t.Context()
	exec(t, m, "create table {{tables.tight}} (id bigint, name text, at timestamptz, n int) with (autovacuum_enabled = off)")
	exec(t, m, "create table {{tables.loose}} (id bigint, name text) with (autovacuum_enabled = off, fillfactor = 50)")
	exec(t, m, "create table {{tables.bloated}} (id bigint, name text) with (autovacuum_enabled = off)")
	exec(t, m, "insert into {{tables.tight}} select g, 'name ' || g, now(), null from generate_series(1, 20000) g")
	exec(t, m, "insert into {{tables.loose}} select g, 'name ' || g from generate_series(1, 20000) g")
	exec(t, m, "insert into {{tables.bloated}} select g, 'name ' || g from generate_series(1, 20000) g")
	exec(t, m, "delete from {{tables.bloated}} where id % 4 <> 0")
	exec(t, m, "insert into {{tables.tight}} select * from {{tables.tight}} limit 2")
	if err := second(m.Exec(ctx, "create unique index concurrently broken on {{tables.tight}} (id)")); err == nil {
		t.Fatal("the index is not broken")
	}
	s, err := m.SchemaStat(ctx)
	testkit.NoError(t, err)
	for _, table := range s.Tables {
		testkit.Equal(t, table.BloatBytes, 0) // nothing is known yet
	}
	exec(t, m, "analyze {{tables.tight}}, {{tables.loose}}, {{tables.bloated}}")
	s, err = m.SchemaStat(ctx)
	testkit.NoError(t, err)
	for _, table := range s.Tables {
		share := float64(table.BloatBytes) / float64(table.HeapBytes)
		if bloated := table.Name == "bloated"; bloated && (share < 0.6 || share > 0.9) || !bloated && share > 0.2 {
			t.Errorf("%s: %.2f of the heap is bloat", table.Name, share)
		}
		if table.Name == "tight" && (len(table.Indexes) != 1 || table.Indexes[0].Valid) {
			t.Errorf("%+v", table.Indexes)
		}
	}
}

func TestSchemaStatDoesNotWaitForLocks(t *testing.T) {
	t.Parallel()
	m := setup(t)
	exec(t, m, "insert into {{tables.items}} (name) select g::text from generate_series(1, 1000) g")
	exec(t, m, "vacuum analyze {{tables.items}}")
	free, err := m.SchemaStat(t.Context())
	testkit.NoError(t, err)
	during(t, m, func(*pgdbm.Tx) {
		locked, err := m.SchemaStat(t.Context())
		testkit.NoError(t, err)
		testkit.Equal(t, locked.Tables[0].HeapBytes, free.Tables[0].HeapBytes)
		testkit.Equal(t, len(locked.Tables[0].Indexes), 2)
	}, "lock table {{tables.items}}", "reindex table {{tables.items}}")
}

// What these questions cost must not grow with the number of relations: every
// catalog that does is read through an index.
func TestInspectionReadsCatalogsByIndex(t *testing.T) {
	t.Parallel()
	trips := &roundTrips{}
	m := bind(t, open(t, pgdbm.Config{Tracers: []pgx.QueryTracer{trips}}), "app")
	pool, ctx := m.Pool(), t.Context()
	trips.reset()
	testkit.NoError(t, second(m.SchemaStat(ctx)))
	testkit.NoError(t, second(pool.Blocked(ctx)))
	testkit.NoError(t, second(pool.LongRunning(ctx, time.Minute)))
	testkit.NoError(t, second(pool.DatabaseStat(ctx)))
	sent := trips.list()
	testkit.Equal(t, len(sent), 5)
	for _, sql := range sent {
		var args []any
		if strings.Contains(sql, "secs => $1") {
			args = []any{60.0}
		} else if strings.Contains(sql, "$1") {
			args = []any{cmp.Or(m.Schema(), "public")}
		}
		err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
			exec(t, tx, "set local enable_seqscan = off") // where there is an index, it is taken
			plan, err := pgdbm.Explain(ctx, tx, sql, args...)
			for _, catalog := range []string{"pg_class", "pg_depend", "pg_index", "pg_attribute", "pg_statistic", "pg_namespace"} {
				if strings.Contains(plan.Text, "Seq Scan on "+catalog+" ") {
					t.Errorf("%s is read as a whole by\n%s\n%s", catalog, sql, plan.Text)
				}
			}
			// An index on (name, namespace) is of no use for a namespace alone.
			for _, scan := range strings.Split(plan.Text, "pg_class_relname_nsp_index")[1:] {
				if cond, _, _ := strings.Cut(scan, "Filter:"); !strings.Contains(cond, "relname = ") {
					t.Errorf("an index is read as a whole by\n%s\n%s", sql, plan.Text)
				}
			}
			return err
		})
		testkit.NoError(t, err)
	}
}
