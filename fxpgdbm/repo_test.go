package fxpgdbm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/fxpgdbm"
	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// nicked does not fit the table of users.
type nicked struct {
	ID    int64  `db:"id,key,auto"`
	Email string `db:"email"`
	Nick  string `db:"nick"`
}

// serving is a service that notes that it has started.
func serving(started *bool) fx.Option {
	return fx.Invoke(func(lc fx.Lifecycle, _ *userStore) {
		lc.Append(fx.StartHook(func() { *started = true }))
	})
}

func TestRepositoriesThatFitAreNoHindrance(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	for _, mode := range []fxpgdbm.Mode{fxpgdbm.Apply, fxpgdbm.Verify} {
		_, err := startOn(t, dsn, fx.Supply(fxpgdbm.Config{OnStart: mode}),
			fxpgdbm.Register(users, fxpgdbm.Repo[user]("users")), fxpgdbm.Register(billing, fxpgdbm.Repo[invoice]("invoices")))
		testkit.NoError(t, err)
	}
}

func TestRepositoriesThatDoNotFitAreAllNamed(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	type paid struct {
		ID   int64 `db:"id,key,auto"`
		Paid bool  `db:"paid"`
	}
	var (
		log     logged
		started bool
	)
	app := func(cfg fxpgdbm.Config) error { // in which nobody asks for a repository
		return startLogged(t, &log, dsn, fx.Supply(cfg), serving(&started),
			fxpgdbm.Register(billing, fxpgdbm.Repo[paid]("invoices"), fxpgdbm.Repo[invoice]("bills")),
			fxpgdbm.Register(users, fx.Provide(newUserStore), fxpgdbm.Repo[nicked]("users")))
	}
	for _, mode := range []fxpgdbm.Mode{fxpgdbm.Apply, fxpgdbm.Verify} { // the schemas are what they should be
		err := app(fxpgdbm.Config{OnStart: mode})
		testkit.ErrorContains(t, err,
			`fxpgdbm: verifying the repositories failed, and nothing was started: users (schema users): repo: users: fxpgdbm_test.nicked does not fit the table: the table has no column "nick" (field Nick)`+"\n",
			"\nbilling (schema billing): repo: bills: ",
			"\n"+`billing (schema billing): repo: invoices: fxpgdbm_test.paid does not fit the table: the table has no column "paid" (field Paid)`+"\n",
			"\nadd a migration or mend the struct; to start all the same set SkipRepoVerify in fxpgdbm.Config")
		testkit.ErrorIs(t, err, pgdbm.ErrUndefined) // there are no bills
	}
	testkit.Equal(t, started, false)
	for _, table := range []string{"module=users schema=users table=users", "module=billing schema=billing table=bills", "module=billing schema=billing table=invoices"} {
		testkit.Equal(t, strings.Count(log.String(), `level=ERROR msg="repository does not fit" `+table+" error="), 2)
	}

	testkit.NoError(t, app(fxpgdbm.Config{SkipRepoVerify: true}))
	testkit.Equal(t, started, true)
	testkit.NoError(t, app(fxpgdbm.Config{OnStart: fxpgdbm.Skip}))
}

func TestRepositoryOfAMountIsVerifiedInItsSchema(t *testing.T) {
	t.Parallel()
	pool, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t), MaxConns: 1}) // enough
	testkit.NoError(t, err)
	t.Cleanup(func() { _ = pool.Close(context.Background()) })
	app := func(m module.Module) error {
		return fx.New(fx.NopLogger, fx.Supply(pgdbm.Config{}), fx.Replace(pool), fxpgdbm.Module, fxpgdbm.Register(m, fxpgdbm.Repo[nicked]("users"))).Start(t.Context())
	}
	with := users.As("users_eu")
	with.Migrations = sqlFiles("1_users.sql", "create table {{tables.users}} (id bigint generated always as identity primary key, email text not null, nick text not null)")
	testkit.NoError(t, app(with))
	testkit.ErrorContains(t, app(users.As("users_us").WithSchema("us")), `users_us (schema us): repo: users: fxpgdbm_test.nicked does not fit the table: the table has no column "nick"`)
}

func TestRepositoryIsCheckedBeforeTheStart(t *testing.T) {
	t.Parallel()
	base := fx.Options(fx.NopLogger, fx.Supply(pgdbm.Config{Host: "h"}), fxpgdbm.Module)
	testkit.NoError(t, fx.ValidateApp(base, fxpgdbm.Register(users, fxpgdbm.Repo[user]("users"), fx.Invoke(func(*repo.Repository[user]) {}))))
	testkit.ErrorContains(t, fx.ValidateApp(base, fxpgdbm.Register(users), fxpgdbm.Repo[user]("users")),
		"exist only inside fxpgdbm.Register(module, options...): move the constructor into the options of its module")

	type keyless struct {
		Email string `db:"email"`
	}
	testkit.ErrorContains(t, fx.New(base, fxpgdbm.Register(users, fxpgdbm.Repo[keyless]("users"), fxpgdbm.Repo[user]("no table"))).Err(),
		`fxpgdbm: module "users": repo: users (fxpgdbm_test.keyless): `, `"no table" does not name a table`)
}

// atCatalog does something when the columns of a table are about to be read.
type atCatalog func()

func (do atCatalog) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, "attgenerated") {
		do()
	}
	return ctx
}
func (atCatalog) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestVerifyingThatRunsOutOfTimeNamesTheTableAndTheOption(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	proxy, unblock := &freezer{}, make(chan struct{})
	t.Cleanup(func() { close(unblock) })
	for want, cfg := range map[string]pgdbm.Config{
		// a server that freezes
		"users (schema users): repo: users: timeout": {ConnString: proxy.start(t, dsn), Tracers: []pgx.QueryTracer{atCatalog(func() { proxy.frozen.Store(true) })}},
		// something that the deadline does not end
		"fxpgdbm: users (schema users): comparing a repository with table users: no answer": {ConnString: dsn, Tracers: []pgx.QueryTracer{atCatalog(func() { <-unblock })}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			app := fx.New(fx.NopLogger, fx.Supply(cfg), fxpgdbm.Module, fxpgdbm.Register(users, fxpgdbm.Repo[user]("users")))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := app.Start(ctx)
			testkit.ErrorContains(t, err, want, "raise fx.StartTimeout at the top level")
			if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "mend the struct") {
				t.Errorf("%v", err)
			}
		})
	}
}
