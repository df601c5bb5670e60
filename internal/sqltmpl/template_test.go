package sqltmpl_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// schemaOf places references in the schema of their module, app without one.
func schemaOf(r sqltmpl.Ref) (string, error) {
	if r.Module != "" {
		return r.Module, nil
	}
	return "app", nil
}

// resolve is schemaOf for migrations.
func resolve(r sqltmpl.Ref) (string, error) {
	switch r.Kind {
	case sqltmpl.Schema:
		return `"app"`, nil
	case sqltmpl.SchemaLiteral:
		return `'app'`, nil
	case sqltmpl.Var:
		return "<" + r.Name + ">", nil
	default:
		schema, err := schemaOf(r)
		return `"` + schema + `"."` + r.Name + `"`, err
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"select 1", "select 1"},
		{"select '{a}', '}}', '}}}}'", "select '{a}', '}}', '}}}}'"},
		{"{{schema}}", `"app"`},
		{"a {{schema}}.f({{tables.users}}) b", `a "app".f("app"."users") b`},
		{"{{tables.billing.invoices}}", `"billing"."invoices"`},
		{"'{{tables.users}}'::regclass", `'"app"."users"'::regclass`},
		{"$$ select {{tables.users}} $$", `$$ select "app"."users" $$`},
		{"-- {{tables.Users}}", `-- "app"."Users"`},
		{"{{schema}}{{schema}}", `"app""app"`},
		{"'{{{{1,2},{3,4}}'::int[]", "'{{1,2},{3,4}}'::int[]"},
		{"{{{{schema}}", "{{schema}}"},
		{"{{{{{{schema}}", `{{"app"`},
		{"{{{{{{{{", "{{{{"},
		{"é{{tables.t}}é", `é"app"."t"é`},
	} {
		for _, d := range []sqltmpl.Dialect{sqltmpl.Query, sqltmpl.Migration} {
			tpl, err := sqltmpl.Parse(c.in, d)
			if err != nil {
				t.Errorf("Parse(%q): %v", c.in, err)
				continue
			}
			if got, err := tpl.Expand(schemaOf); err != nil || got != c.want {
				t.Errorf("Expand(%q) = %q, %v; want %q", c.in, got, err, c.want)
			}
			if got, _, err := tpl.ExpandMapped(resolve); err != nil || got != c.want {
				t.Errorf("ExpandMapped(%q) = %q, %v; want %q", c.in, got, err, c.want)
			}
		}
	}
	tpl, err := sqltmpl.Parse("{{schema.literal}} {{var.size}}", sqltmpl.Migration)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := tpl.ExpandMapped(resolve); err != nil || got != "'app' <size>" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestExpandAllocatesOnce(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of other tests
	tpl, err := sqltmpl.Parse("select {{tables.a}} {{tables.b.c}} {{schema}} {{{{ x", sqltmpl.Query)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 63)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := tpl.Expand(func(sqltmpl.Ref) (string, error) { return long, nil }); err != nil {
			t.Error(err)
		}
	}); n != 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestExpandStopsAtAnError(t *testing.T) {
	t.Parallel()
	tpl, err := sqltmpl.Parse("{{tables.a}} {{tables.b.c}} {{tables.d}}", sqltmpl.Query)
	if err != nil {
		t.Fatal(err)
	}
	unknown := errors.New("unknown")
	fail := func(r sqltmpl.Ref) (string, error) {
		switch r.Name {
		case "a":
			return "x", nil
		case "c":
			return "", unknown
		default:
			t.Errorf("asked for %s", r.Name)
			return "", nil
		}
	}
	if got, err := tpl.Expand(fail); !errors.Is(err, unknown) || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, _, err := tpl.ExpandMapped(fail); !errors.Is(err, unknown) || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want string // in the message
	}{
		// Not closed.
		{"select {{", "template {{ at offset 7: is not closed; close it with }}, or write {{{{ for a literal {{"},
		{"{{schema} }", "template {{schema} } at offset 0: is not closed; did you mean {{schema}}? (write {{{{ for a literal {{)"},
		{"select {{schema}.f()", "did you mean {{schema}}?"},
		{"{{schema.f(1)", "did you mean {{schema}}?"},
		{"{{tables.users where {{tables.t}}", "template {{tables.users where {{tables.t}} at offset 0: is not closed; did you mean {{tables.users}}?"},
		{"{{ tables.users}", "did you mean {{tables.users}}?"},
		{"{{tabels.users}", "did you mean {{tables.users}}?"},
		{"'{{1,2},{3,4}'", "is not closed; close it with }}, or write {{{{ for a literal {{"},
		{"'{{a,b},{c,d}'", "is not closed; close it with }}, or write {{{{ for a literal {{"},
		{"{{schema\nfrom", "template {{schema at offset 0: is not closed"}, // one line of it

		// Misspelt.
		{"{{shema}}", "template {{shema}} at offset 0: is unknown; did you mean {{schema}}? (write {{{{ for a literal {{)"},
		{"{{ schema }}", "did you mean {{schema}}?"},
		{"{{Schema}}", "did you mean {{schema}}?"},
		{"{{{schema}}}", "did you mean {{schema}}?"},
		{"{{.tables.users}}", "did you mean {{tables.users}}?"},
		{"{{table.users}}", "did you mean {{tables.users}}?"},
		{"{{tabels.users}}", "did you mean {{tables.users}}?"},
		{"{{TABLES.users}}", "did you mean {{tables.users}}?"},
		{"{{ tables . users }}", "did you mean {{tables.users}}?"},
		{"{{table.billing.invoices}}", "did you mean {{tables.billing.invoices}}?"},
		{"{{schema.users}}", "did you mean {{tables.users}}?"},
		{"{{users}}", "did you mean {{tables.users}}?"},
		{"{{tables}}", "did you mean {{tables.<name>}}?"},
		{"{{tables.a.b.c}}", "is unknown; use {{schema}}, {{tables.<table>}} or {{tables.<module>.<table>}}"},
		{"{{}}", "is unknown; use {{schema}}"},
		{"{{other.users}}", "is unknown; use {{schema}}"},
		{"'{{1,2},{3,4}}'", "template {{1,2},{3,4}} at offset 1: is unknown; use {{schema}}, {{tables.<table>}} or {{tables.<module>.<table>}}; write {{{{ for a literal {{"},

		// Names.
		{"{{tables.}}", `template {{tables.}} at offset 0: "" is not a name; names are a letter or _ followed by up to 62 letters, digits or _`},
		{"{{tables..t}}", `"" is not a name`},
		{"{{tables.m.}}", `"" is not a name`},
		{"{{tables.a-b}}", `"a-b" is not a name`},
		{"{{tables.1a}}", `"1a" is not a name`},
		{"{{tables.naïve}}", `"naïve" is not a name`},
		{"{{tables. users}}", `template {{tables. users}} at offset 0: " users" is not a name; did you mean {{tables.users}}?`},
		{"{{tables." + strings.Repeat("x", 64) + "}}", "is not a name"},

		{"{{schema.literal}}", "template {{schema.literal}} at offset 0: works only in migrations"},
		{"{{var.x}}", "works only in migrations"},
	} {
		_, err := sqltmpl.Parse(c.in, sqltmpl.Query)
		var e *sqltmpl.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%q): %v; want a message with %q", c.in, err, c.want)
		}
	}
	for in, want := range map[string]string{
		"{{vars.x}}":          "did you mean {{var.x}}?",
		"{{var}}":             "did you mean {{var.<name>}}?",
		"{{schema.litteral}}": "did you mean {{schema.literal}}?",
		"{{schema.users}}":    "did you mean {{tables.users}}?",
	} {
		if _, err := sqltmpl.Parse(in, sqltmpl.Migration); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v; want a message with %q", in, err, want)
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
