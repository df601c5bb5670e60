package migrations_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
)

// audits returns the audit records.
func audits(t *testing.T, m *migrations.Migrator) []migrations.Record {
	t.Helper()
	rows, err := m.History(t.Context())
	testkit.NoError(t, err)
	var out []migrations.Record
	for _, r := range rows {
		if r.Kind == migrations.KindAudit {
			out = append(out, r)
		}
	}
	return out
}

func TestResolveAcceptsAnEditedFile(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	before := migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "select 2", "2_b.down.sql", "select -2"), migrations.Config{AppVersion: "v1"})
	up(t, before)
	old := before.History
	m := migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "select 'edited'"), migrations.Config{AppVersion: "v2"})
	testkit.ErrorIs(t, m.Verify(t.Context()), migrations.ErrDrift)
	rows, err := old(t.Context())
	testkit.NoError(t, err)
	testkit.NoError(t, m.Resolve(t.Context(), "app", "2", migrations.ResolveAccept))
	testkit.NoError(t, m.Verify(t.Context()))
	testkit.Equal(t, up(t, m), "")
	testkit.ErrorIs(t, before.Verify(t.Context()), migrations.ErrDrift)

	a := audits(t, m)
	testkit.Equal(t, len(a), 1)
	if r := a[0]; r.Name != "accept v:0000000000000000002" || r.Checksum != rows[1].Checksum || r.DownSQL != "select -2" || r.AppliedBy == "" || r.AppVersion != "v2" ||
		r.Host == "" || time.Since(r.StartedAt) > time.Minute || r.Version != 0 || r.Status != "audit" || !strings.HasPrefix(r.Error, "was applied at 2") ||
		!strings.HasSuffix(r.Error, "(b, sql, by "+r.AppliedBy+" with v1)") {
		t.Errorf("%+v", r)
	}
	// It is no migration.
	status, err := m.Status(t.Context())
	testkit.NoError(t, err)
	if s := status[0]; !s.Current || s.Applied != 2 || len(s.Failed) != 0 || len(s.Newer) != 0 {
		t.Errorf("%+v", s)
	}
	report, err := m.Up(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, len(report.Warnings), 0)
	nothingLeft(t, pool)
}

func TestResolveForgetsAnUnknownRecord(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	up(t, migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "select 2", "3_c.sql", "select 3", "R_v.sql", "select 4"), migrations.Config{}))
	m := migrator(t, pool, files("1_a.sql", "select 1", "3_c.sql", "select 3"), migrations.Config{})
	testkit.ErrorIs(t, m.Verify(t.Context()), migrations.ErrUnknownApplied)
	testkit.NoError(t, m.Resolve(t.Context(), "app", "v:0000000000000000002", migrations.ResolveForget))
	testkit.NoError(t, m.Verify(t.Context()))
	testkit.NoError(t, m.Resolve(t.Context(), "app", "r:v", migrations.ResolveForget))
	report, err := m.Up(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, len(report.Warnings), 0)
	testkit.Equal(t, history(t, m), "a:applied c:applied forget v:0000000000000000002:audit forget r:v:audit")
}

func TestResolveRetriesFromTheBeginning(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	text := auto + "insert into {{tables.t}} values (1);\nselect 1/0"
	m := migrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", text), migrations.Config{})
	_, _ = failure(t, m)
	m = migrator(t, pool, files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", auto+"insert into {{tables.t}} values (7)"), migrations.Config{})
	_, err := m.Up(t.Context())
	testkit.ErrorIs(t, err, migrations.ErrPrefixChanged)
	exec(t, pool, "delete from app.t")
	testkit.NoError(t, m.Resolve(t.Context(), "app", "2", migrations.ResolveRetry))
	testkit.Equal(t, up(t, m), "2_b.sql")
	testkit.Equal(t, value[int](t, pool, "select sum(n) from app.t"), 7)
	if a := audits(t, m); len(a) != 1 || a[0].SQLState != "22012" || a[0].Done != 1 || a[0].Statements != 2 || !strings.Contains(a[0].Error, "was failed at 1 of 2 since") || !strings.Contains(a[0].Error, "division by zero") {
		t.Errorf("%+v", a)
	}
}

func TestResolveRecordsAsApplied(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	fsys := files("1_a.sql", "create table {{tables.t}} (n int)", "2_b.sql", auto+"select 1;\nselect 1/0", "3_c.sql", "select 1/0", "4_d.sql", "select 4", "R_v.sql", "select 1/0")
	m := migrator(t, pool, fsys, migrations.Config{})
	exec(t, pool, "create schema app; create table app.t (n int)")
	testkit.ErrorContains(t, m.Resolve(t.Context(), "app", "3", migrations.ResolveApplied),
		"migrations: app (schema app): Resolve: 1_a.sql, 2_b.sql are pending before 3_c.sql; apply or resolve them first")
	testkit.NoError(t, m.Resolve(t.Context(), "app", "1", migrations.ResolveApplied))
	_, e := failure(t, m)
	testkit.Equal(t, e.File, "2_b.sql")
	for _, key := range []string{"2", "v:3", "r:v"} {
		testkit.NoError(t, m.Resolve(t.Context(), "app", key, migrations.ResolveApplied))
	}
	testkit.Equal(t, up(t, m), "4_d.sql")
	testkit.NoError(t, m.Verify(t.Context()))
	rows, err := m.History(t.Context())
	testkit.NoError(t, err)
	for _, r := range rows {
		if r.Kind != migrations.KindAudit && r.Status != migrations.StatusApplied {
			t.Errorf("%+v", r)
		}
	}
	testkit.Equal(t, audits(t, m)[0].Error, "was pending")
}

func TestResolveSaysWhatToDoInstead(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	up(t, migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "select 2"), migrations.Config{}))
	m := migrator(t, pool, files("1_a.sql", "select 1", "3_c.sql", auto+"select 1/0", "4_d.sql", ""), migrations.Config{})
	_, err := m.Up(t.Context())
	testkit.ErrorIs(t, err, migrations.ErrUnknownApplied)
	_, _ = failure(t, migrator(t, pool, files("1_a.sql", "select 1", "2_b.sql", "select 2", "3_c.sql", auto+"select 1/0"), migrations.Config{}))
	for _, c := range []struct {
		module, key string
		how         migrations.Resolution
		want        string
	}{
		{"app", "1", "fix", `there is no resolution "fix" (have applied, retry, forget, accept)`},
		{"app", "x", migrations.ResolveRetry, `key "x": write a version, such as 42, or the key of a record, such as v:0000000000000000042 or r:views`},
		{"apps", "1", migrations.ResolveRetry, `module "apps" is not among the targets`},
		{"app", "9", migrations.ResolveRetry, "there is no migration v:0000000000000000009, neither here nor recorded"},
		{"app", "1", migrations.ResolveApplied, "1_a.sql is applied already"},
		{"app", "1", migrations.ResolveRetry, "1_a.sql is applied; undo it with Down"},
		{"app", "1", migrations.ResolveForget, "1_a.sql is there, it is not unknown; undo it with Down, or accept it if it was edited"},
		{"app", "1", migrations.ResolveAccept, "1_a.sql was not edited"},
		{"app", "2", migrations.ResolveAccept, "2_b is recorded, but there is no such file whose checksum could be taken; restore it, or forget it"},
		{"app", "3", migrations.ResolveForget, "3_c.sql is there, it is not unknown; retry it to have it start over"},
		{"app", "3", migrations.ResolveAccept, "3_c.sql has not finished; run Up, or retry it"},
		{"app", "4", migrations.ResolveAccept, "4_d.sql is pending, nothing is recorded of it; run Up, or resolve it as applied"},
	} {
		testkit.ErrorContains(t, m.Resolve(t.Context(), c.module, c.key, c.how), c.want)
	}
	testkit.Equal(t, len(audits(t, m)), 0)
	empty := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "app", Schema: "empty", Source: load(t, files("1_a.sql", ""))})
	testkit.ErrorContains(t, empty.Resolve(t.Context(), "app", "1", migrations.ResolveRetry), "app (schema empty): Resolve: nothing is recorded in this schema; run Up")
}

func TestResolveLeavesSchemasAloneWhereThereIsNothingToResolve(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	src := load(t, files("1_a.sql", auto+"select 1/count(*) from pg_class where relname = 'there' and relnamespace = {{schema.literal}}::regnamespace"))
	m := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "app", Schema: "a", Source: src}, migrations.Target{Module: "app", Schema: "b", Source: src})
	exec(t, pool, "create schema a; create table a.there (n int)")
	_, err := m.Up(t.Context())
	if e, ok := errors.AsType[*migrations.MigrationError](err); !ok || e.Schema != "b" {
		t.Fatal(err)
	}
	testkit.NoError(t, m.Resolve(t.Context(), "app", "1", migrations.ResolveApplied))
	testkit.NoError(t, m.Verify(t.Context()))
	a := audits(t, m)
	testkit.Equal(t, len(a), 1)
	testkit.Equal(t, a[0].Schema, "b")
}

func TestResolveOfACheckpointRecordsWhatItStandsFor(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	exec(t, pool, "create schema app; create table app.t (n int)")
	m := on(t, pool, "app", squashed)
	testkit.ErrorContains(t, m.Resolve(t.Context(), "app", "2", migrations.ResolveApplied), "2_b.sql is not pending: a checkpoint stands for it")
	testkit.NoError(t, m.Resolve(t.Context(), "app", "4", migrations.ResolveApplied))
	testkit.Equal(t, up(t, m), "5_d.sql 6_e.sql")
	current(t, pool, m, "app")
}

func TestResolveWorksThroughAPooler(t *testing.T) {
	t.Parallel()
	pooled, direct := pgbouncer(t)
	up(t, migrator(t, open(t, cfgOf(direct)), files("1_a.sql", "select 1"), migrations.Config{}))
	m := migrator(t, open(t, cfgOf(pooled)), files("1_a.sql", "select 2"), migrations.Config{})
	testkit.NoError(t, m.Resolve(t.Context(), "app", "1", migrations.ResolveAccept))
	testkit.NoError(t, m.Verify(t.Context()))
}

func TestHistoryIsOfAllModulesOrOne(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	src := load(t, files("1_a.sql", "select 1", "1_a.down.sql", "select 2"))
	m := newMigrator(t, pool, migrations.Config{}, migrations.Target{Module: "a", Schema: "x", Source: src}, migrations.Target{Module: "b", Schema: "x", Source: src},
		migrations.Target{Module: "b", Schema: "y", Source: src}, migrations.Target{Module: "c", Schema: "none"})
	up(t, m)
	for want, scopes := range map[string][]migrations.Scope{"a@x b@x b@y": nil, "b@x b@y": {migrations.Only("b")}, "": {migrations.Only("c")}} {
		rows, err := m.History(t.Context(), scopes...)
		testkit.NoError(t, err)
		var got []string
		for _, r := range rows {
			got = append(got, r.Module+"@"+r.Schema)
			testkit.Equal(t, r.DownSQL, "select 2")
		}
		testkit.Equal(t, strings.Join(got, " "), want)
	}
}
