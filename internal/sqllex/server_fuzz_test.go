package sqllex_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// FuzzPiecesEqualTheWhole makes texts out of what is hard to divide, and lets the
// server judge: it accepts the statements one by one if and only if it accepts the
// text, and they give the same rows, errors and objects.
func FuzzPiecesEqualTheWhole(f *testing.F) {
	for i := range statements {
		f.Add([]byte{byte(i), 0, 1, 2, 3, 4, 5, 6, 7, 0, byte(i), 7, 6, 5, 4, 3, 2, 1, 0})
		f.Add([]byte{byte(i), 9, 1, 11, 31, 12, 2, 13, 3, 14, 1, 21, 22, 23, 2, 24, 25, 200, 17, 3, 30, 31})
	}
	conn, err := pgconn.Connect(context.Background(), testkit.ConnString(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = conn.Close(context.Background()) })
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 200 {
			return
		}
		sql := generate(data)
		judge := &judge{conn: conn}
		if err := judge.compare(sql); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	})
}

// judge compares on a connection.
type judge struct{ conn *pgconn.PgConn }

func (j *judge) compare(sql string) error {
	whole := j.parse(sql)
	pieces, splitErr := sqllex.Split(sql)
	var first string // what the server says of the first piece that it does not parse
	for _, p := range pieces {
		if p.Text != sql[p.Offset:p.Offset+len(p.Text)] {
			return fmt.Errorf("piece %q is not at %d", p.Text, p.Offset)
		}
		if first = j.parse(p.Text); first != "" {
			break
		}
	}
	switch {
	case whole == "" && splitErr != nil:
		return fmt.Errorf("the server parses the text, Split says %w", splitErr)
	case whole == "" && first != "":
		return fmt.Errorf("the server parses the text, but not a piece: %s\npieces %+v", first, pieces)
	case whole != "" && splitErr == nil && first != whole:
		return fmt.Errorf("the server says %s of the text, %q of the pieces\npieces %+v", whole, first, pieces)
	case whole != "":
		return nil
	}
	var texts []string
	for _, p := range pieces {
		if endsTransaction(p.Text) {
			return nil
		}
		texts = append(texts, p.Text)
	}
	a := j.run([]string{sql})
	if b := j.run(texts); a != b {
		return fmt.Errorf("the text gives\n%s\nthe pieces give\n%s\npieces %q", a, b, texts)
	}
	return nil
}

// parse returns the SQLSTATE with which the server refuses to parse a text, "" when it
// does not. The server parses all statements of a message before it runs the first.
func (j *judge) parse(sql string) string {
	_, err := j.conn.Exec(context.Background(), "select 1/0;"+sql).ReadAll()
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "22012" {
		return fmt.Sprint(code(err))
	}
	return ""
}

func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}

// endsTransaction reports whether a statement would end the transaction in which it
// is to be undone.
func endsTransaction(sql string) bool {
	for t := range sqllex.Tokens(sql) {
		switch {
		case t.Trivia():
		case t.Is("rollback"):
			return !strings.Contains(sql, "to a")
		default:
			return t.Is("begin") || t.Is("end") || t.Is("commit") || t.Is("abort") || t.Is("start")
		}
	}
	return false
}

// effects describes what has been created since.
const effects = `select string_agg(x, E'\n' order by x) from (
  select proname || ' ' || prosrc || coalesce(pg_get_function_sqlbody(oid), '') from pg_proc where oid >= 16384
  union all select relname || ' ' || relkind::text from pg_class where oid >= 16384 and relnamespace <> 'pg_toast'::regnamespace
  union all select pg_get_ruledef(oid) from pg_rewrite where oid >= 16384
  union all select description from pg_description where objoid >= 16384
  union all select nspname from pg_namespace where oid >= 16384) as all_of(x)`

// run executes the texts in a transaction, up to the first error, and undoes them.
func (j *judge) run(texts []string) string {
	var out strings.Builder
	_, _ = j.conn.Exec(context.Background(), "begin").ReadAll()
	var err error
	for _, text := range texts {
		var results []*pgconn.Result
		results, err = j.conn.Exec(context.Background(), text).ReadAll()
		for _, r := range results {
			if tag := r.CommandTag.String(); tag != "" {
				fmt.Fprintf(&out, "%s %q\n", tag, r.Rows)
			}
		}
		if err != nil {
			fmt.Fprintf(&out, "error %s\n", code(err))
			break
		}
	}
	if err == nil {
		results, err := j.conn.Exec(context.Background(), effects).ReadAll()
		if err != nil {
			fmt.Fprintf(&out, "effects: %v\n", err)
		} else {
			fmt.Fprintf(&out, "%q\n", results[0].Rows)
		}
	}
	_, _ = j.conn.Exec(context.Background(), "rollback; deallocate all; reset all").ReadAll()
	return out.String()
}

// In statements and expressions, ? stands for an expression, # for a body, @ for an
// identifier, ~ for what may stand between two tokens.
var statements = []string{
	"select ?", "select ?, ?", "select ?~as @", "select ?~as~@,~?~as~@", "select (?)", "select (select ?~as @)", "values (?), (?)", "select * from (select ? as @) as x",
	"create function f()~returns text language sql as #", "create or replace~function f(a int default 1)~returns int~begin atomic~select ?;~select 1;~end",
	"create function g(a int) returns int language sql~begin~atomic;~select case when a > 0 then 1 else case a when 1 then 2 end end~;~end",
	"create procedure p()~begin atomic insert into t values (1);~select ?~as @;~end", "create function h() returns int~return~case when true then 1 end", "create function i() returns void begin atomic end",
	"create table t (n int)", "create table t (n int, @ text default ?::text)", "create rule r as on insert to t do also (~select ?;~select 1~;)", "create rule r as on insert to t~do instead~(delete from t;~)", "insert into t values (1)",
	"do #", "do~language plpgsql~#", "comment on schema public is ~ 'a;'", "create schema s~create table u (n int)~create view v as select ?~as @", "prepare q~as select $1::int", "execute q(1)", "deallocate q",
	"select a.n[1~:~2] from (select array[1,2,3] as n) a", "select $1", "select 1~::~text", "select a$b$c from (select ? as a$b$c) x", "select 1 as begin, 2~atomic, 3 as \"end\"", "create view w as select ?~as @", "create function k(begin int) returns int language sql begin atomic select begin; select k.begin; end",
	"savepoint a", "release a", "rollback to a", "set local statement_timeout = 5000", "explain (costs off) select 1", "begin~atomic", "end", "", "select ? where ?::text is not null", "create operator === (leftarg = int, rightarg = int, function = int4eq)", "select 1 ~=== 2",
	"create function l() returns int language plpgsql as 'begin return 1; end'", "create function m() returns int as $$select 1;$$~language sql", "create table @ (n int)", "select /* ; */ ? --;\n", "create type c as enum (';', '~')", "create function o() returns table (n int) begin atomic values (1), (2); select 3 union select ?::int; end",
	"merge into t using (select 1 as n) s on t.n = s.n when matched then do nothing when not matched then insert values (s.n)", "create or~replace procedure p2() begin~atomic update t set n = (case when n > 1 then 2 else 3 end); end",
}

var expressions = []string{
	"1", "'a'", "'~'", "';'", "''''", "'\\'", "E'\\''", "E'a\\\\;'", "e'\\x3b'", "U&'\\003b'", "U&'d!0061;' uescape '!'", "N';'", "B'01'", "x'1F'", "'a'\n';'", "'a'~';'", "'a' -- ';\n';'", "E'a'\n'\\';'",
	"$$;$$", "$a$;$$;$a$", "$a$ $b$; $a$", "$é$;$e$;$é$", "$$a$$", "$_$';$_$", "array[1,2]", "row(1,?)", "case when true then ? end", "(?)", "1.5e3", "1e", "0x1F", "1_000", "1..2", "1.", ".5", "1$$a$$", "1a", "$1", "$1a", "- -1", "1 *-- ;\n 1", "1 -/* ; */1",
	"1 <>-1", "2 operator(pg_catalog.+) 3", "'[1,2)'::int4range", "\"a\"", "null", "true", "interval '1' day", "date '2020-01-01'", "cast(? as text)", "exists (select ?)", "a", "@", "'a' 'b'", "N'a'\n'b'", "'{}'::jsonb #> '{a}'", "1 !~ 2", "#", "~?", "?~",
}

var identifiers = []string{"a", "\"a;\"", "\"a\"\"b;\"", "U&\"\\0061;\"", "U&\"d!0061\" uescape '!'", "é", "a$b", "a$b$", "_", "\"end\"", "atomic", "\"$$\"", "\"'\"", "\"--\"", "\"/*\"", "e", "u", "n", "begin", "end_", "case_"}

var bodies = []string{
	"$$ begin perform 1; end $$", "$a$ begin perform '$$'; /* commit; */ end; $a$", "' begin null; end '", "E' begin perform ''a\\';b''; end '", "$_1$select 1;$_1$", "$é$ begin end $é$", "$$begin end$$~", "$$ select ';' $$", "'select '';'';'", "$body$\nselect 1 -- ;\n;$body$", "U&'select 1;'", "$A$ begin /*$a$*/ end $A$",
}

// Between two tokens. A vertical tab is white space from PostgreSQL 16 on. What is not white space or a comment is there to break texts.
var between = []string{
	" ", "\n", " /* ; */ ", " -- ;\n", "\t\r\n\f", " /* /* ; */ ; ' */ ", "/**/", "--\n", " -- '\r", " /* $$ */ ", " /* \" -- \n */ ", " -- /*\n", ";", "'", "\"", "$$", "$a$", "/*", "*/", "(", ")", "\\", "--", "é", "\u00a0", "a", "e", "$", ":", "[", "]", ",", ".", "#", "?", "U&", "end", "begin", "begin atomic", "case", "create",
}

var separators = []string{";", ";\n", " ; ", ";;", "; -- ;\n", "/* ; */;", "\n;\n\n;", ";/* ' */", " -- ;\n;", "; \t\r\n", ";--", ""}

// generate makes a text; every byte decides something.
func generate(data []byte) string {
	g := &generator{data: data}
	for g.pos < len(g.data) && g.out.Len() < 2000 {
		g.expand(statements[g.next(len(statements))], 0)
		g.out.WriteString(separators[g.next(len(separators))])
	}
	return strings.ReplaceAll(g.out.String(), "\x00", "")
}

type generator struct {
	data []byte
	pos  int
	out  strings.Builder
}

func (g *generator) next(n int) int {
	if g.pos >= len(g.data) {
		return 0
	}
	g.pos++
	return int(g.data[g.pos-1]) % n
}

func (g *generator) expand(form string, depth int) {
	for _, r := range form {
		switch {
		case r == '~':
			if n := g.next(3 * len(between)); n < len(between) { // mostly a blank
				g.out.WriteString(between[n])
			} else {
				g.out.WriteString(between[n%12])
			}
		case depth > 3 && strings.ContainsRune("?#@", r):
			g.out.WriteString("1")
		case r == '?':
			g.expand(expressions[g.next(len(expressions))], depth+1)
		case r == '#':
			g.expand(bodies[g.next(len(bodies))], depth+1)
		case r == '@':
			g.expand(identifiers[g.next(len(identifiers))], depth+1)
		default:
			g.out.WriteRune(r)
		}
	}
}
