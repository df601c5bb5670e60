package repo_test

import (
	"strconv"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
	"github.com/pgdbm/pgdbm-go/repo"
)

func TestFragmentsAreRenumbered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string
		args     int
	}{
		{"a = $1", "a = $4", 1},
		{"$1 = any($2)", "$4 = any($5)", 2},
		{"$2 > $1 or $2 is null", "$5 > $4 or $5 is null", 2},
		{"a = $1 -- $1", "a = $4  ", 1},
		{"a = $1::int and '$1' <> e'\\'$1' and $x$ $1 $x$ <> \"$1\"", "a = $4::int and '$1' <> e'\\'$1' and $x$ $1 $x$ <> \"$1\"", 1},
		{"a$1 = $1", "a$1 = $4", 1},
		{"a = '{{tables.x}}'::regclass or {{schema}}.f($1)", "a = '{{tables.x}}'::regclass or {{schema}}.f($4)", 1},
	} {
		got, args, err := repo.Renumber(c.in, 3)
		if err != nil || got != c.want || args != c.args {
			t.Errorf("%s became %s with %d arguments, want %s with %d: %v", c.in, got, args, c.want, c.args, err)
		}
	}
}

func FuzzFragment(f *testing.F) {
	for _, seed := range []string{"a = $1", "$2 + $1", "'$1' || $1", "$1$2", "a -- $1\n$1", "f($1, (ARRAY[$2])[1])", "$1e$2", "U&\"\\$1\"", "$$ $1 $$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const before = 90
		out, _, err := repo.Renumber(text, before)
		if err != nil {
			return
		}
		want, got := significant(text), significant(out)
		if len(want) != len(got) {
			t.Fatalf("%q became %q", text, out)
		}
		for i, tok := range want {
			expected := tok.Text
			if tok.Kind == sqllex.Param {
				n, _ := strconv.Atoi(tok.Text[1:])
				expected = "$" + strconv.Itoa(n+before)
			}
			if got[i].Kind != tok.Kind || got[i].Text != expected {
				t.Fatalf("%q became %q: %q for %q", text, out, got[i].Text, tok.Text)
			}
		}
	})
}

func significant(sql string) (tokens []sqllex.Token) {
	for tok := range sqllex.Tokens(sql) {
		if !tok.Trivia() {
			tokens = append(tokens, tok)
		}
	}
	return tokens
}
