package fxpgdbm_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/fxpgdbm"
	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

var billing = module.Module{Name: "billing", DependsOn: []module.Module{users}, Migrations: sqlFiles(
	"1_invoices.sql", "create table {{tables.invoices}} (id bigint generated always as identity primary key, payer bigint not null references {{tables.users.users}})",
)}

type invoice struct {
	ID    int64 `db:"id,key,auto"`
	Payer int64 `db:"payer"`
}

// billingStore writes invoices, and would like to write users.
type billingStore struct {
	db       pgdbm.DB
	invoices *repo.Repository[invoice]
}

func newBillingStore(db pgdbm.DB) (*billingStore, error) {
	invoices, err := repo.New[invoice](db, "invoices")
	return &billingStore{db, invoices}, err
}

// The application does not know of the roles of its modules: their configuration
// is all there is.
func TestApplicationWithModuleRoles(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	prefix := "f" + strings.ToLower(rand.Text()[:10]) + "_"
	t.Cleanup(func() {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, dsn)
		testkit.NoError(t, err)
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, fmt.Sprintf("drop owned by %[1]susers, %[1]sbilling cascade; drop role %[1]susers, %[1]sbilling", prefix))
		testkit.NoError(t, err)
	})
	var (
		people *userStore
		bills  *billingStore
	)
	run := func(mode fxpgdbm.Mode) error {
		app, err := startOn(t, dsn,
			fx.Supply(fxpgdbm.Config{OnStart: mode}),
			fx.Decorate(func(cfg pgdbm.Config) pgdbm.Config { cfg.ModuleRoles = prefix; return cfg }),
			fxpgdbm.Register(users, fx.Provide(newUserStore)),
			fxpgdbm.Register(billing, fx.Provide(newBillingStore), fxpgdbm.Repo[invoice]("invoices")),
			fx.Populate(&people, &bills),
		)
		if err == nil && mode == fxpgdbm.Verify {
			return app.Stop(t.Context())
		}
		return err
	}
	testkit.ErrorIs(t, run(fxpgdbm.Verify), pgdbm.ErrPermission)
	testkit.NoError(t, run(fxpgdbm.Apply))
	ctx := t.Context()
	testkit.NoError(t, people.add(ctx, "a@x"))
	testkit.NoError(t, bills.invoices.Insert(ctx, &invoice{Payer: 1}))
	testkit.NoError(t, bills.invoices.InsertAll(ctx, []invoice{{Payer: 1}, {Payer: 1}}))
	all, err := bills.invoices.Where().All(ctx)
	testkit.NoError(t, err)
	testkit.Equal(t, len(all), 3)
	n, err := pgdbm.FetchValue[int](ctx, bills.db, "select count(*) from {{tables.users.users}}")
	testkit.NoError(t, err)
	testkit.Equal(t, n, 1)

	_, err = bills.db.Exec(ctx, "delete from {{tables.users.users}}")
	testkit.ErrorIs(t, err, pgdbm.ErrPermission)
	testkit.ErrorContains(t, err, `module "billing" may only read the tables of "users": to change users.users call the store of "users"`)
	_, err = people.db.Exec(ctx, "insert into billing.invoices (payer) values (1)")
	testkit.ErrorIs(t, err, pgdbm.ErrPermission)
	testkit.ErrorContains(t, err, `module "users" does not depend on "billing"`)
	testkit.NoError(t, run(fxpgdbm.Verify))
}
