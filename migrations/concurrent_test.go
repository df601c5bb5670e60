package migrations_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestRunnerWaitsForAnIndexBuiltConcurrently(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "-- pgdbm:no-transaction\ncreate index concurrently i on {{tables.t}} (n)")
	up(t, migrator(t, pool, fsys, migrations.Config{}), migrations.To(1))

	// An old transaction with a snapshot holds the index back.
	old, err := pgx.Connect(t.Context(), pool.Pgx().Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close(context.Background()) }()
	if _, err := old.Exec(t.Context(), "begin isolation level repeatable read; select count(*) from app.t; insert into app.t values (1)"); err != nil {
		t.Fatal(err)
	}
	a := migrator(t, pool, fsys, migrations.Config{})
	waiting := make(chan struct{})
	var once sync.Once
	seen := &events{on: func(e migrations.Event) {
		if e.Kind == migrations.EventLockWait {
			once.Do(func() { close(waiting) })
		}
	}}
	b := migrator(t, pool, fsys, migrations.Config{Observer: seen})
	reports := make([]*migrations.Report, 2)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	wg.Go(func() { reports[0], errs[0] = a.Up(t.Context()) })
	eventually(t, "the index is being built", func() bool {
		return value[int](t, pool, "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like 'create index concurrently%'") == 1
	})
	wg.Go(func() { reports[1], errs[1] = b.Up(t.Context()) })
	select {
	case <-waiting:
	case <-t.Context().Done():
	}
	if _, err := old.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if applied(reports[0]) != "2_b.sql" || applied(reports[1]) != "" {
		t.Errorf("applied %q and %q", applied(reports[0]), applied(reports[1]))
	}
	if !value[bool](t, pool, "select indisvalid from pg_index where indexrelid = 'app.i'::regclass") {
		t.Error("the index is invalid")
	}
}

func TestLockTimeoutOfAStatementIsRetriedAndNamesTheReader(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 1})
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", "-- pgdbm:lock-timeout 300ms\ninsert into {{tables.t}} values (1);\nalter table {{tables.t}} add m int")
	up(t, migrator(t, pool, fsys, migrations.Config{}), migrations.To(1))

	cc := pool.Pgx().Config().ConnConfig
	cc.RuntimeParams["application_name"] = "the reader"
	reader, err := pgx.ConnectConfig(t.Context(), cc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close(context.Background()) }()
	if _, err := reader.Exec(t.Context(), "begin; select * from app.t"); err != nil {
		t.Fatal(err)
	}
	named := false
	seen := &events{on: func(e migrations.Event) {
		if e.Kind != migrations.EventRetry || named {
			return
		}
		for _, s := range e.Sessions {
			named = named || s.Application == "the reader" && s.State == "idle in transaction"
		}
		if named || e.Attempt == 5 {
			if _, err := reader.Exec(context.Background(), "commit"); err != nil {
				t.Error(err)
			}
			if !strings.Contains(e.Err.Error(), "2_b.sql:3:1: locked: canceling statement due to lock timeout (SQLSTATE 55P03); waited for pid ") {
				t.Errorf("%v", e.Err)
			}
		}
	}}
	report, err := migrator(t, pool, fsys, migrations.Config{Observer: seen}).Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !named || report.Applied[0].Attempts < 2 {
		t.Errorf("the reader was not named: %+v", seen.of(migrations.EventRetry))
	}
	if n := value[int](t, pool, "select count(*) from app.t"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := migrator(t, pool, files("1_a.sql", "do $$ begin raise exception using errcode = '40001', message = 'again'; end $$"), migrations.Config{Retries: 2})
	_, e := failure(t, m)
	if !errors.Is(e, pgdbm.ErrRetryable) {
		t.Errorf("%v", e)
	}
}
