package sqltmpl_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// FuzzParse parses any text: it never panics, text without templates expands to
// itself, references stand where they say, and errors point at their template.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "select 1", "{{schema}}", "{{{{", "{{{{{{schema}}", "{{tables.a.b}}x", "{{", "}}", "{{{schema}}}", "{{var.é}}",
		"{{schema.literal}}", "{{ schema }}", "{{tables.a {{tables.b}}", "'{{{{1},{2}}'", "{{tables.\x00}}", "é{{tabels.t}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, d := range []sqltmpl.Dialect{sqltmpl.Query, sqltmpl.Migration} {
			tpl, err := sqltmpl.Parse(s, d)
			if err != nil {
				checkError(t, s, err)
				continue
			}
			checkExpansion(t, s, tpl)
		}
	})
}

func checkError(t *testing.T, s string, err error) {
	t.Helper()
	e, ok := errors.AsType[*sqltmpl.Error](err)
	if !ok {
		t.Fatalf("%q: %T is not a *sqltmpl.Error", s, err)
	}
	if e.Offset < 0 || e.Offset+2 > len(s) || s[e.Offset:e.Offset+2] != "{{" {
		t.Fatalf("%q: offset %d is not that of a template: %v", s, e.Offset, err)
	}
	if strings.HasPrefix(s[e.Offset:], "{{{{") {
		t.Fatalf("%q: offset %d is that of a literal {{: %v", s, e.Offset, err)
	}
	if strings.ContainsAny(e.Template, "\r\n") || len(e.Template) > 50 {
		t.Fatalf("%q: shows %q", s, e.Template)
	}
	if shown, _ := strings.CutSuffix(e.Template, "…"); !strings.HasPrefix(strings.ToValidUTF8(s[e.Offset:], ""), strings.ToValidUTF8(shown, "")) {
		t.Fatalf("%q: shows %q, which is not at %d", s, e.Template, e.Offset)
	}
	if e.Reason == "" || len(err.Error()) > 400 {
		t.Fatalf("%q: message %q", s, err)
	}
}

func checkExpansion(t *testing.T, s string, tpl *sqltmpl.Template) {
	t.Helper()
	same, mapping, err := tpl.ExpandMapped(func(r sqltmpl.Ref) (string, error) { return r.Text, nil })
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(s, "{{{{", "{{"); same != want {
		t.Fatalf("%q became %q, want %q", s, same, want)
	}
	if !strings.Contains(s, "{{") {
		if got, err := tpl.Expand(nil); err != nil || got != s || same != s {
			t.Fatalf("%q became %q and %q, %v", s, got, same, err)
		}
	}
	at := 0
	for _, r := range tpl.Refs() {
		if r.Offset < at || !strings.HasPrefix(s[r.Offset:], r.Text) {
			t.Fatalf("%q: reference %q is not at %d", s, r.Text, r.Offset)
		}
		at = r.Offset + len(r.Text)
	}
	last := 0
	for out := range same {
		source := mapping.Source(out)
		if source < last || source > len(s) {
			t.Fatalf("%q: offset %d of %q maps to %d, after %d", s, out, same, source, last)
		}
		last = source
	}
}

// FuzzName expands every name that the syntax accepts: as a token of SQL it is
// that very name again, whatever stands around it.
func FuzzName(f *testing.F) {
	for _, s := range []string{"users", "Users", "select", "_", "a1", strings.Repeat("x", 63), strings.Repeat("x", 64), `a"b`, "é", "a b", "a.b", "", "u&"} {
		f.Add(s, "app")
		f.Add("t", s)
	}
	f.Fuzz(func(t *testing.T, table, schema string) {
		if !sqltmpl.ValidName(schema) || strings.ContainsAny(table, "{}") { // which may end the template
			return
		}
		tpl, err := sqltmpl.Parse("{{tables."+table+"}}", sqltmpl.Query)
		if valid := sqltmpl.ValidName(table); valid != (err == nil) && strings.Count(table, ".") == 0 {
			t.Fatalf("%q: valid %t, but %v", table, valid, err)
		}
		if err != nil {
			return
		}
		want := []string{schema, "."}
		for _, r := range tpl.Refs() {
			want = append(want, r.Name)
		}
		text, err := tpl.Expand(func(sqltmpl.Ref) (string, error) { return schema, nil })
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for token := range sqllex.Tokens(text) {
			switch {
			case token.Open:
				t.Fatalf("%q is never closed", token.Text)
			case token.Kind == sqllex.QuotedIdent:
				got = append(got, token.Name())
			default:
				got = append(got, token.Text)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("%s: got %q, want %q", text, got, want)
		}
	})
}
