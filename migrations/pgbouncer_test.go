package migrations_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// pgbouncer returns the address of a database of the test's own through a
// transaction pooler, and past it.
func pgbouncer(t *testing.T) (pooled, direct string) {
	t.Helper()
	direct = testkit.ConnString(t)
	return testkit.StartPgBouncer(t, direct, nil).ConnString(), direct
}

func TestEachFileRunsOnceThroughAPooler(t *testing.T) {
	t.Parallel()
	pooled, direct := pgbouncer(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)")
	for i := 2; i <= 5; i++ {
		fsys[fmt.Sprintf("%d_x.sql", i)] = files("x", fmt.Sprintf("insert into {{tables.t}} values (%d)", i))["x"]
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		runs int
	)
	for range 16 {
		pool := open(t, pgdbm.Config{ConnString: pooled, MaxConns: 2})
		m := migrator(t, pool, fsys, migrations.Config{})
		wg.Go(func() {
			report, err := m.Up(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			runs += len(report.Applied)
		})
	}
	wg.Wait()
	pool := open(t, pgdbm.Config{ConnString: direct})
	if n := value[int](t, pool, "select sum(n) from app.t"); n != 14 || runs != 5 {
		t.Errorf("%d files applied, sum %d", runs, n)
	}
	if n := value[int](t, pool, "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"); n != 0 {
		t.Errorf("%d locks left in the pooler's sessions", n)
	}
}

func TestFilesLeaveThePoolersSessionsAsTheyWere(t *testing.T) {
	t.Parallel()
	pooled, _ := pgbouncer(t)
	pool := open(t, pgdbm.Config{ConnString: pooled})
	before := value[string](t, pool, "select current_user || current_setting('lock_timeout') || current_setting('search_path')")
	up(t, migrator(t, pool, files("1_a.sql", "-- pgdbm:lint-ignore session-setting on purpose\nset lock_timeout = '7s'; set search_path = pg_catalog; set role pg_monitor"), migrations.Config{}))
	for range 10 {
		if got := value[string](t, pool, "select current_user || current_setting('lock_timeout') || current_setting('search_path')"); got != before {
			t.Fatalf("the pooler's session has %s, had %s", got, before)
		}
	}
}

func TestNoTransactionFileNeedsADirectConnection(t *testing.T) {
	t.Parallel()
	pooled, direct := pgbouncer(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", auto+"create index concurrently i on {{tables.t}} (n)")
	_, err := migrator(t, open(t, pgdbm.Config{ConnString: pooled}), fsys, migrations.Config{}).Up(t.Context())
	if !errors.Is(err, migrations.ErrPooled) || !strings.Contains(err.Error(), "2_b.sql: not possible through a transaction pooler: a no-transaction file needs a session of its own; set pgdbm.Config.DirectConnString") {
		t.Errorf("%v", err)
	}
	if got := up(t, migrator(t, open(t, pgdbm.Config{ConnString: pooled, DirectConnString: direct}), fsys, migrations.Config{})); got != "2_b.sql" {
		t.Errorf("applied %s", got)
	}
}
