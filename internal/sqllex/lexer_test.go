package sqllex_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// kinds are short names for the wanted tokens below.
var kinds = map[sqllex.Kind]string{
	sqllex.Space: "_", sqllex.LineComment: "--", sqllex.BlockComment: "/*", sqllex.Ident: "id",
	sqllex.QuotedIdent: "qid", sqllex.String: "str", sqllex.BitString: "bit", sqllex.Param: "par",
	sqllex.Number: "num", sqllex.Operator: "op", sqllex.Punct: "p", sqllex.Other: "?",
}

// tokens renders the tokens of sql without trivia: "kind:text", with a trailing
// ! for open ones.
func tokens(sql string) []string {
	var out []string
	for t := range sqllex.Tokens(sql) {
		if t.Kind == sqllex.Space {
			continue
		}
		s := kinds[t.Kind] + ":" + t.Text
		if t.Open {
			s += "!"
		}
		out = append(out, s)
	}
	return out
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sql, want string }{
		// Identifiers.
		{`a$b$c`, `id:a$b$c`},
		{`a$$ b$$`, `id:a$$ id:b$$`},
		{`été_1`, `id:été_1`},
		{`"a;b" "a""b" "`, `qid:"a;b" qid:"a""b" qid:"!`},
		{`u&"d\0061t" U&x u`, `qid:u&"d\0061t" id:U op:& id:x id:u`},
		{`nb'1'`, `id:nb str:'1'`},
		// Strings.
		{`'it''s;' ''`, `str:'it''s;' str:''`},
		{`'a\' 'b'`, `str:'a\' str:'b'`},
		{`E'a\'b;' e'\\' E'\`, `str:E'a\'b;' str:e'\\' str:E'\!`},
		{`U&'a\' B'01' x'1f' N'n'`, `str:U&'a\' bit:B'01' bit:x'1f' id:N str:'n'`},
		{"'a'\n'b'", "str:'a'\n'b'"},
		{"'a' -- c'\r 'b'", "str:'a' -- c'\r 'b'"},
		{"'a' 'b'", "str:'a' str:'b'"},
		{"'a' /*\n*/ 'b'", "str:'a' /*:/*\n*/ str:'b'"},
		{"E'a'\n'\\';'", "str:E'a'\n'\\';'"},
		{"'a'\n-- c\n\t'b;'", "str:'a'\n-- c\n\t'b;'"},
		{"'a'\n--", "str:'a' --:--"},
		{"'a", "str:'a!"},
		// Dollar quotes.
		{`$$a;$b$;$$ $`, `str:$$a;$b$;$$ ?:$`},
		{`$é1$ $é$ $é1$`, `str:$é1$ $é$ $é1$`},
		{`$a$ $b$ $a$b$a$`, `str:$a$ $b$ $a$ id:b$a$`},
		{`$1$2 $1$a$;$a$`, `par:$1 par:$2 par:$1 str:$a$;$a$`},
		{`$a b$`, `?:$ id:a id:b$`},
		{`$1a$ $$`, `par:$1 id:a$ str:$$!`},
		{`$ab$ $abc$ $ab`, `str:$ab$ $abc$ $ab!`},
		{`$A$ $a$ $A$`, `str:$A$ $a$ $A$`},
		{`+$$a$$`, `op:+ str:$$a$$`},
		// Comments.
		{`/* /* ; */ */x`, `/*:/* /* ; */ */ id:x`},
		{`/*/ */x`, `/*:/*/ */ id:x`},
		{`/***/x/**/`, `/*:/***/ id:x /*:/**/`},
		{`/* /* */`, `/*:/* /* */!`},
		{"-- a;'\nx--", "--:-- a;' id:x --:--"},
		{"--a\rx", "--:--a id:x"},
		// Operators.
		{`a+--b`, `id:a op:+ --:--b`},
		{`a*/*b*/c`, `id:a op:* /*:/*b*/ id:c`},
		{`=-1 ?-1 @-1 <>-1 +-+`, `op:= op:- num:1 op:?- num:1 op:@- num:1 op:<> op:- num:1 op:+ op:- op:+`},
		{`a->>'b' @> ~* ||/ x`, `id:a op:->> str:'b' op:@> op:~* op:||/ id:x`},
		{`a::b :=c =>d :e a[1:2]`, `id:a op::: id:b op::= id:c op:=> id:d p:: id:e id:a p:[ num:1 p:: num:2 p:]`},
		{`*/ /`, `op:*/ op:/`},
		// Numbers.
		{`1 1.5 .5 1. 1e5 1.5E-3 1e x1`, `num:1 num:1.5 num:.5 num:1. num:1e5 num:1.5E-3 num:1 id:e id:x1`},
		{`1..2 t.5 1_000 0x1F 0b_1 1e+`, `num:1 op:.. num:2 id:t num:.5 num:1_000 num:0x1F num:0b_1 num:1 id:e op:+`},
		{`123$a$;$a$`, `num:123 str:$a$;$a$`},
		// Parameters and the rest.
		{`$1::int,$23;`, `par:$1 op::: id:int p:, par:$23 p:;`},
		{`\restrict {{a}}`, `?:\ id:restrict ?:{ ?:{ id:a ?:} ?:}`},
		{"a\x00b", "id:a ?:\x00 id:b"},
		{"a\vb\fc", "id:a id:b id:c"},
	} {
		if got := strings.Join(tokens(c.sql), " "); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.sql, got, c.want)
		}
	}
}

func TestIsAndName(t *testing.T) {
	t.Parallel()
	all := slices.Collect(sqllex.Tokens(`ReTurning "Re""T" U&"x" 'returning'`))
	ret, quoted, unicode, str := all[0], all[2], all[4], all[6]
	if !ret.Is("returning") || quoted.Is("returning") || str.Is("returning") || ret.Is("return") {
		t.Error("Is: only the unquoted word is the word")
	}
	if got := fmt.Sprint(ret.Name(), " ", quoted.Name(), " ", unicode.Name(), " ", str.Name()); got != `returning Re"T x ` {
		t.Errorf("names: %s", got)
	}
}

func TestTokensDoesNotAllocatePerToken(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	sql := strings.Repeat(`select a, 'b', $1, "c" from t where x >= 1.5 -- d`+"\n", 100)
	n := testing.AllocsPerRun(10, func() {
		for t := range sqllex.Tokens(sql) {
			_ = t.Is("returning")
		}
	})
	if n > 4 {
		t.Errorf("%v allocations for 2,000 tokens, want at most 4", n)
	}
}

func FuzzTokens(f *testing.F) {
	for _, s := range []string{"", "'a'\n'b'", "$a$b$a$", "/* /* */", "a+--b", `E'\`, "1e+", "$é$", `u&"`, "\xff'", "create function f() begin atomic ; end"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		end := 0
		for tok := range sqllex.Tokens(sql) {
			if tok.Offset != end || tok.Text == "" || sql[tok.Offset:tok.End()] != tok.Text || tok.Kind == 0 {
				t.Fatalf("%q: token %+v after offset %d", sql, tok, end)
			}
			_ = tok.Name()
			end = tok.End()
		}
		if end != len(sql) {
			t.Fatalf("%q: covered only to %d", sql, end)
		}
		statements, err := sqllex.Split(sql)
		last := 0
		for _, s := range statements {
			if s.Offset < last || s.Text == "" || !strings.HasPrefix(sql[s.Offset:], s.Text) {
				t.Fatalf("%q: statement %+v", sql, s)
			}
			last = s.Offset + len(s.Text)
			if err != nil {
				continue
			}
			again, err := sqllex.Split(s.Text)
			if err != nil || len(again) != 1 || again[0].Text != s.Text {
				t.Fatalf("%q: piece %q splits again: %+v, %v", sql, s.Text, again, err)
			}
		}
	})
}
