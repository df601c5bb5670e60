package pgdbm_test

import (
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// FuzzExpand composes texts of literals and templates and expands them in
// several schemas: each template becomes the names that the documentation says,
// the rest stays as it is, and the expansion is the same when it is remembered.
func FuzzExpand(f *testing.F) {
	bindings := []pgdbm.Binding{
		{},
		{Schema: "app"},
		{Schema: strings.Repeat("S", 63)},
		{Module: "orders", Schema: "select", Modules: map[string]string{"users": "Acme_Users"}},
	}
	pool := offline(f)
	managers := make([]*pgdbm.Manager, len(bindings))
	for i, b := range bindings {
		var err error
		if managers[i], err = pool.Bind(b); err != nil {
			f.Fatal(err)
		}
	}
	f.Add("select 1 from \x00\x01users\x02 where '{' = '}'")
	f.Add("\x00\x00\x01a\x02\x03b\x02\x04c\x02\x05")
	f.Add("$$\x01t\x02$$ -- \x03t\x02\n'\x04t\x02'")
	f.Fuzz(func(t *testing.T, recipe string) {
		text, parts := compose(recipe)
		for i, b := range bindings {
			var want strings.Builder
			for _, p := range parts {
				want.WriteString(p.in(b))
			}
			for range 2 { // computed, then remembered
				got, err := managers[i].Expand(text)
				if err != nil || got != want.String() {
					t.Fatalf("%q in %+v: got %q, %v; want %q", text, b, got, err, want.String())
				}
			}
		}
	})
}

// piece is a literal, or a template with the names in it.
type piece struct {
	literal       string
	schema        bool // {{schema}}
	module, table string
}

// compose makes a text of a recipe, in which the bytes 0 to 5 stand for
// templates: 1, 3 and 4 take what follows, up to 2, for a table's name.
func compose(recipe string) (text string, parts []piece) {
	var b strings.Builder
	for recipe != "" {
		c, rest := recipe[0], recipe[1:]
		name, after, _ := strings.Cut(rest[:min(len(rest), 100)], "\x02") // of a long recipe not all, again and again
		after += rest[min(len(rest), 100):]
		switch {
		case c == 0:
			b.WriteString("{{schema}}")
			parts, recipe = append(parts, piece{schema: true}), rest
		case c == 5:
			b.WriteString("{{{{")
			parts, recipe = append(parts, piece{literal: "{{"}), rest
		case (c == 1 || c == 3 || c == 4) && sqltmpl.ValidName(name):
			module := map[byte]string{3: "users.", 4: "orders."}[c]
			b.WriteString("{{tables." + module + name + "}}")
			parts, recipe = append(parts, piece{module: strings.TrimSuffix(module, "."), table: name}), after
		case c == '{': // would change what is a template
			recipe = rest
		default:
			b.WriteByte(c)
			parts, recipe = append(parts, piece{literal: string([]byte{c})}), rest
		}
	}
	return b.String(), parts
}

// in returns what the piece stands for, by the table in the documentation of
// package pgdbm.
func (p piece) in(b pgdbm.Binding) string {
	schema := b.Schema
	switch {
	case p.literal != "":
		return p.literal
	case p.schema && schema == "":
		return `"public"`
	case p.schema:
		return `"` + schema + `"`
	case p.module != "" && b.Modules == nil:
		schema = p.module
	case p.module != "" && p.module != b.Module:
		schema = b.Modules[p.module]
	}
	if schema == "" {
		return `"` + p.table + `"`
	}
	return `"` + schema + `"."` + p.table + `"`
}

// FuzzQualify takes any name: what is accepted is, as SQL, that very name.
func FuzzQualify(f *testing.F) {
	m, err := offline(f).Manager("App")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"users", "Users", "order", `a"b`, "é", "a.b", "", "\x00", strings.Repeat("x", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, table string) {
		got, err := m.Qualify(table)
		if (err == nil) != sqltmpl.ValidName(table) {
			t.Fatalf("%q: %s, %v", table, got, err)
		}
		if err != nil {
			return
		}
		var names []string
		for token := range sqllex.Tokens(got) {
			names = append(names, token.Name())
		}
		if len(names) != 3 || names[0] != "App" || names[2] != table {
			t.Fatalf("%q became %s: %q", table, got, names)
		}
	})
}
