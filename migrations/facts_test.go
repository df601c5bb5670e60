package migrations_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Citus refuses some statements in a text with several.
func TestEachStatementIsAMessageOfItsOwn(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	const text = "create table {{tables.t}} (q text);\ninsert into {{tables.t}} select current_query();\nselect 1;"
	up(t, migrator(t, pool, files("1_a.sql", text, "2_b.sql", auto+strings.ReplaceAll(text, "table {{tables.t}} (", "table if not exists {{tables.t}} (")), migrations.Config{}))
	testkit.Equal(t, value[string](t, pool, "select string_agg(q, '; ') from app.t"),
		`insert into "app"."t" select current_query(); insert into "app"."t" select current_query()`)
}

// A lock_timeout counts the wait for old transactions, and leaves an invalid index.
func TestLockTimeoutDoesNotHoldForConcurrentIndexes(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", auto+"-- pgdbm:lock-timeout 10ms\ncreate index concurrently i on {{tables.t}} (n)")
	up(t, migrator(t, pool, fsys, migrations.Config{}), migrations.To(1))
	writer, err := pool.Pgx().Begin(t.Context())
	testkit.NoError(t, err)
	_, err = writer.Exec(t.Context(), "insert into app.t values (0)")
	testkit.NoError(t, err)
	var release sync.Once
	seen := &events{on: func(e migrations.Event) { // after more than the timeout
		if e.Kind == migrations.EventIndexProgress && e.Duration.Milliseconds() > 10 {
			release.Do(func() { testkit.NoError(t, writer.Commit(context.Background())) })
		}
	}}
	report, err := migrator(t, pool, fsys, migrations.Config{Observer: seen}).Up(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, report.Applied[0].Attempts, 1)
	testkit.Equal(t, len(seen.of(migrations.EventIndexDropped)), 0)
	testkit.Equal(t, value[bool](t, pool, "select indisvalid from pg_index where indexrelid = 'app.i'::regclass"), true)
}

// CREATE SCHEMA IF NOT EXISTS needs the right to create one that is there.
func TestMigratingNeedsNoRightToCreateSchemas(t *testing.T) {
	t.Parallel()
	conn := testkit.ConnString(t)
	owner := open(t, cfgOf(conn))
	name := role(t, owner, conn, "tenant")
	exec(t, owner, "create schema app; grant usage, create on schema app to "+name)
	testkit.Equal(t, value[bool](t, owner, "select has_database_privilege($1, current_database(), 'create')", name), false)
	pool := open(t, pgdbm.Config{ConnString: conn, RuntimeParams: map[string]string{"role": name}})
	m := migrator(t, pool, files("1_a.sql", "create table {{tables.t}} ()"), migrations.Config{})
	testkit.Equal(t, up(t, m), "1_a.sql")
	testkit.NoError(t, m.Verify(t.Context()))
}

func TestVariablesAreRenderedAndNoPartOfTheChecksum(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (s text);\ninsert into {{tables.t}} values ({{var.owner}} || {{schema.literal}} || '{{{{')")
	for _, c := range []struct{ value, want string }{{"'ann'", "1_a.sql"}, {"'bob'", ""}} {
		src, err := migrations.Load(fsys, migrations.LoadOptions{Vars: map[string]string{"owner": c.value}})
		testkit.NoError(t, err)
		m := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "app", Schema: "app", Source: src})
		testkit.Equal(t, up(t, m), c.want)
		testkit.NoError(t, m.Verify(t.Context()))
	}
	testkit.Equal(t, value[string](t, pool, "select s from app.t"), "annapp{{")
}

func TestFormsOfAVersionAreOneVersion(t *testing.T) {
	t.Parallel()
	msg, _ := loadError(t, files("1_a.sql", "", "0001_b.up.sql", "", "V1__c.sql", "", "20250102030405_d.sql", "", "20250102_030405_e.sql", "",
		"R_v.sql", "", "R__v.sql", "", "7_x.sql", "", "7_x.down.sql", "", "007_x.down.sql", ""))
	for _, want := range []string{
		"0001_b.up.sql", "1_a.sql: has the same version 1 as 0001_b.up.sql", "V1__c.sql: has the same version 1 as 1_a.sql",
		"20250102_030405_e.sql: has the same version 20250102030405 as 20250102030405_d.sql", "R__v.sql", "has the same name as R", "undoes the same migration as 007_x.down.sql",
	} {
		if !strings.Contains(msg, want) {
			t.Errorf("no %q in\n%s", want, msg)
		}
	}
}

func TestNamesOf63BytesAreExactAndLongerOnesRefused(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	m63, s63, t63 := strings.Repeat("m", 63), strings.Repeat("s", 63), strings.Repeat("t", 63)
	src := load(t, files("1_a.sql", "create table {{tables."+t63+"}} ()"))
	m := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: m63, Schema: s63, Source: src})
	testkit.Equal(t, up(t, m), "1_a.sql")
	testkit.NoError(t, m.Verify(t.Context()))
	testkit.Equal(t, value[bool](t, pool, "select to_regclass($1) is not null", s63+"."+t63), true)
	nothingLeft(t, pool)

	if msg, _ := loadError(t, files("1_a.sql", "create table {{tables."+t63+"t}} ()")); !strings.Contains(msg, "1_a.sql:1:14") {
		t.Error(msg)
	}
	_, err := migrations.New(pool, []migrations.Target{{Module: m63 + "m", Schema: "a"}, {Module: "b", Schema: s63 + "s"}}, migrations.Config{Table: t63 + "t"})
	testkit.ErrorContains(t, err, "module \""+m63+"m\"", "schema \""+s63+"s\"", "Table \""+t63+"t\"")
}
