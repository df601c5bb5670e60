package sqltmpl_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

func resolve(r sqltmpl.Ref) (string, error) {
	switch r.Kind {
	case sqltmpl.Schema:
		return `"app"`, nil
	case sqltmpl.SchemaLiteral:
		return `'app'`, nil
	case sqltmpl.Var:
		return "<" + r.Name + ">", nil
	default:
		if r.Module != "" {
			return `"` + r.Module + `"."` + r.Name + `"`, nil
		}
		return `"app"."` + r.Name + `"`, nil
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"select 1", "select 1"},
		{"select '{a}', '}}'", "select '{a}', '}}'"},
		{"{{schema}}", `"app"`},
		{"a {{schema}}.f({{tables.users}}) b", `a "app".f("app"."users") b`},
		{"{{tables.billing.invoices}}", `"billing"."invoices"`},
		{"'{{tables.users}}'::regclass", `'"app"."users"'::regclass`},
		{"'{{{{1,2},{3,4}}'::int[]", "'{{1,2},{3,4}}'::int[]"},
		{"{{{{schema}}", "{{schema}}"},
		{"{{{{{{schema}}", `{{"app"`},
		{"{{schema.literal}} {{var.size}}", "'app' <size>"},
		{"é{{tables.t}}é", `é"app"."t"é`},
	} {
		tpl, err := sqltmpl.Parse(c.in, sqltmpl.Migration)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if got, err := tpl.Expand(resolve); err != nil || got != c.want {
			t.Errorf("Expand(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want string // in the message
	}{
		{"select {{", "at offset 7: is not closed"},
		{"{{schema} }", "is not closed"},
		{"{{schema {{tables.t}}", "template {{schema {{tables.t}} at offset 0: is not closed"},
		{"{{shema}}", "did you mean {{schema}}?"},
		{"{{ schema }}", "did you mean {{schema}}?"},
		{"{{Schema}}", "did you mean {{schema}}?"},
		{"{{table.users}}", "did you mean {{tables.users}}?"},
		{"{{tables}}", "did you mean {{tables.<name>}}?"},
		{"{{tables.a.b.c}}", "is unknown"},
		{"{{tables.}}", `"" is not a name`},
		{"{{tables.a-b}}", `"a-b" is not a name`},
		{"{{tables.1a}}", `"1a" is not a name`},
		{"{{tables." + strings.Repeat("x", 64) + "}}", "is not a name"},
		{"{{}}", "is unknown; use {{schema}}"},
		{"'{{1,2},{3,4}}'", "write {{{{ for a literal {{"},
		{"{{schema.literal}}", "works only in migrations"},
		{"{{var.x}}", "works only in migrations"},
	} {
		_, err := sqltmpl.Parse(c.in, sqltmpl.Query)
		var e *sqltmpl.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%q): %v; want a message with %q", c.in, err, c.want)
		}
	}
}

func TestMappingLeadsBackToTheSource(t *testing.T) {
	t.Parallel()
	const in = "a {{schema}}.b {{{{ {{tables.t}} cd"
	tpl, err := sqltmpl.Parse(in, sqltmpl.Query)
	if err != nil {
		t.Fatal(err)
	}
	out, m, err := tpl.ExpandMapped(resolve)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"a ", ".b", " cd"} {
		if got, want := m.Source(strings.Index(out, word)), strings.Index(in, word); got != want {
			t.Errorf("offset of %q maps to %d, want %d", word, got, want)
		}
	}
	if got, want := m.Source(strings.Index(out, `"t"`)), strings.Index(in, "{{tables"); got != want {
		t.Errorf("inside a reference maps to %d, want %d", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{{schema}}", "{{{{", "{{tables.a.b}}x", "{{", "}}", "{{{schema}}}", "{{var.é}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, d := range []sqltmpl.Dialect{sqltmpl.Query, sqltmpl.Migration} {
			tpl, err := sqltmpl.Parse(s, d)
			if err != nil {
				continue
			}
			same, err := tpl.Expand(func(r sqltmpl.Ref) (string, error) { return r.Text, nil })
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(s, "{{{{", "{{"); same != want && !strings.Contains(s, "{{{{") {
				t.Fatalf("identity: %q became %q", s, same)
			}
			for _, r := range tpl.Refs() {
				if !strings.HasPrefix(s[r.Offset:], r.Text) {
					t.Fatalf("%q: reference %q is not at %d", s, r.Text, r.Offset)
				}
			}
		}
	})
}
