package pgdbm_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestSlowQueriesAreLoggedWithoutArguments(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	trips := &roundTrips{} // beside a tracer of the user's own
	m := bind(t, open(t, pgdbm.Config{SlowQuery: time.Millisecond, Logger: log.logger(), Tracers: []pgx.QueryTracer{trips}}), "")
	ctx := t.Context()
	exec(t, m, "select 'slow', pg_sleep(0.01), $1::text", secret)
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		return second(tx.Exec(ctx, "select 'slow in a transaction', pg_sleep(0.01), $1::text", secret))
	})
	if err != nil {
		t.Fatal(err)
	}
	got := log.String()
	for _, want := range []string{"slow query", "'slow', pg_sleep", "slow in a transaction", "dur="} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in the log: %s", want, got)
		}
	}
	if strings.Contains(got, secret) {
		t.Errorf("log: %s", got)
	}
	if !strings.Contains(strings.Join(trips.list(), "\n"), "'slow'") {
		t.Error("the user's tracer was not called")
	}
}

func TestQuickQueriesAreNotLogged(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{SlowQuery: time.Hour, Logger: log.logger()}), "")
	exec(t, m, "select 1")
	if strings.Contains(log.String(), "slow query") {
		t.Errorf("log: %s", log)
	}
}

// A logger that wants to know everything gets every statement, even where nothing
// is counted.
func TestStatementsAreLoggedForDebugging(t *testing.T) {
	t.Parallel()
	for _, cfg := range []pgdbm.Config{{}, {NoMetrics: true}, {SlowQuery: time.Hour}} {
		log := &logBuffer{}
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		m := bind(t, open(t, cfg), "app")
		exec(t, m, "create table {{tables.items}} (name text unique)")
		exec(t, m, insert, secret)
		testkit.ErrorIs(t, second(m.Exec(t.Context(), insert, secret)), pgdbm.ErrConflict)
		testkit.NoError(t, m.InTx(t.Context(), func(tx *pgdbm.Tx) error { return second(tx.Exec(t.Context(), "select 'in a transaction'")) }))
		testkit.ErrorContains(t, errors.New(log.String()), // for what it lacks
			`level=DEBUG msg=query module="" schema=app dur=`, ` rows=1 sqlstate="" pid=`, ` sql="insert into \"app\".\"items\" (name) values ($1)"`,
			"sqlstate=23505", `statements=2 sql="select 'in a transaction'"`, "sql=commit")
		if strings.Contains(log.String(), secret) {
			t.Errorf("log: %s", log)
		}
	}
}

func TestSlowBatchIsLoggedWithItsTexts(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	m := bind(t, open(t, pgdbm.Config{SlowQuery: 5 * time.Millisecond, Logger: log.logger()}), "")
	b := &pgx.Batch{}
	b.Queue("select 'one', $1::text", secret)
	b.Queue("select 'two', pg_sleep(0.01), $1::text", secret)
	b.Queue("select 'one', $1::text", secret)
	if err := m.SendBatch(t.Context(), b).Close(); err != nil {
		t.Fatal(err)
	}
	got := log.String()
	for _, want := range []string{"statements=3", `sql="select 'one', $1::text;\nselect 'two', pg_sleep(0.01), $1::text"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in the log: %s", want, got)
		}
	}
	if strings.Contains(got, secret) {
		t.Errorf("log: %s", got)
	}
}
