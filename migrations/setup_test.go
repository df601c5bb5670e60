package migrations_test

import (
	"context"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// open opens a pool, closed at the end of the test.
func open(tb testing.TB, cfg pgdbm.Config) *pgdbm.Pool {
	tb.Helper()
	if cfg.ConnString == "" {
		cfg.ConnString = testkit.ConnString(tb)
	}
	pool, err := pgdbm.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := pool.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return pool
}

// setup returns a pool on a database of the test's own.
func setup(tb testing.TB) *pgdbm.Pool {
	tb.Helper()
	return open(tb, pgdbm.Config{})
}

// migrator makes the migrator of module app on schema app.
func migrator(tb testing.TB, pool *pgdbm.Pool, fsys fs.FS, cfg migrations.Config) *migrations.Migrator {
	tb.Helper()
	src, err := migrations.Load(fsys, migrations.LoadOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return newMigrator(tb, pool, cfg, migrations.Target{Module: "app", Schema: "app", Source: src})
}

func newMigrator(tb testing.TB, pool *pgdbm.Pool, cfg migrations.Config, targets ...migrations.Target) *migrations.Migrator {
	tb.Helper()
	m, err := migrations.New(pool, targets, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// up runs Up, which must succeed, and returns the applied files.
func up(tb testing.TB, m *migrations.Migrator, scopes ...migrations.Scope) string {
	tb.Helper()
	report, err := m.Up(tb.Context(), scopes...)
	if err != nil {
		tb.Fatal(err)
	}
	return applied(report)
}

func applied(r *migrations.Report) string {
	var out []string
	for _, a := range r.Applied {
		out = append(out, a.File)
	}
	return strings.Join(out, " ")
}

// value runs a query of one value.
func value[T any](tb testing.TB, pool *pgdbm.Pool, sql string, args ...any) T {
	tb.Helper()
	var v T
	if err := pool.Pgx().QueryRow(tb.Context(), sql, args...).Scan(&v); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	return v
}

func exec(tb testing.TB, pool *pgdbm.Pool, sql string, args ...any) {
	tb.Helper()
	if _, err := pool.Pgx().Exec(tb.Context(), sql, args...); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// eventually waits until ok returns true.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			tb.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// history renders the tracking table: key's number, status.
func history(tb testing.TB, m *migrations.Migrator) string {
	tb.Helper()
	rows, err := m.History(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, r.Name+":"+r.Status)
	}
	return strings.Join(out, " ")
}

// events is an Observer that remembers, and calls on when it is set.
type events struct {
	mu   sync.Mutex
	list []migrations.Event
	on   func(migrations.Event)
}

func (o *events) Event(_ context.Context, e migrations.Event) {
	o.mu.Lock()
	o.list = append(o.list, e)
	o.mu.Unlock()
	if o.on != nil {
		o.on(e)
	}
}

// of returns the remembered events of a kind.
func (o *events) of(kind migrations.EventKind) []migrations.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []migrations.Event
	for _, e := range o.list {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

// nothingLeft checks that no run has left a session or lock behind.
func nothingLeft(tb testing.TB, pool *pgdbm.Pool) {
	tb.Helper()
	eventually(tb, "sessions and locks of runs are gone", func() bool {
		return value[int](tb, pool, `select count(*) from pg_stat_activity where datname = current_database() and application_name like 'pgdbm-migrate:%'`) == 0 &&
			value[int](tb, pool, `select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`) == 0
	})
}

func cfgOf(conn string) pgdbm.Config { return pgdbm.Config{ConnString: conn} }
