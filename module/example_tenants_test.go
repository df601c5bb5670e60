package module_test

import (
	"context"
	"fmt"
	"slices"
	"testing/fstest"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// A schema for every customer. The next version of the program adds a column to
// each of them, and a customer whose schema somebody has changed by hand does not
// stop the others.
func ExampleSet_Tenants() {
	var t exampleTB
	defer t.end()
	ctx := context.Background()
	pool, err := pgdbm.Open(ctx, pgdbm.Config{ConnString: testkit.ConnString(&t)})
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer func() { _ = pool.Close(ctx) }()
	set, err := module.NewSet(pool) // with the modules whose tables all share
	if err != nil {
		t.Fatalf("%v", err)
	}

	files := fstest.MapFS{ // usually an embed.FS
		"0001_contacts.sql": {Data: []byte("CREATE TABLE {{tables.contacts}} (name text PRIMARY KEY);\n")},
	}
	crm := module.Module{Name: "crm", Migrations: files}
	tenants, err := set.Tenants(crm, module.TenantConfig{Prefix: "crm_"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, id := range []string{"acme", "zeta", "initech"} { // at sign-up
		if err := tenants.Ensure(ctx, id); err != nil {
			t.Fatalf("%v", err)
		}
	}
	db, err := tenants.Manager("zeta") // for each request
	if err != nil {
		t.Fatalf("%v", err)
	}
	_, err = db.Exec(ctx, "ALTER TABLE {{tables.contacts}} ADD COLUMN email int")
	fmt.Println(db.Schema(), err)

	files["0002_email.sql"] = &fstest.MapFile{Data: []byte("ALTER TABLE {{tables.contacts}} ADD COLUMN email text;\n")}
	if tenants, err = set.Tenants(crm, module.TenantConfig{Prefix: "crm_"}); err != nil {
		t.Fatalf("%v", err)
	}
	report, err := tenants.Up(ctx, migrations.FanOut{}) // when it is deployed
	slices.Sort(report.Migrated)
	fmt.Println(report.Migrated)
	fmt.Println(err)
	status, err := tenants.Status(ctx)
	for _, s := range status {
		fmt.Println(s.Tenant, s.State, s.Pending)
	}
	fmt.Println(err)
	// Output:
	// crm_zeta <nil>
	// [acme initech]
	// migrations: tenants of crm: 1 of 3 failed
	// crm (schema crm_zeta): 0002_email.sql:1:1: column "email" of relation "contacts" already exists (SQLSTATE 42701)
	// acme current []
	// initech current []
	// zeta behind [0002_email.sql]
	// <nil>
}

// exampleTB is the test that an example is not.
type exampleTB struct{ cleanups []func() }

func (t *exampleTB) end() {
	for _, cleanup := range slices.Backward(t.cleanups) {
		cleanup()
	}
}

func (t *exampleTB) Helper()                           {}
func (t *exampleTB) Cleanup(fn func())                 { t.cleanups = append(t.cleanups, fn) }
func (t *exampleTB) Failed() bool                      { return false }
func (t *exampleTB) Logf(string, ...any)               {}
func (t *exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleTB) Skipf(format string, args ...any)  { panic(fmt.Sprintf(format, args...)) }
