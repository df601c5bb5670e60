package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

const auto = "-- pgdbm:no-transaction\n"

func TestUniqueIndexOnDuplicatesFailsAndIsRepaired(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	seen := &events{}
	m := migrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int); insert into {{tables.t}} values (1), (1)",
		"2_b.sql", auto+"create unique index concurrently if not exists i on {{tables.t}} (n)"), migrations.Config{Observer: seen})
	_, e := failure(t, m)
	if e.SQLState != "23505" || e.File != "2_b.sql" || e.Line != 2 || !errors.Is(e, pgdbm.ErrConflict) {
		t.Errorf("%v", e)
	}
	rows, err := m.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r := rows[1]; r.Status != migrations.StatusFailed || r.Done != 0 || r.Statements != 1 || r.SQLState != "23505" || !strings.Contains(r.Error, "could not create unique index") {
		t.Errorf("record %+v", r)
	}
	status, err := m.Status(t.Context())
	if err != nil || len(status[0].Failed) != 1 || len(status[0].Pending) != 1 {
		t.Errorf("status %+v, %v", status, err)
	}
	if n := len(seen.of(migrations.EventRetry)); n != 0 { // a conflict of rows does not go away
		t.Errorf("tried again %d times", n)
	}
	exec(t, pool, "delete from app.t where ctid = (select max(ctid) from app.t)")
	if got := up(t, m); got != "2_b.sql" {
		t.Errorf("applied %s", got)
	}
	if !value[bool](t, pool, "select indisvalid from pg_index where indexrelid = 'app.i'::regclass") {
		t.Error("the index is invalid")
	}
	if len(seen.of(migrations.EventIndexDropped)) != 1 {
		t.Error("the invalid index was not dropped")
	}
	if err := m.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFailedFileResumesBehindWhatItHasDone(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	text := auto + "create table {{tables.t}} (n int);\nset work_mem = '1MB';\ninsert into {{tables.t}} values (1);\ninsert into {{tables.t}} select 1/n from {{tables.u}};\ninsert into {{tables.t}} values (3) returning assert_work_mem();"
	text = strings.ReplaceAll(text, " returning assert_work_mem()", "")
	fsys := files("1_a.sql", text)
	m := migrator(t, pool, fsys, migrations.Config{})
	_, e := failure(t, m)
	if e.Line != 5 || e.Statement != 4 || e.SQLState != "42P01" {
		t.Errorf("%v", e)
	}
	exec(t, pool, "create table app.u (n int); insert into app.u values (1)")

	changed := migrator(t, pool, files("1_a.sql", strings.Replace(text, "values (1)", "values (2)", 1)), migrations.Config{})
	if _, err := changed.Up(t.Context()); !errors.Is(err, migrations.ErrPrefixChanged) || !strings.Contains(err.Error(), "statement 3 differs") {
		t.Errorf("%v", err)
	}
	transactional := migrator(t, pool, files("1_a.sql", strings.TrimPrefix(text, auto)), migrations.Config{})
	if _, err := transactional.Up(t.Context()); !errors.Is(err, migrations.ErrPrefixChanged) {
		t.Errorf("%v", err)
	}
	plan, err := m.Plan(t.Context())
	if err != nil || len(plan.Steps) != 1 || plan.Steps[0].Resume != 3 || !strings.Contains(plan.String(), "-- statement 3 has been executed") {
		t.Errorf("plan %v, %v", plan, err)
	}
	report, err := m.Up(t.Context())
	if err != nil || report.Applied[0].Resumed != 3 {
		t.Fatalf("%+v, %v", report.Applied, err)
	}
	if n := value[int](t, pool, "select sum(n) from app.t"); n != 5 {
		t.Errorf("sum %d", n)
	}
}

// Whoever is stopped between a statement and the record of it would execute it twice.
func TestStatementCommitsWithItsRecord(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)",
		"2_b.sql", auto+"insert into {{tables.t}} values (1);\ncreate index concurrently i on {{tables.t}} (n);\ninsert into {{tables.t}} values (3);\nset work_mem = '1MB';\ninsert into {{tables.t}} values (5)")
	up(t, migrator(t, pool, fsys, migrations.Config{}), migrations.To(1))
	var resumed []int
	for lost := 1; lost <= 5; lost++ {
		seen := &events{on: func(e migrations.Event) {
			if e.Kind == migrations.EventStatement && e.Statement == lost {
				if _, err := pool.Pgx().Exec(context.Background(), `select pg_terminate_backend(pid, 10000) from pg_stat_activity
  where datname = current_database() and application_name = 'pgdbm-migrate:app@app'`); err != nil {
					t.Error(err)
				}
			}
		}}
		_, e := failure(t, migrator(t, pool, fsys, migrations.Config{Observer: seen}))
		if !errors.Is(e, pgdbm.ErrUnavailable) {
			t.Errorf("after statement %d: %v", lost, e)
		}
		resumed = append(resumed, value[int](t, pool, "select statements_done from app.pgdbm_migrations where version = 2"))
	}
	// The index alone is executed before it is recorded; it is recognised.
	if want := []int{1, 1, 3, 4, 5}; !slices.Equal(resumed, want) {
		t.Errorf("recorded %v, want %v", resumed, want)
	}
	up(t, migrator(t, pool, fsys, migrations.Config{}))
	if got := value[string](t, pool, "select array_agg(n order by n)::text from app.t"); got != "{1,3,5}" {
		t.Errorf("rows %s", got)
	}
}

func TestStatementsOfANoTransactionFileMayCommit(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", auto+`create table {{tables.t}} (n int);
do $$ begin insert into {{tables.t}} values (1); commit; insert into {{tables.t}} values (2); rollback; insert into {{tables.t}} values (3); end $$;
create procedure {{schema}}.p() language plpgsql as $$ begin insert into {{tables.t}} values (4); commit; perform 1/0; end $$;
call {{schema}}.p();`), migrations.Config{})
	_, e := failure(t, m)
	if e.Statement != 4 || e.SQLState != "22012" {
		t.Errorf("%v", e)
	}
	exec(t, pool, "create or replace procedure app.p() language plpgsql as $$ begin insert into app.t values (5); commit; end $$")
	up(t, m)
	if got := value[string](t, pool, "select array_agg(n order by n)::text from app.t"); got != "{1,3,4,5}" {
		t.Errorf("rows %s", got)
	}
}

func TestFailedFileStartsOverWhereItSaysSo(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	text := auto + "-- pgdbm:on-retry restart\ncreate table if not exists {{tables.t}} (n int); insert into {{tables.t}} values (1); select 1/0"
	if _, e := failure(t, migrator(t, pool, files("1_a.sql", text), migrations.Config{})); e.SQLState != "22012" {
		t.Error(e)
	}
	up(t, migrator(t, pool, files("1_a.sql", strings.Replace(text, "1/0", "1", 1)), migrations.Config{}))
	if n := value[int](t, pool, "select count(*) from app.t"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

func TestCancelledFileIsRecordedAsFailed(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1})
	m := migrator(t, pool, files("1_a.sql", auto+"create table {{tables.t}} (n int); select pg_sleep(60)"), migrations.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := m.Up(ctx)
		done <- err
	}()
	eventually(t, "the file sleeps", func() bool {
		return value[int](t, pool, "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'") == 1
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	nothingLeft(t, pool)
	rows, err := m.History(t.Context())
	if err != nil || len(rows) != 1 || rows[0].Status != migrations.StatusFailed || rows[0].Done != 1 {
		t.Errorf("%+v, %v", rows, err)
	}
}

func TestValidIndexIsNotBuiltAgain(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	exec(t, pool, `create schema app; create table app.t (n int, m text, "Q" int); create function app.twice(int) returns int immutable language sql as 'select 2 * $1'`)
	for i, same := range []struct{ unique, made, text string }{
		{"", "using btree (n desc, lower(m)) where n > 0", "(n desc, lower(m)) where (n > 0)"},
		{"unique ", "(n, (n + 1))", "(n, (n+1))"},
		{"", `("Q", app.twice(n)) include (m) with (fillfactor = 70)`, `using btree ("Q", twice( n )) INCLUDE (m) WITH (FillFactor=70)`},
		{"", "(m collate \"C\" text_pattern_ops nulls first)", "(m COLLATE pg_catalog.\"C\" text_pattern_ops nulls first) -- end"},
		{"", "using hash (m)", "using hash (m)"},
	} {
		name := fmt.Sprint("I", i)
		exec(t, pool, fmt.Sprintf("create %sindex %q on app.t %s", same.unique, name, same.made))
		oid := value[uint32](t, pool, fmt.Sprintf("select 'app.%q'::regclass::oid", name))
		up(t, newMigrator(t, pool, migrations.Config{}, migrations.Target{
			Module: name, Schema: "app",
			Source: load(t, files("1_a.sql", fmt.Sprintf("%screate %sindex concurrently %q on only {{tables.t}} %s", auto, same.unique, name, same.text))),
		}))
		if value[uint32](t, pool, fmt.Sprintf("select 'app.%q'::regclass::oid", name)) != oid {
			t.Errorf("%s: the index was built again", same.text)
		}
	}
	for i, other := range []string{`index concurrently "I0" on {{tables.t}} (n)`, `index concurrently "I1" on {{tables.t}} (n, (n + 1))`, `index concurrently "I4" on {{tables.t}} (m)`} {
		_, e := failure(t, newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: fmt.Sprint("other", i), Schema: "app", Source: load(t, files("1_a.sql", auto+"create "+other))}))
		if e.SQLState != "42P07" {
			t.Errorf("another definition under the same name: %v", e)
		}
	}
	if n := value[int](t, pool, "select count(*) from pg_class where relname like 'pgdbm_index_check%'"); n != 0 {
		t.Errorf("%d relations are left behind", n)
	}
	nothingLeft(t, pool)
}
