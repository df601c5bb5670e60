package fxpgdbm_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/fx"

	"github.com/pgdbm/pgdbm-go/fxpgdbm"
	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

func sqlFiles(files ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		m[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return m
}

var users = module.Module{Name: "users", Migrations: sqlFiles(
	"1_users.sql", "create table {{tables.users}} (id bigint generated always as identity primary key, email text not null unique)",
)}

type user struct {
	ID    int64  `db:"id,key,auto"`
	Email string `db:"email"`
}

// userStore is a service as applications write them: it knows nothing of fx.
type userStore struct{ db pgdbm.DB }

func newUserStore(db pgdbm.DB) *userStore { return &userStore{db} }

func (s *userStore) add(ctx context.Context, email string) error {
	_, err := s.db.Exec(ctx, "insert into {{tables.users}} (email) values ($1)", email)
	return err
}

func (s *userStore) count(ctx context.Context) (int, error) {
	return pgdbm.FetchValue[int](ctx, s.db, "select count(*) from {{tables.users}}")
}

// start starts an application on a database of the test's own.
func start(t *testing.T, opts ...fx.Option) (*fx.App, error) {
	t.Helper()
	return startOn(t, testkit.ConnString(t), opts...)
}

func startOn(t *testing.T, dsn string, opts ...fx.Option) (*fx.App, error) {
	t.Helper()
	app := fx.New(fx.NopLogger, fx.Supply(pgdbm.Config{ConnString: dsn, MaxConns: 4}), fx.StartTimeout(time.Minute), fxpgdbm.Module, fx.Options(opts...))
	if err := app.Err(); err != nil {
		return app, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), app.StartTimeout())
	defer cancel()
	err := app.Start(ctx)
	if err == nil {
		t.Cleanup(func() { _ = app.Stop(context.Background()) })
	}
	return app, err
}

func TestApplicationMigratesBeforeItsServicesStart(t *testing.T) {
	t.Parallel()
	var (
		pool    *pgdbm.Pool
		counted int
	)
	app, err := start(t,
		fx.Populate(&pool),
		fx.Invoke(func(lc fx.Lifecycle, store *userStore) { // a service's own start hook
			lc.Append(fx.StartHook(func(ctx context.Context) error {
				err := store.add(ctx, "a@x")
				if err == nil {
					counted, err = store.count(ctx)
				}
				return err
			}))
		}),
		fxpgdbm.Register(users, fx.Provide(newUserStore)),
	)
	if err != nil || counted != 1 {
		t.Fatalf("%d, %v", counted, err)
	}
	if err := app.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := pool.Health(t.Context()); !errors.Is(err, pgdbm.ErrUnavailable) {
		t.Errorf("after stop: %v", err)
	}
}

func TestEveryModuleSeesItsOwnSchema(t *testing.T) {
	t.Parallel()
	eu := users.As("users_eu")
	var here, there *userStore
	_, err := start(t,
		fxpgdbm.Register(users, fx.Provide(newUserStore), fx.Populate(&here)),
		fxpgdbm.Register(eu, fx.Provide(fx.Annotate(newUserStore, fx.ResultTags(`name:"eu"`))),
			fx.Invoke(fx.Annotate(func(s *userStore) { there = s }, fx.ParamTags(`name:"eu"`)))),
	)
	if err != nil {
		t.Fatal(err)
	}
	if here.db.Schema() != "users" || there.db.Schema() != "users_eu" {
		t.Errorf("schemas %q, %q", here.db.Schema(), there.db.Schema())
	}
	testkit.NoError(t, here.add(t.Context(), "a@x"))
	for store, want := range map[*userStore]int{here: 1, there: 0} {
		if n, err := store.count(t.Context()); err != nil || n != want {
			t.Errorf("%s: %d, %v", store.db.Schema(), n, err)
		}
	}
}

func TestManagerOutsideRegisterIsRefusedWithTheRule(t *testing.T) {
	t.Parallel()
	base := fx.Options(fx.NopLogger, fx.Supply(pgdbm.Config{Host: "h"}), fxpgdbm.Module, fxpgdbm.Register(users, fx.Provide(newUserStore)))
	testkit.NoError(t, fx.ValidateApp(base, fx.Invoke(func(*userStore) {})))
	for name, opt := range map[string]fx.Option{
		"manager": fx.Invoke(func(*pgdbm.Manager) {}),
		"DB":      fx.Invoke(func(pgdbm.DB) {}),
		"store":   fx.Options(fx.Provide(func(db pgdbm.DB) *int { return nil }), fx.Invoke(func(*int) {})),
	} {
		err := fx.ValidateApp(base, opt)
		if err == nil || !strings.Contains(err.Error(), "exist only inside fxpgdbm.Register(module, options...): move the constructor into the options of its module") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAsModuleAndRepo(t *testing.T) {
	t.Parallel()
	type settings struct{ schema string }
	var (
		set *module.Set
		all *repo.Repository[user]
	)
	_, err := start(t,
		fx.Supply(settings{"audit_log"}),
		fx.Provide(fxpgdbm.AsModule(func(s settings) (module.Module, error) {
			return module.Module{Name: "audit", Schema: s.schema}, nil
		})),
		fxpgdbm.Register(users, fxpgdbm.Repo[user]("users")),
		fx.Populate(&set, &all),
	)
	if err != nil {
		t.Fatal(err)
	}
	audit, err := set.Manager(module.Module{Name: "audit"})
	if err != nil || audit.Schema() != "audit_log" {
		t.Errorf("%v, %v", audit, err)
	}
	u := user{Email: "a@x"}
	if err := all.Insert(t.Context(), &u); err != nil || u.ID != 1 {
		t.Errorf("%v, %v", u, err)
	}
}

func TestStartModes(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	mode := func(m fxpgdbm.Mode) error {
		_, err := startOn(t, dsn, fx.Supply(fxpgdbm.Config{OnStart: m}), fxpgdbm.Register(users))
		return err
	}
	testkit.NoError(t, mode(fxpgdbm.Skip))
	if err := mode(fxpgdbm.Verify); !errors.Is(err, migrations.ErrPending) || !strings.Contains(err.Error(), "users") {
		t.Errorf("verify before: %v", err)
	}
	testkit.NoError(t, mode(fxpgdbm.Apply))
	testkit.NoError(t, mode(fxpgdbm.Verify))
	if err := mode("later"); err == nil || !strings.Contains(err.Error(), `Config.OnStart "later"`) {
		t.Errorf("unknown: %v", err)
	}
}

func TestStartThatRunsOutOfTimeNamesTheFileAndTheOption(t *testing.T) {
	t.Parallel()
	slow := module.Module{Name: "slow", Migrations: sqlFiles("1_wait.sql", "select pg_sleep(60);")}
	app := fx.New(fx.NopLogger, fx.Supply(pgdbm.Config{ConnString: testkit.ConnString(t)}), fxpgdbm.Module, fxpgdbm.Register(slow))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := app.Start(ctx)
	for _, want := range []string{"slow", "1_wait.sql", "raise fx.StartTimeout at the top level"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	_ = app.Stop(context.Background())
}

func TestFailedMigrationFailsTheStart(t *testing.T) {
	t.Parallel()
	broken := module.Module{Name: "broken", Migrations: sqlFiles("1_oops.sql", "create table {{tables.t}} ();\nselect nonsense;")}
	_, err := start(t, fxpgdbm.Register(broken))
	var me *migrations.MigrationError
	if !errors.As(err, &me) || me.Module != "broken" || me.Line != 2 {
		t.Errorf("got %v", err)
	}
}

func TestStopNamesConnectionsThatAreStillOut(t *testing.T) {
	t.Parallel()
	var pool *pgdbm.Pool
	app, err := start(t, fxpgdbm.Register(users), fx.Populate(&pool))
	testkit.NoError(t, err)
	conn, err := pool.Pgx().Acquire(t.Context())
	testkit.NoError(t, err)
	defer conn.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := app.Stop(ctx); err == nil || !strings.Contains(err.Error(), "1 connections are still in use") || !strings.Contains(err.Error(), "fx.StopTimeout") {
		t.Errorf("got %v", err)
	}
}

func TestReplacedPoolBelongsToTheTest(t *testing.T) {
	t.Parallel()
	pool, err := pgdbm.Open(t.Context(), pgdbm.Config{ConnString: testkit.ConnString(t)})
	testkit.NoError(t, err)
	defer func() { _ = pool.Close(context.Background()) }()
	var store *userStore
	app := fx.New(fx.NopLogger, fxpgdbm.Module, fx.Supply(pgdbm.Config{}), fx.Replace(pool), fxpgdbm.Register(users, fx.Provide(newUserStore)), fx.Populate(&store))
	testkit.NoError(t, app.Start(t.Context()))
	testkit.NoError(t, store.add(t.Context(), "a@x"))
	testkit.NoError(t, app.Stop(t.Context()))
	if n, err := store.count(t.Context()); err != nil || n != 1 {
		t.Errorf("the test's pool was closed: %d, %v", n, err)
	}
}

func TestWrongWiringIsReportedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	err := fx.New(fx.NopLogger, fx.Supply(pgdbm.Config{Host: "127.0.0.1", Port: 1}), fxpgdbm.Module,
		fxpgdbm.Register(users), fxpgdbm.Register(users.WithSchema("other"))).Err()
	if err == nil || !strings.Contains(err.Error(), `"users" is registered twice`) {
		t.Errorf("got %v", err)
	}
	err = fx.New(fx.NopLogger, fx.Supply(pgdbm.Config{}), fxpgdbm.Module).Err()
	if err == nil || !strings.Contains(err.Error(), "no server: set ConnString or Host") {
		t.Errorf("got %v", err)
	}
}
