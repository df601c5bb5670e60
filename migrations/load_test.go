package migrations_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/migrations"
)

// files makes a file system of names and texts.
func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

func load(tb testing.TB, fsys fs.FS) *migrations.Source {
	tb.Helper()
	src, err := migrations.Load(fsys, migrations.LoadOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return src
}

func names(src *migrations.Source) string {
	var out []string
	for _, m := range src.Migrations() {
		out = append(out, m.File)
	}
	return strings.Join(out, " ")
}

func TestFilesAreOrderedByNumberAndRepeatablesComeLast(t *testing.T) {
	t.Parallel()
	src := load(t, files(
		"10_b.sql", "", "2_a.sql", "", "R_views.sql", "", "R__a.sql", "", "V3__flyway.sql", "", "0004_go.up.sql", "", "0004_go.down.sql", "",
		"20250102_030405_joined.sql", "", "20250102030404_stamp.sql", "",
		"README.md", "x", ".hidden.sql", "x;", "sub/1_x.sql", "x", "seed.csv", "",
	))
	want := "2_a.sql V3__flyway.sql 0004_go.up.sql 10_b.sql 20250102030404_stamp.sql 20250102_030405_joined.sql R__a.sql R_views.sql"
	if got := names(src); got != want {
		t.Errorf("order: %s\nwant   %s", got, want)
	}
	for _, m := range src.Migrations() {
		if m.File == "20250102_030405_joined.sql" && (m.Version != 20250102030405 || m.Name != "joined" || m.Key != "v:0000020250102030405") {
			t.Errorf("joined: %+v", m)
		}
		if m.Version == 4 && (m.DownFile != "0004_go.down.sql" || m.Name != "go") {
			t.Errorf("down file: %+v", m)
		}
	}
}

func TestNothingToLoadIsFine(t *testing.T) {
	t.Parallel()
	for _, fsys := range []fs.FS{nil, fstest.MapFS{}} {
		if src := load(t, fsys); len(src.Migrations()) != 0 || src.Lint() != nil {
			t.Errorf("from nothing: %v", src.Migrations())
		}
	}
}

// loadError loads what must fail and returns the message.
func loadError(t *testing.T, fsys fs.FS) (string, error) {
	t.Helper()
	_, err := migrations.Load(fsys, migrations.LoadOptions{Vars: map[string]string{"size": "42"}})
	if _, ok := errors.AsType[*migrations.LoadError](err); !ok {
		t.Fatalf("error %v, want a *LoadError", err)
	}
	return err.Error(), err
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	const auto = "-- pgdbm:no-transaction\n"
	for _, c := range []struct{ file, text, want string }{
		// names
		{"notes.sql", "", "notes.sql: the name has none of the accepted forms: 0042_name.sql"},
		{"V1.2__a.sql", "", "none of the accepted forms"},
		{"0001.sql", "", "none of the accepted forms"},
		{"0001_a.SQL", "", "none of the accepted forms"},
		{"0_a.sql", "", "versions begin at 1"},
		{"99999999999999999999_a.sql", "", "does not fit into 64 bits"},
		{"2_a.down.sql", "", "2_a.down.sql: there is no migration 2_a that it would undo (version); a down file is named as its sibling"},
		// transaction control
		{"1_a.sql", "SELECT 1;\n\n  COMMIT;", "1_a.sql:3:3: COMMIT controls the transaction (tx-control); take it out: each file is one transaction already\n      COMMIT;\n      ^"},
		{"1_a.sql", "select 1; rollback", "ROLLBACK controls"},
		{"1_a.sql", "begin; select 1", "BEGIN controls"},
		{"1_a.sql", "begin isolation level serializable; select 1; commit", "1_a.sql:1:1: BEGIN controls"},
		{"1_a.sql", "begin; select 1; commit; select 2;", "1_a.sql:1:18: COMMIT controls"},
		{"1_a.sql", "start transaction; select 1; abort", "ABORT controls"},
		{"1_a.sql", "prepare transaction 'x'", "PREPARE controls"},
		{"1_a.sql", "select 1; /* x */ End;", "1_a.sql:1:19: END controls"},
		{"1_a.sql", auto + "begin; vacuum; commit", "take it out: each statement of a no-transaction file commits by itself"},
		// what cannot work
		{"1_a.sql", "COPY t FROM stdin;\n1\t2\n\\.\n", "1_a.sql:1:1: COPY from or to the client would wait for data that never comes (copy-stdin)"},
		{"1_a.sql", "\\restrict abc\nselect 1;", "1_a.sql:1:1: backslash commands are psql's"},
		{"1_a.sql", "select 1;\nselect \x00;", "1_a.sql:2:8: the file contains a NUL byte"},
		{"1_a.sql", "select '\xff'", "1_a.sql:1:9: the file is not valid UTF-8"},
		{"1_a.sql", "create table a (b int);\ncreate unique index concurrently x on a(b);", "1_a.sql:2:1: CREATE UNIQUE INDEX CONCURRENTLY cannot run in a transaction (needs-no-transaction); put it into a file of its own that begins with: -- pgdbm:no-transaction"},
		{"1_a.sql", "vacuum analyze;", "VACUUM ANALYZE cannot run in a transaction"},
		{"1_a.sql", "alter system set a = 1", "ALTER SYSTEM cannot run in a transaction"},
		{"1_a.sql", "reindex table concurrently t", "cannot run in a transaction"},
		{"1_a.sql", "drop index concurrently i", "cannot run in a transaction"},
		{"1_a.sql", "alter table a detach partition b concurrently", "DETACH PARTITION CONCURRENTLY cannot run"},
		{"1_a.sql", "set local standard_conforming_strings = off", "strings with backslashes as of old are not supported (string-syntax)"},
		// syntax
		{"1_a.sql", "select 1;\nselect 'é\n", "1_a.sql:2:8: the string is never closed (syntax)\n    select 'é\n           ^"},
		{"1_a.sql", "select (1;", "the parenthesis is never closed"},
		// templates
		{"1_a.sql", "select 'é', {{shema}}", "1_a.sql:1:13: the template {{shema}} is unknown (template); did you mean {{schema}}?"},
		{"1_a.sql", "select {{var.sise}}", "1_a.sql:1:8: the variable sise is not declared (have size)"},
		// directives
		{"1_a.sql", "-- pgdbm:notransaction\nselect 1", `1_a.sql:1:1: the directive "notransaction" does not exist (directive); have no-transaction`},
		{"1_a.sql", "select 1;\n-- pgdbm:out-of-order", "1_a.sql:2:1: a directive stands behind the first statement"},
		{"1_a.sql", "-- pgdbm:lock-timeout soon", `the directive lock-timeout cannot be "soon" (directive); write: -- pgdbm:lock-timeout 2s`},
		{"1_a.sql", "-- pgdbm:on-retry restart", "on-retry is for no-transaction files"},
		{"1_a.sql", "-- pgdbm:out-of-order\n--pgdbm:out-of-order", "1_a.sql:2:1: the directive out-of-order appears twice"},
		{"1_a.sql", "-- pgdbm:lint-ignore drop", "needs a rule and a reason"},
		{"1_a.sql", "-- pgdbm:lint-ignore dorp it is gone", `there is no rule "dorp" to ignore (directive); have unnamed-index`},
		{"1_a.sql", "-- pgdbm:lint-ignore tx-control I know", "the rule tx-control cannot be ignored"},
		// lint errors
		{"1_a.sql", auto + "create index concurrently on {{tables.a}} (b)", "1_a.sql:2:1: CREATE INDEX CONCURRENTLY without a name (unnamed-index)"},
		{"1_a.sql", "create table {{schema}}.a (" + strings.Repeat("é", 32) + " int)", "1_a.sql:1:28: the identifier has 64 bytes"},
		{"1_a.sql", "set search_path = x", "SET search_path changes the session"},
		{"1_a.sql", "set session role x", "SET role changes the session"},
	} {
		if got, _ := loadError(t, files(c.file, c.text)); !strings.Contains(got, c.want) {
			t.Errorf("%s %q:\n got %s\nwant %s", c.file, c.text, got, c.want)
		}
	}
}

func TestLoadReportsAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	msg, err := loadError(t, files("1_a.sql", "commit;\nvacuum;", "001_b.sql", "select {{x}};", "notes.sql", ""))
	for _, want := range []string{
		"migrations: 5 problems\n", "1_a.sql:1:1: COMMIT", "1_a.sql:2:1: VACUUM", "001_b.sql:1:8: the template {{x}}",
		"has the same version 1 as 001_b.sql", "notes.sql: the name",
	} {
		if !strings.Contains(msg, want) {
			t.Errorf("no %q in\n%s", want, msg)
		}
	}
	if !errors.Is(err, migrations.ErrTxControl) {
		t.Error("errors.Is(err, ErrTxControl) is false")
	}
	if errors.Is(err, migrations.ErrDrift) {
		t.Error("errors.Is(err, ErrDrift) is true")
	}
}

func TestTransactionWordsInsideBodiesLoad(t *testing.T) {
	t.Parallel()
	load(t, files("1_a.sql", `
create procedure {{schema}}.p() language plpgsql as $$ begin commit; rollback; end $$;
create function {{schema}}.f() returns int begin atomic select 1; end;
select 'commit;'; -- rollback;
/* begin; */ create table {{tables.t}} ("commit" int, rollback int);
savepoint a; rollback to savepoint a; release a;
set transaction read write;
prepare q as select 1;`))
}

func TestBeginCommitAroundEverythingIsUnwrapped(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"BEGIN;\nselect 1;\nselect 2;\nCOMMIT;", "-- c\nbegin transaction; select 1; select 2; end work", "start transaction; select 1; select 2; commit",
	} {
		if m := load(t, files("1_a.sql", text)).Migrations()[0]; m.Statements != 2 {
			t.Errorf("%q: %d statements", text, m.Statements)
		}
	}
}

func TestChecksumIgnoresWhatEditorsChange(t *testing.T) {
	t.Parallel()
	sum := func(text string) string { return load(t, files("1_a.sql", text)).Migrations()[0].Checksum }
	want := sum("select 1;\nselect 2;")
	for _, same := range []string{"\ufeffselect 1;\r\nselect 2;\r\n", "select 1;\nselect 2; \t\n\n"} {
		if sum(same) != want {
			t.Errorf("%q has another checksum", same)
		}
	}
	for _, other := range []string{"select 1;\nselect 3;", "select 1; \nselect 2;", " select 1;\nselect 2;"} {
		if sum(other) == want {
			t.Errorf("%q has the same checksum", other)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	src := load(t, files("1_a.sql", `create table t (a serial);
create table {{tables.new}} (a int);
create index i on {{tables.new}} (a);
create index j on {{tables.old}} (a);
alter table {{tables.old}} alter column a set not null, add constraint c check (a > 0), drop column b;
alter table {{tables.old}} add constraint d check (a > 0) not valid, alter b type text, rename to older;
alter table {{tables.new}} drop column b;
drop table {{tables.gone}};
`, "2_b.sql", "-- pgdbm:lint-ignore drop nobody ever used it\ndrop table {{tables.gone}};"))
	want := []string{
		"1_a.sql:1:14 unqualified-name", "1_a.sql:1:19 serial", "1_a.sql:4:1 blocking-index", "1_a.sql:5:28 set-not-null",
		"1_a.sql:5:57 constraint-scan", "1_a.sql:5:89 drop", "1_a.sql:6:70 column-type", "1_a.sql:6:89 rename", "1_a.sql:8:1 drop",
	}
	var got []string
	for _, f := range src.Lint() {
		if f.Severity != migrations.Warning || f.Hint == "" || f.Excerpt == "" {
			t.Errorf("finding %+v", f)
		}
		got = append(got, f.Position.String()+" "+f.Rule)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRulesCanBeChanged(t *testing.T) {
	t.Parallel()
	fsys := files("1_a.sql", "drop table {{tables.t}}")
	if _, err := migrations.Load(fsys, migrations.LoadOptions{Rules: map[string]migrations.Severity{"drop": migrations.Error}}); err == nil {
		t.Error("drop as an error: loaded")
	}
	src, err := migrations.Load(fsys, migrations.LoadOptions{Rules: map[string]migrations.Severity{"drop": migrations.Off}})
	if err != nil || len(src.Lint()) != 0 {
		t.Errorf("drop switched off: %v, %v", src.Lint(), err)
	}
	_, err = migrations.Load(fsys, migrations.LoadOptions{
		Rules: map[string]migrations.Severity{"dorp": migrations.Off, "tx-control": migrations.Off},
		Vars:  map[string]string{"a-b": ""},
	})
	for _, want := range []string{`there is no rule "dorp"`, "the rule tx-control cannot be changed", `variable "a-b"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

func TestVariablesStandForAPartOfAStatement(t *testing.T) {
	t.Parallel()
	fsys := files("1_a.sql", "select {{var.x}}, '{{var.x}}';")
	for value, ok := range map[string]bool{"42": true, "a.b": true, "1; drop table x": false, "'": false, "(": false, "-- ": false, "$$": false} {
		_, err := migrations.Load(fsys, migrations.LoadOptions{Vars: map[string]string{"x": value}})
		if (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{"", "begin;commit", "-- pgdbm:x", "create index concurrently on", "alter table a add", "select {{schema}}", "\\", "create table"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		src, err := migrations.Load(files("1_a.sql", text), migrations.LoadOptions{})
		if (src == nil) != (err != nil) {
			t.Fatalf("%q: %v, %v", text, src, err)
		}
		if err != nil {
			if _, ok := errors.AsType[*migrations.LoadError](err); !ok {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}
