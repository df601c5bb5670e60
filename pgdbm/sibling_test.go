package pgdbm_test

import (
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestWithSchemaIsBindWithAnotherSchema(t *testing.T) {
	t.Parallel()
	pool := offline(t)
	for name, b := range map[string]pgdbm.Binding{
		"plain":        {Schema: "a"},
		"none bound":   {},
		"module":       {Module: "crm", Schema: "crm_x"},
		"no deps":      {Module: "crm", Schema: "crm_x", Modules: map[string]string{}},
		"dependencies": {Module: "crm", Schema: "crm_x", Modules: map[string]string{"users": "people", "crmx": "crm_x"}},
	} {
		m, err := pool.Bind(b)
		testkit.NoError(t, err)
		b.Schema = "crm_Acme"
		want, err := pool.Bind(b)
		testkit.NoError(t, err)
		got, err := m.WithSchema("crm_Acme")
		testkit.NoError(t, err)
		if got.Schema() != "crm_Acme" || got.Scope() != want.Scope() {
			t.Errorf("%s: schema %s, scope %q, want %q", name, got.Schema(), got.Scope(), want.Scope())
		}
		for _, sql := range []string{"{{schema}} {{tables.t}}", "{{tables.users.t}}", "{{tables.crm.t}}"} {
			w, wantErr := want.Expand(sql)
			g, gotErr := got.Expand(sql)
			if g != w || (gotErr == nil) != (wantErr == nil) {
				t.Errorf("%s: %s is %s, %v; want %s, %v", name, sql, g, gotErr, w, wantErr)
			}
		}
		if old, err := m.Expand("{{schema}}"); err != nil || strings.Contains(old, "Acme") {
			t.Errorf("%s: the first manager is in %s, %v", name, old, err)
		}
	}
	m, err := pool.Manager("a")
	testkit.NoError(t, err)
	if _, err := m.WithSchema("pg_a"); err == nil || err.Error() != `pgdbm: schema "pg_a": names that begin with pg_ belong to PostgreSQL` {
		t.Errorf("%v", err)
	}
}

func BenchmarkWithSchema(b *testing.B) {
	m, err := offline(b).Bind(pgdbm.Binding{Module: "crm", Schema: "crm_", Modules: map[string]string{"users": "users", "plans": "plans"}})
	testkit.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.WithSchema("crm_acme"); err != nil {
			b.Fatal(err)
		}
	}
}
