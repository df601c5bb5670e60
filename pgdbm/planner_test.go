package pgdbm_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// planning returns a manager of a pool for which every statement is slow.
func planning(t *testing.T, log *logBuffer) *pgdbm.Manager {
	t.Helper()
	m := bind(t, open(t, pgdbm.Config{SlowQuery: time.Nanosecond, SlowQueryPlan: true, Logger: log.debug()}), "app")
	exec(t, m, "create table {{tables.items}} (id int primary key, s text)")
	return m
}

// plans returns the lines of the log with plans of statements that contain part.
func plans(log *logBuffer, part string) []string {
	var found []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, `"slow query plan"`) && strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return found
}

func TestPlanOfASlowStatementIsLogged(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	m := planning(t, log)
	ctx := t.Context()
	// One at a time: what comes while one is planned is not, so it is said again.
	planned := func(part string, run func()) string {
		t.Helper()
		testkit.Eventually(t, "no plan of "+part+" in "+log.String(), func() bool {
			run()
			return len(plans(log, part)) > 0
		})
		return strings.Join(plans(log, part), "\n")
	}
	read := planned("-- read", func() { exec(t, m, "select * from {{tables.items}} where id = 7 and s = $1 -- read", secret) })
	for _, want := range []string{"level=WARN", "schema=app", "items_pkey", "id = 7", "s = $1"} {
		if !strings.Contains(read, want) {
			t.Errorf("no %s in %s", want, read)
		}
	}
	write := planned("-- write", func() { // planned, not run: there is only one row with the key
		exec(t, m, "insert into {{tables.items}} values ($1, $2) on conflict do nothing -- write", 1, secret)
		exec(t, m, "delete from {{tables.items}}")
	})
	if !strings.Contains(write, "Insert on items") {
		t.Error(write)
	}
	first := planned("-- first", func() {
		testkit.NoError(t, m.InTx(ctx, func(tx *pgdbm.Tx) error { // BEGIN travels along
			return second(tx.Exec(ctx, "select 1 from {{tables.items}} -- first"))
		}))
	})
	if !strings.Contains(first, "Seq Scan on items") && !strings.Contains(first, "items_pkey") {
		t.Error(first)
	}
	for range 20 {
		exec(t, m, "select * from {{tables.items}} where id = 7 and s = $1 -- read", secret)
	}
	testkit.NoError(t, m.Pool().Close(context.WithoutCancel(ctx))) // waits for what is planned
	testkit.Equal(t, len(plans(log, "-- read")), 1)
	if strings.Contains(log.String(), secret) {
		t.Error("an argument was logged")
	}
}

func TestStatementsWithoutPlanAreLeftAlone(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	m := planning(t, log)
	ctx := t.Context()
	testkit.Eventually(t, "no word of the statement that cannot be prepared", func() bool {
		_ = second(m.Exec(ctx, "select $1 is null -- unknown type", "x"))
		return strings.Contains(log.String(), "no plan of a slow query")
	})
	for range 5 {
		exec(t, m, "create table if not exists {{tables.other}} ()")
		testkit.NoError(t, second(m.Pool().Pgx().Exec(ctx, "select 1; select 2")))
		testkit.NoError(t, batchOf("select 1", "select 2")(ctx, m))
	}
	testkit.NoError(t, m.Pool().Close(context.WithoutCancel(ctx)))
	if got := plans(log, "select 1"); len(got) != 0 {
		t.Errorf("planned: %s", got)
	}
}

func TestPlanningEndsWithThePool(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	m := planning(t, log)
	ctx := context.WithoutCancel(t.Context())
	other := bind(t, open(t, pgdbm.Config{ConnString: m.Pool().Pgx().Config().ConnString()}), "app")
	during(t, other, func(*pgdbm.Tx) {
		testkit.Eventually(t, "nothing is being planned", func() bool {
			short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			_ = second(m.Exec(short, "select s from {{tables.items}}"))
			blocked, err := other.Pool().Blocked(ctx)
			testkit.NoError(t, err)
			return len(blocked) > 0 && strings.HasPrefix(blocked[0].Query, "prepare pgdbm_plan")
		})
		testkit.NoError(t, m.Pool().Close(ctx))
		if !strings.Contains(log.String(), "no plan of a slow query") { // the last thing that planning does
			t.Error("Close has not waited")
		}
	}, "lock table {{tables.items}}")
}

func TestPlansNeedASlowQuery(t *testing.T) {
	t.Parallel()
	testkit.ErrorContains(t, pgdbm.Config{Host: "h", SlowQueryPlan: true}.Validate(), "pgdbm: config: SlowQueryPlan needs SlowQuery")
}

func TestBorrowedPoolIsPlannedToo(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	pc, err := pgxpool.ParseConfig(testkit.ConnString(t))
	testkit.NoError(t, err)
	pc.ConnConfig.Tracer = pgdbm.NewTracer(pgdbm.Config{SlowQuery: time.Nanosecond, SlowQueryPlan: true, Logger: log.logger()})
	raw, err := pgxpool.NewWithConfig(t.Context(), pc)
	testkit.NoError(t, err)
	t.Cleanup(raw.Close)
	pool, err := pgdbm.Borrow(raw, pgdbm.Config{})
	testkit.NoError(t, err)
	m := bind(t, pool, "")
	testkit.Eventually(t, "no plan", func() bool {
		exec(t, m, "select 1 as borrowed")
		return len(plans(log, "borrowed")) > 0
	})
	testkit.NoError(t, pool.Close(context.WithoutCancel(t.Context())))
}

func (l *logBuffer) debug() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
