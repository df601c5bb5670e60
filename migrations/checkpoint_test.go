package migrations_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// squashed are three files, a checkpoint that stands for them, and two that follow.
var squashed = files(
	"1_a.sql", "create table {{tables.t}} (n int)", "1_a.down.sql", "drop table {{tables.t}}",
	"2_b.sql", "insert into {{tables.t}} values (1), (2)", "2_b.down.sql", "delete from {{tables.t}}",
	"3_c.sql", "delete from {{tables.t}} where n = 1", "3_c.down.sql", "insert into {{tables.t}} values (1)",
	"4_all.sql", "-- pgdbm:checkpoint 1-3\ncreate table {{tables.t}} (n int);\ninsert into {{tables.t}} values (2)",
	"5_d.sql", "insert into {{tables.t}} values (5)", "5_d.down.sql", "delete from {{tables.t}} where n = 5",
	"6_e.sql", "insert into {{tables.t}} values (6)", "6_e.down.sql", "delete from {{tables.t}} where n = 6",
)

// without returns a folder without some of its files.
func without(fsys fstest.MapFS, names ...string) fstest.MapFS {
	rest := maps.Clone(fsys)
	for _, name := range names {
		if _, ok := rest[name]; !ok {
			panic(name)
		}
		delete(rest, name)
	}
	return rest
}

var (
	gone   = []string{"1_a.sql", "1_a.down.sql", "2_b.sql", "2_b.down.sql", "3_c.sql", "3_c.down.sql"}
	before = []string{"4_all.sql", "5_d.sql", "5_d.down.sql", "6_e.sql", "6_e.down.sql"}
)

// current checks that a schema is up to date, and that its comment says so.
func current(t *testing.T, pool *pgdbm.Pool, m *migrations.Migrator, schema string) {
	t.Helper()
	testkit.NoError(t, m.Verify(t.Context()))
	testkit.Equal(t, up(t, m), "")
	plan, err := m.Plan(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, len(plan.Steps), 0)
	status, err := m.Status(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, status[0].Current, true)
	// By its head alone: the rows say otherwise.
	exec(t, pool, fmt.Sprintf("alter table %s.pgdbm_migrations rename column checksum to away", schema))
	testkit.NoError(t, m.Verify(t.Context()))
	exec(t, pool, fmt.Sprintf("alter table %s.pgdbm_migrations rename column away to checksum", schema))
}

func on(t *testing.T, pool *pgdbm.Pool, schema string, fsys fstest.MapFS) *migrations.Migrator {
	t.Helper()
	return newMigrator(t, pool, migrations.Config{AppVersion: "v7"}, migrations.Target{Module: "app", Schema: schema, Source: load(t, fsys)})
}

func TestFreshSchemaBeginsAtTheCheckpoint(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	later := without(squashed, gone...)
	for name, fsys := range map[string]fstest.MapFS{"kept": squashed, "deleted": later} {
		m := on(t, pool, name, fsys)
		plan, err := m.Plan(t.Context())
		testkit.NoError(t, err)
		testkit.Equal(t, len(plan.Steps), 3)
		report, err := m.DryRun(t.Context())
		testkit.NoError(t, err)
		testkit.Equal(t, applied(report), "4_all.sql 5_d.sql 6_e.sql")
		testkit.Equal(t, up(t, m), "4_all.sql 5_d.sql 6_e.sql")
		testkit.Equal(t, value[int](t, pool, "select sum(n) from "+name+".t"), 13)
		current(t, pool, m, name)
		// When the files have been deleted, it is still current.
		current(t, pool, on(t, pool, name, later), name)
	}
	testkit.Equal(t, history(t, on(t, pool, "kept", squashed)), "a:applied b:applied c:applied all:applied d:applied e:applied")
	testkit.Equal(t, history(t, on(t, pool, "deleted", squashed)), "all:applied d:applied e:applied")
	// Files that come back are not needed.
	testkit.NoError(t, on(t, pool, "deleted", squashed).Verify(t.Context()))
	testkit.Equal(t, up(t, on(t, pool, "deleted", squashed)), "")
	nothingLeft(t, pool)
}

func TestOldSchemaNeverRunsTheCheckpoint(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	old := without(squashed, before...)
	for name, fsys := range map[string]fstest.MapFS{"kept": squashed, "deleted": without(squashed, gone...)} {
		up(t, on(t, pool, name, old))
		m := on(t, pool, name, without(fsys, "5_d.sql", "5_d.down.sql", "6_e.sql", "6_e.down.sql"))
		testkit.NoError(t, m.Verify(t.Context()))
		plan, err := m.Plan(t.Context())
		testkit.NoError(t, err)
		testkit.Equal(t, len(plan.Steps), 0)
		testkit.Equal(t, up(t, m), "") // records the checkpoint
		current(t, pool, m, name)
		m = on(t, pool, name, fsys)
		testkit.Equal(t, up(t, m), "5_d.sql 6_e.sql")
		testkit.Equal(t, value[int](t, pool, "select sum(n) from "+name+".t"), 13)
		testkit.Equal(t, history(t, m), "a:applied b:applied c:applied all:applied d:applied e:applied")
		current(t, pool, m, name)
		current(t, pool, on(t, pool, name, without(squashed, gone...)), name)
		// The program that does not have the checkpoint survives a roll-back.
		testkit.NoError(t, on(t, pool, name, old).Verify(t.Context()))
	}
	nothingLeft(t, pool)
}

func TestCommentsOfFreshAndOldSchemasAgree(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	up(t, on(t, pool, "old", without(squashed, before...)))
	for _, schema := range []string{"old", "fresh"} {
		up(t, on(t, pool, schema, squashed))
	}
	comment := func(schema string) string {
		return value[string](t, pool, fmt.Sprintf("select obj_description('%s.pgdbm_migrations'::regclass)", schema))
	}
	testkit.Equal(t, comment("fresh"), comment("old"))
	// An old program accepts the fresh schema, too.
	testkit.NoError(t, on(t, pool, "fresh", without(squashed, before...)).Verify(t.Context()))
}

func TestSchemaHalfWayToTheCheckpoint(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	old := without(squashed, before...)
	for _, schema := range []string{"kept", "deleted"} {
		up(t, on(t, pool, schema, old), migrations.To(2))
	}
	m := on(t, pool, "kept", squashed)
	testkit.Equal(t, up(t, m), "3_c.sql 5_d.sql 6_e.sql")
	testkit.Equal(t, value[int](t, pool, "select sum(n) from kept.t"), 13)
	current(t, pool, m, "kept")

	m = on(t, pool, "deleted", without(squashed, gone...))
	_, err := m.Up(t.Context())
	testkit.ErrorIs(t, err, migrations.ErrUnknownApplied)
	testkit.ErrorContains(t, err, "migrations: app (schema deleted): 4_all.sql: an applied migration is unknown: the schema is at version 2 of the 1-3 that the checkpoint stands for, "+
		"and the files of the others are gone; migrate it first with an older version of the program, which has them (v7 came as far as this)")
	testkit.ErrorIs(t, m.Verify(t.Context()), migrations.ErrUnknownApplied)
	testkit.Equal(t, history(t, m), "a:applied b:applied")
	testkit.Equal(t, up(t, on(t, pool, "deleted", old)), "3_c.sql")
	testkit.Equal(t, up(t, m), "5_d.sql 6_e.sql")
}

func TestCheckpointAndTo(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := on(t, pool, "below", squashed)
	testkit.Equal(t, up(t, m, migrations.To(2)), "1_a.sql 2_b.sql")
	testkit.NoError(t, m.Verify(t.Context(), migrations.To(2)))
	testkit.Equal(t, up(t, m, migrations.To(3)), "3_c.sql")
	testkit.Equal(t, history(t, m), "a:applied b:applied c:applied")
	testkit.Equal(t, up(t, m), "5_d.sql 6_e.sql")
	testkit.Equal(t, up(t, on(t, pool, "above", squashed), migrations.To(5)), "4_all.sql 5_d.sql")
	_, err := on(t, pool, "gone", without(squashed, gone...)).Up(t.Context(), migrations.To(2))
	testkit.ErrorContains(t, err, "a new schema cannot end at version 2: it begins with the checkpoint 4_all.sql, since the files of 1-3 are gone")
}

func TestTheHighestCheckpointWins(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	for name, span := range map[string]string{"nested": "1-6", "chained": "4-6"} {
		fsys := maps.Clone(squashed)
		fsys["7_again.sql"] = files("x", "-- pgdbm:checkpoint "+span+"\ncreate table {{tables.t}} (n int);\ninsert into {{tables.t}} values (13)")["x"]
		fsys["8_f.sql"] = files("x", "select 8")["x"]
		m := on(t, pool, name, fsys)
		testkit.Equal(t, up(t, m), "7_again.sql 8_f.sql")
		testkit.Equal(t, value[int](t, pool, "select sum(n) from "+name+".t"), 13)
		current(t, pool, m, name)
		testkit.Equal(t, up(t, on(t, pool, name+"_to", fsys), migrations.To(6)), "4_all.sql 5_d.sql 6_e.sql")
		testkit.Equal(t, up(t, on(t, pool, name+"_to", fsys)), "8_f.sql")
		current(t, pool, on(t, pool, name+"_to", fsys), name+"_to")
		// What began at the first checkpoint goes on to the second one.
		up(t, on(t, pool, name+"_old", without(squashed, gone...)))
		m = on(t, pool, name+"_old", without(fsys, append(append([]string{}, gone...), before...)...))
		testkit.Equal(t, up(t, m), "8_f.sql")
		current(t, pool, m, name+"_old")
	}
}

func TestWhatACheckpointStandsForIsCheckedWhileItIsThere(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	up(t, on(t, pool, "old", without(squashed, before...)))
	edited, late := maps.Clone(squashed), maps.Clone(squashed)
	edited["2_b.sql"] = files("x", "select 'edited'")["x"]
	delete(late, "2_b.sql")
	delete(late, "2_b.down.sql")
	for _, schema := range []string{"old", "fresh"} {
		up(t, on(t, pool, schema, squashed))
		err := on(t, pool, schema, edited).Verify(t.Context())
		testkit.ErrorIs(t, err, migrations.ErrDrift)
		testkit.ErrorContains(t, err, "2_b.sql")
		up(t, on(t, pool, schema+"_late", late))
		err = on(t, pool, schema+"_late", squashed).Verify(t.Context())
		testkit.ErrorIs(t, err, migrations.ErrOutOfOrder)
	}
}

func TestDownPastACheckpoint(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	down := func(m *migrations.Migrator, to int64, want, left string) {
		t.Helper()
		report, err := m.Down(t.Context(), "app", to)
		testkit.NoError(t, err)
		testkit.Equal(t, applied(report), want)
		testkit.Equal(t, history(t, m), left)
	}
	up(t, on(t, pool, "old", without(squashed, before...)))
	for _, schema := range []string{"old", "fresh"} { // one by one
		m := on(t, pool, schema, squashed)
		up(t, m)
		down(m, 3, "6_e.down.sql 5_d.down.sql 4_all (its row)", "a:applied b:applied c:applied")
		testkit.Equal(t, up(t, m), "5_d.sql 6_e.sql")
		down(m, 2, "6_e.down.sql 5_d.down.sql 4_all (its row) 3_c.down.sql", "a:applied b:applied")
		testkit.Equal(t, value[int](t, pool, "select sum(n) from "+schema+".t"), 3)
		down(m, 0, "2_b.down.sql 1_a.down.sql", "")
		testkit.Equal(t, up(t, m), "4_all.sql 5_d.sql 6_e.sql")
	}
	whole := maps.Clone(squashed)
	whole["4_all.down.sql"] = files("x", "drop table {{tables.t}}")["x"]
	m := on(t, pool, "whole", whole)
	up(t, m)
	down(m, 0, "6_e.down.sql 5_d.down.sql 4_all.down.sql 3_c (its row) 2_b (its row) 1_a (its row)", "")

	later := without(whole, gone...)
	m = on(t, pool, "later", later)
	up(t, m)
	_, err := m.Down(t.Context(), "app", 2)
	testkit.ErrorContains(t, err, "the schema began with checkpoint 4 and never had version 2; go down to 0 or stay at 4")
	down(m, 0, "6_e.down.sql 5_d.down.sql 4_all.down.sql", "")
}

func TestBaselineAtACheckpoint(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m := on(t, pool, "app", without(squashed, gone...))
	exec(t, pool, "create schema app; create table app.t (n int)")
	_, err := m.Baseline(t.Context(), "app", 4)
	testkit.NoError(t, err)
	testkit.Equal(t, up(t, m), "5_d.sql 6_e.sql")
	current(t, pool, m, "app")
}

func TestManyRunnersBeginAtTheCheckpointOnce(t *testing.T) {
	t.Parallel()
	pooled, direct := pgbouncer(t)
	pool := open(t, pgdbm.Config{ConnString: direct})
	var (
		wg   sync.WaitGroup
		runs = make(chan string, 32)
	)
	for i := range 16 {
		m := on(t, open(t, pgdbm.Config{ConnString: pooled, MaxConns: 2}), "app", squashed)
		if i%2 == 0 {
			m = migrations.WithoutLocks(on(t, pool, "app", squashed))
		}
		wg.Go(func() {
			report, err := m.Up(t.Context())
			testkit.NoError(t, err)
			runs <- applied(report)
		})
	}
	wg.Wait()
	close(runs)
	var all []string
	for run := range runs {
		all = append(all, strings.Fields(run)...)
	}
	testkit.Equal(t, len(all), 3)
	testkit.Equal(t, value[int](t, pool, "select sum(n) from app.t"), 13)
	current(t, pool, on(t, pool, "app", squashed), "app")
}

func TestWithoutTheRightToWriteACheckpointIsNotRecorded(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	up(t, on(t, pool, "app", without(squashed, before...)))
	fsys := without(squashed, "5_d.sql", "5_d.down.sql", "6_e.sql", "6_e.down.sql")
	cfg := pgdbm.Config{ConnString: pool.Pgx().Config().ConnString(), RuntimeParams: map[string]string{"default_transaction_read_only": "on"}}
	reader := open(t, cfg)
	m := on(t, reader, "app", fsys)
	testkit.Equal(t, up(t, m), "")
	testkit.NoError(t, m.Verify(context.Background()))
	testkit.Equal(t, history(t, m), "a:applied b:applied c:applied")
	testkit.Equal(t, up(t, on(t, pool, "app", fsys)), "")
	testkit.Equal(t, history(t, m), "a:applied b:applied c:applied all:applied")
}

func TestFailedFileCannotBecomeACheckpoint(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	_, _ = failure(t, migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", auto+"select 1/0"), migrations.Config{}))
	m := migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "-- pgdbm:checkpoint 1-1\nselect 2"), migrations.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := m.Up(ctx)
	testkit.ErrorIs(t, err, migrations.ErrDrift)
	testkit.ErrorContains(t, err, "2_b.sql: ", "give the checkpoint another version")
	testkit.ErrorIs(t, m.Verify(t.Context()), migrations.ErrDrift)
	nothingLeft(t, pool)
}
