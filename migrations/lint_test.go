package migrations_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
)

// findings loads one file with every rule that can be changed as a warning, and
// returns what is found: position and rule.
func findings(t *testing.T, file, text string) []string {
	t.Helper()
	all := map[string]migrations.Severity{}
	for _, r := range migrations.Rules() {
		if !r.Fixed {
			all[r.Name] = migrations.Warning
		}
	}
	fsys := files(file, text)
	if undone, ok := strings.CutSuffix(file, ".down.sql"); ok {
		fsys[undone+".sql"] = files("x", "select 1")["x"]
	}
	src, err := migrations.Load(fsys, migrations.LoadOptions{Rules: all, Vars: map[string]string{"owner": "x.y"}})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var out []string
	for _, f := range src.Lint() {
		if f.Hint == "" || f.Excerpt == "" {
			t.Errorf("%s: the finding %s has no rewrite", text, f)
		}
		out = append(out, fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.Rule))
	}
	return out
}

// ruleCases are texts in which a rule finds something at a place, and texts in which
// it does not.
var ruleCases = []struct {
	rule  string
	at    string
	bad   string
	good  []string
	other []string // what other rules find in bad
}{
	{rule: "unnamed-index", at: "2:1", bad: auto + "create index concurrently on {{tables.t}} (a);\nanalyze {{tables.t}}", good: []string{auto + "create index concurrently i on {{tables.t}} (a)"}},
	{rule: "long-identifier", at: "1:8", bad: "select " + strings.Repeat("x", 64), good: []string{"select " + strings.Repeat("x", 63), "select '" + strings.Repeat("x", 64) + "'"}},
	{rule: "session-setting", at: "1:1", bad: "set role x", good: []string{"set local role x", "set local search_path = x", "set work_mem = '1MB'", "reset role"}},
	{rule: "session-setting", at: "1:1", bad: "set session search_path to x"},
	{rule: "unqualified-name", at: "1:14", bad: "create table t ()", good: []string{"create table {{tables.t}} ()", "create table {{schema}}.t ()", "create temp table t ()"}},
	{rule: "blocking-index", at: "1:1", bad: "create index i on {{tables.t}} (a)", good: []string{"create table {{tables.t}} (a int); create index i on {{tables.t}} (a)", auto + "create index concurrently i on {{tables.t}} (a)"}},
	{rule: "set-not-null", at: "1:26", bad: "alter table {{tables.t}} alter a set not null", good: []string{"create table {{tables.t}} (a int); alter table {{tables.t}} alter a set not null", "alter table {{tables.t}} alter a drop not null"}},
	{rule: "constraint-scan", at: "1:26", bad: "alter table {{tables.t}} add constraint c check (a > 0)", good: []string{"alter table {{tables.t}} add constraint c check (a > 0) not valid", "alter table {{tables.t}} add constraint c unique using index i"}},
	{rule: "constraint-scan", at: "1:26", bad: "alter table {{tables.t}} add unique (a)", good: []string{`alter table {{tables.t}} add "unique" int`}},
	{rule: "column-type", at: "1:26", bad: "alter table {{tables.t}} alter a type bigint using a + array[1, 2][1]", good: []string{"alter table {{tables.t}} alter a set default 1"}},
	{rule: "rename", at: "1:26", bad: "alter table {{tables.t}} rename a to b", good: []string{"alter index {{schema}}.i rename to j"}},
	{rule: "drop", at: "1:1", bad: "drop table {{tables.t}}", good: []string{"create table {{tables.t}} (); drop table {{tables.t}}"}},
	{rule: "drop", at: "1:26", bad: "alter table {{tables.t}} drop column a", good: []string{"alter table {{tables.t}} drop constraint c"}},
	{rule: "serial", at: "1:30", bad: "create table {{tables.t}} (a serial)", good: []string{"create table {{tables.t}} (a bigint generated always as identity, serial int)"}},

	{rule: "literal-schema", at: "1:14", bad: "create table app.t (a int)", good: []string{"create table public.t (a int)", "create table {{var.owner}} (a int)"}},
	{rule: "literal-schema", at: "1:15", bad: "select * from app.t", good: []string{
		"select a.x from {{tables.t}} a join {{tables.u}} b on a.id = b.id where a.x is distinct from b.x",
		"select extract(day from a.x), substring(a.y from b.z), trim(both from (a.b)) from {{tables.t}} a", "select * from pg_catalog.pg_class",
		"select $$ from app.t $$, 'app.t' -- from app.t", "update {{tables.t}} t set a = u.a from {{tables.u}} u where u.b in (1)",
	}},
	{rule: "literal-schema", at: "1:13", bad: "insert into app.t values (1)"},
	{rule: "literal-schema", at: "1:23", bad: "alter table if exists app.t add a int"},
	{rule: "literal-schema", at: "1:45", bad: "create table {{tables.u}} (a int references app.t)"},
	{rule: "literal-schema", at: "1:8", bad: "select app.f(1), current_setting('app.x'), pg_catalog.now()"},
	{rule: "literal-schema", at: "1:11", bad: "select 1::app.num"},
	{rule: "literal-schema", at: "1:37", bad: "grant select on table {{tables.t}}, app.t to x", good: []string{"grant select on {{tables.t}} to x"}},
	{rule: "literal-schema", at: "1:17", bad: "grant select on app.t to x", good: []string{"grant select on {{tables.t}} to x"}},
	{rule: "literal-schema", at: "1:19", bad: "comment on column app.t.a is 'x'", good: []string{"comment on column t.a is 'x'"}},
	{rule: "literal-schema", at: "1:29", bad: "create schema if not exists app", good: []string{"create schema if not exists {{schema}}", "create schema authorization x"}},
	{rule: "literal-schema", at: "1:37", bad: "alter table {{tables.t}} set schema app", good: []string{"alter default privileges in schema {{schema}} grant select on tables to x"}},
	{rule: "volatile-default", at: "1:26", bad: "alter table {{tables.t}} add a uuid default gen_random_uuid()", good: []string{
		"alter table {{tables.t}} add a timestamptz not null default now(), add column b int default (1 + abs(-1)) check (random() > b), add c text",
		"create table {{tables.t}} (a int default random()); alter table {{tables.t}} add b float default random()",
		"alter table {{tables.t}} alter a set default gen_random_uuid()",
	}},
	{rule: "volatile-default", at: "1:37", bad: "alter table {{tables.t}} add a int, add column if not exists b int default {{schema}}.next_number()", good: []string{"alter table {{tables.t}} add a int default pg_catalog.length('x')"}},
	{rule: "volatile-default", at: "1:26", bad: "alter table {{tables.t}} add a int generated always as (b + 1) stored"},
	{rule: "enum-value", at: "2:34", bad: "alter type {{schema}}.e add value if not exists 'new' after 'old';\ninsert into {{tables.t}} values ('new')", good: []string{
		"create type {{schema}}.e as enum (); alter type {{schema}}.e add value 'new'; insert into {{tables.t}} values ('new')",
		auto + "alter type {{schema}}.e add value 'new'; insert into {{tables.t}} values ('new')",
		"alter type {{schema}}.e add value 'new'; alter type {{schema}}.e add value 'newer' after 'new'; insert into {{tables.t}} values ('old')",
	}},
	{rule: "select-star", at: "1:47", bad: "create or replace view {{schema}}.v as select * from {{tables.t}}", good: []string{
		"select * from {{tables.t}}", "create view {{schema}}.v as select count(*), 2 * 3 as n from {{tables.t}} where exists (select * from {{tables.u}})",
		"create function {{schema}}.f() returns int language sql as $$ select 2 * 3; -- select *\n $$",
	}},
	{rule: "select-star", at: "2:47", bad: "create function {{schema}}.f() returns setof {{tables.t}} language sql as $é$\ninsert into {{tables.t}} values (1) returning *; $é$"},
	{rule: "select-star", at: "1:94", bad: "create procedure {{schema}}.p() begin atomic insert into {{tables.t}} (a) select distinct a, * from {{tables.u}}; end"},
	{rule: "citus-foreign-key", at: "1:45", bad: "create table {{tables.t}} (a int references {{tables.users.u}})", good: []string{"create table {{tables.t}} (a int references {{tables.u}} (a))"}},
	{rule: "citus-trigger", at: "1:1", bad: "create or replace trigger x before update on {{tables.t}} execute function {{schema}}.f()", good: []string{"create function {{schema}}.trigger() returns trigger language plpgsql as 'begin end'"}},
	{rule: "citus-serial", at: "1:26", bad: "alter table {{tables.t}} add a bigint generated by default as identity", good: []string{"create table {{tables.t}} (a bigint generated by default as identity)"}, other: []string{"1:26 volatile-default"}},
	{rule: "citus-serial", at: "1:26", bad: "alter table {{tables.t}} add a serial", other: []string{"1:26 volatile-default", "1:32 serial"}},
	{rule: "citus-constraints", at: "1:61", bad: "alter table {{tables.t}} add check (a in (1, 2)) not valid, add check (a > 0) not valid", good: []string{
		"alter table {{tables.t}} add check (a > 0) not valid, add b int; alter table {{tables.t}} add check (a > 0) not valid",
	}},
}

func TestEveryRuleFindsAndIsIgnored(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	for _, c := range ruleCases {
		tried[c.rule] = true
		want := append([]string{c.at + " " + c.rule}, c.other...)
		got := findings(t, "1_a.sql", c.bad)
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", c.bad, got, want)
		}
		for _, f := range findings(t, "1_a.sql", "-- pgdbm:lint-ignore "+c.rule+" on purpose\n"+c.bad) {
			if strings.HasSuffix(f, " "+c.rule) {
				t.Errorf("%s: ignored, but found: %s", c.bad, f)
			}
		}
		for _, text := range c.good {
			for _, f := range findings(t, "1_a.sql", text) {
				if strings.HasSuffix(f, " "+c.rule) {
					t.Errorf("%s: found %s", text, f)
				}
			}
		}
	}
	for _, r := range migrations.Rules() { // those that are fixed are in TestLoadErrors
		if !r.Fixed && !tried[r.Name] {
			t.Errorf("the rule %s is not tried", r.Name)
		}
	}
}

func TestRulesOfOtherServersAreOffUnlessAskedFor(t *testing.T) {
	t.Parallel()
	src := load(t, files("1_a.sql", "create trigger x before update on {{tables.t}} execute function {{schema}}.f()"))
	testkit.Equal(t, len(src.Lint()), 0)
	for _, r := range migrations.Rules() {
		testkit.Equal(t, r.Severity == migrations.Off, strings.HasPrefix(r.Name, "citus-"))
	}
}

func TestDownFilesMayDropAndRename(t *testing.T) {
	t.Parallel()
	const text = "drop table {{tables.t}}; alter table {{tables.u}} drop column a, rename b to c"
	testkit.Equal(t, len(findings(t, "1_a.down.sql", text)), 0)
	testkit.Equal(t, len(findings(t, "1_a.sql", text)), 3)
}

func TestHintsAreWhatCanBeWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"create table Plain ()":           "write {{tables.plain}} or {{schema}}.plain",
		`create table "So; ""so""" ()`:    `write {{schema}}."So; ""so"""`,
		"insert into app.t values (1)":    "write {{tables.t}} or {{schema}}.t; of a dependency, {{tables.module.t}}",
		`select * from "App"."a b" where`: `write {{schema}}."a b"; of a dependency, {{tables.module.t}}`,
	} {
		found := load(t, files("1_a.sql", text)).Lint()
		if len(found) != 1 || found[0].Hint != want {
			t.Errorf("%s: %+v, want %s", text, found, want)
		}
	}
}

// The table of the documentation is made from Rules.
func TestRulesAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/migrations.md")
	testkit.NoError(t, err)
	var want strings.Builder
	for _, r := range migrations.Rules() {
		severity := r.Severity.String()
		if r.Fixed {
			severity += ", always"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", r.Name, severity, r.Doc)
	}
	table := regexp.MustCompile(`(?m)\| rule \|.*\n\|[-|]+\n((?:\| .*\n)+)`).FindSubmatch(text)
	if table == nil || string(table[1]) != want.String() {
		t.Errorf("docs/migrations.md: the table of rules should be\n%s", want.String())
	}
}

func TestLintLeavesInnocentStatementsAlone(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"alter table {{tables.t}} alter column type set default 'a'",
		"alter table {{tables.t}} alter column type drop not null",
		"alter table {{tables.t}} alter type drop default",
		"alter table {{tables.t}} alter column type set statistics 100",
		"alter table {{tables.t}} rename constraint a to b",
		"alter table {{tables.t}} drop constraint if exists a",
		"alter table {{tables.t}} add column type text default 'a'",
		"update {{tables.t}} t set a = u.a from {{tables.u}} u where u.id = t.id and t.a in (1)",
		"delete from {{tables.t}} t using {{tables.u}} u where u.id = t.id",
		"insert into {{tables.t}} (a) select u.a from {{tables.u}} u on conflict (a) do update set a = excluded.a",
		"select trim(both ' ' from t.a), extract(year from t.b), overlay(t.a placing t.c from t.d), substring(t.a from t.b for 3) from {{tables.t}} t",
		"create view {{schema}}.v as select t.a, row_number() over (partition by t.a order by t.b) from {{tables.t}} t",
		"create view {{schema}}.v as select count(*), 2 * 3 as b, array[1, 2] from {{tables.t}} t join lateral (select u.a from {{tables.u}} u where u.b = t.b) x on x.a = t.a",
		"create trigger x before update of a on {{tables.t}} for each row when (old.a is distinct from new.a) execute function {{schema}}.f()",
		"merge into {{tables.t}} t using {{tables.u}} u on t.a = u.a when matched then update set b = u.b when not matched then insert values (u.a, u.b)",
		"create function {{schema}}.f() returns int language sql begin atomic select t.a from {{tables.t}} t; select count(*) from {{tables.t}} t; end",
		"create index concurrently_x on {{tables.t}} (a)",
		"comment on column {{tables.t}}.a is 'x'",
		"alter table {{tables.t}} add column a timestamptz not null default now()",
		"alter table {{tables.t}} add column a int default 1 check (a > length(random_x.b))",
		"alter table {{tables.t}} alter column a set default nextval('x'), alter column b set default gen_random_uuid()",
		"alter table {{tables.t}} alter a drop identity if exists",
		"alter table {{tables.t}} alter a add generated always as identity",
		"grant select on {{tables.t}} to x",
		"grant usage on schema {{schema}} to x",
		"alter default privileges in schema {{schema}} grant select on tables to x",
		"alter table {{tables.t}} validate constraint c",
		"alter table {{tables.t}} set (fillfactor = 90)",
		"create table {{tables.p}} partition of {{tables.t}} for values from (1) to (2)",
		"alter table {{tables.t}} attach partition {{tables.p}} for values in (1)",
		"alter table {{tables.t}} detach partition {{tables.p}}",
		"create policy p on {{tables.t}} using (t.a = current_setting('x'))",
		"insert into {{tables.t}} select * from {{tables.u}}",
		"create function {{schema}}.f() returns trigger language plpgsql as $$ begin new.a := new.b * 2; insert into {{tables.t}} values (new.a); return new; end $$",
		"create function {{schema}}.f() returns bool language sql as $$ select exists (select * from {{tables.t}}) $$",
		"select a.b from (values (1)) as a(b) group by a.b order by a.b",
		"select string_agg(t.a, ',' order by t.b) filter (where t.c) from {{tables.t}} t",
		"select x.a from {{tables.t}} x for update of x",
		"create type {{schema}}.e as enum ('a')",
		"refresh materialized view {{schema}}.m",
		"drop view if exists {{schema}}.v",
		"drop index if exists {{schema}}.i",
		"create extension if not exists pgcrypto with schema public",
		"set local search_path = x",
		"set local role x",
		"lock table {{tables.t}} in share mode",
		"with a as (select u.id from {{tables.u}} u) update {{tables.t}} t set b = 1 from a where a.id = t.id",
	} {
		src, err := migrations.Load(files("1_a.sql", sql), migrations.LoadOptions{})
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		for _, f := range src.Lint() {
			if f.Rule != "blocking-index" {
				t.Errorf("%s: %s %s", sql, f.Rule, f.Message)
			}
		}
	}
}

func TestHintOfASessionSettingFitsTheFile(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]string{"": "write SET LOCAL role", auto: "goes into a file that is a transaction"} {
		_, err := migrations.Load(files("1_a.sql", head+"set role x"), migrations.LoadOptions{})
		testkit.ErrorContains(t, err, want)
	}
}
