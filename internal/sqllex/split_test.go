package sqllex_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// splits are texts that the server accepts, with their statements. They need
// no table. See also TestPiecesEqualTheWhole.
var splits = []struct {
	name, sql string
	want      []string
}{
	{"nothing", " -- a;\n/* ; */ ;; ", nil},
	{"no last semicolon", "select 1; select 2", []string{"select 1", "select 2"}},
	{"comments around are left out, inside are kept", "/* a */ select /* ; */ 1 -- ;\n; -- b", []string{"select /* ; */ 1"}},
	{"strings", `select ';', E'\';', 'a;''', ';'';'; select 2`, []string{`select ';', E'\';', 'a;''', ';'';'`, "select 2"}},
	{"backslash at the end of a standard string", `select 'a\'; select 'b'`, []string{`select 'a\'`, `select 'b'`}},
	{"unicode string", `select U&'\0061;\\'';'; select U&'a\\'; select 1`, []string{`select U&'\0061;\\'';'`, `select U&'a\\'`, "select 1"}},
	{"continued escape string", "select E'a'\n'\\';'; select 2", []string{"select E'a'\n'\\';'", "select 2"}},
	{"continued over a comment", "select 'a' -- ';\n ';'; select 2", []string{"select 'a' -- ';\n ';'", "select 2"}},
	{"not continued over a block comment", "select 'a' as \"x;\" /*\n';*/; select ';'", []string{"select 'a' as \"x;\"", "select ';'"}},
	{"quoted identifier", `select 1 as "a;""b;"; select 2 as U&"x;"`, []string{`select 1 as "a;""b;"`, `select 2 as U&"x;"`}},
	{"nested comment", "select 1 /* /* ; */ ; ' */ ; select 2", []string{"select 1", "select 2"}},
	{"operator before a comment", "select 1 +-- ;\n2; select 3*/* ; */4", []string{"select 1 +-- ;\n2", "select 3*/* ; */4"}},
	{"dollar quotes", "select $$;$a$;$$; select $a$;$$;$b$;$a$", []string{"select $$;$a$;$$", "select $a$;$$;$b$;$a$"}},
	{"non-ASCII tag", "select $é$;$e$;$é$; select 2", []string{"select $é$;$e$;$é$", "select 2"}},
	{"tags are case-sensitive", "select $A$;$a$;$A$; select 2", []string{"select $A$;$a$;$A$", "select 2"}},
	{"dollar in an identifier", "select 1 as a$b$; select 2 as c$b$", []string{"select 1 as a$b$", "select 2 as c$b$"}},
	{"dollar quote after a number", "select 1$$;$$; select 2", nil},
	{"bit strings", "select B'01', X'1f'\n';'", nil},
	{"semicolon in an array slice is none", "select (array[1,2])[1:2]; select 2", []string{"select (array[1,2])[1:2]", "select 2"}},
	{"CR ends a comment", "select 1 -- a\r; select 2", []string{"select 1", "select 2"}},
	{"commit in a body", "do $$ begin perform 1; /* commit; */ end $$; select 2", []string{"do $$ begin perform 1; /* commit; */ end $$", "select 2"}},
	{
		"rule with several actions",
		"create table r(a int); create rule x as on insert to r do also (select 1; select ')'; select (2)); drop table r",
		[]string{
			"create table r(a int)", "create rule x as on insert to r do also (select 1; select ')'; select (2))",
			"drop table r",
		},
	},
	{
		"atomic body",
		"create function f1(a int) returns int begin atomic select 1; select a; end; drop function f1",
		[]string{"create function f1(a int) returns int begin atomic select 1; select a; end", "drop function f1"},
	},
	{
		"empty atomic body",
		"create function f2() returns void begin atomic end; drop function f2",
		[]string{"create function f2() returns void begin atomic end", "drop function f2"},
	},
	{
		"atomic body with case",
		"create or replace function f3(a int) returns int language sql begin atomic select case when a > 0 then case a when 1 then 2 end else 3 end; select 4; end; drop function f3",
		[]string{
			"create or replace function f3(a int) returns int language sql begin atomic select case when a > 0 then case a when 1 then 2 end else 3 end; select 4; end",
			"drop function f3",
		},
	},
	{
		"atomic body with end and case as names",
		`create function f4() returns int begin atomic select 1 as end; select 2 end; select x.end from (select 1 as "end") x; select 3 as case; end; drop function f4`,
		[]string{
			`create function f4() returns int begin atomic select 1 as end; select 2 end; select x.end from (select 1 as "end") x; select 3 as case; end`,
			"drop function f4",
		},
	},
	{
		"atomic procedure",
		"create table p(a int); create procedure p1() begin atomic insert into p values (1); insert into p values ((2)); end; drop procedure p1; drop table p",
		[]string{
			"create table p(a int)",
			"create procedure p1() begin atomic insert into p values (1); insert into p values ((2)); end",
			"drop procedure p1", "drop table p",
		},
	},
	{"begin as a name", "select 1 as begin, 2 atomic; select 3", []string{"select 1 as begin, 2 atomic", "select 3"}},
	{
		"old function with begin in its body",
		"create or replace function f5() returns int language plpgsql as 'begin return 1; end'; select 1",
		[]string{"create or replace function f5() returns int language plpgsql as 'begin return 1; end'", "select 1"},
	},
	{
		"prepared statement with parameters",
		"prepare q1 as select $1::int+$2::int; execute q1(1,2); deallocate q1",
		[]string{"prepare q1 as select $1::int+$2::int", "execute q1(1,2)", "deallocate q1"},
	},
	{
		"schema elements are one statement",
		"create schema s1 create table t (a int) create view v as select 1 as x; drop schema s1 cascade",
		[]string{"create schema s1 create table t (a int) create view v as select 1 as x", "drop schema s1 cascade"},
	},
	{"white space of every kind", "\fselect\t1\r\n;\r\nselect 2;", []string{"select\t1", "select 2"}},
	{"non-ASCII identifiers", "select 1 as é; select 2 as \"ü;\"", []string{"select 1 as é", "select 2 as \"ü;\""}},
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, c := range splits {
		if c.want == nil && c.name != "nothing" {
			continue // rejected by some server versions: only that nothing panics
		}
		got, err := sqllex.Split(c.sql)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var texts []string
		for _, s := range got {
			texts = append(texts, s.Text)
			if c.sql[s.Offset:s.Offset+len(s.Text)] != s.Text {
				t.Errorf("%s: %q is not at %d", c.name, s.Text, s.Offset)
			}
		}
		if !slices.Equal(texts, c.want) {
			t.Errorf("%s\n got %q\nwant %q", c.name, texts, c.want)
		}
	}
}

func TestSplitReportsWhatIsNeverClosed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sql, want string }{
		{"select 1; select 'a", "offset 17: the string is never closed"},
		{"select $a$ $b$;", "offset 7: the string is never closed by $a$"},
		{"select $$;", "offset 7: the string is never closed by $$"},
		{`select "a;`, "offset 7: the quoted identifier is never closed"},
		{"select 1 /* /* */;", "offset 9: the comment is never closed by */"},
		{"select (1; select 2", "offset 7: the parenthesis is never closed"},
		{"create function f() begin atomic select 1;", "offset 20: BEGIN ATOMIC is never closed by END"},
	} {
		_, err := sqllex.Split(c.sql)
		if e, ok := errors.AsType[*sqllex.Error](err); !ok || e.Error() != c.want {
			t.Errorf("%q: %v; want %s", c.sql, err, c.want)
		}
	}
}

// The server parses a body inside of a body before it refuses it.
func TestSplitKnowsBodiesInBodies(t *testing.T) {
	t.Parallel()
	const sql = "create procedure p() begin atomic select 1 as create; create function k(begin int) returns int begin atomic select begin; select k.begin; end; select 2; end; select 3"
	got, err := sqllex.Split(sql)
	if err != nil || len(got) != 2 || got[1].Text != "select 3" {
		t.Errorf("%+v, %v", got, err)
	}
}
