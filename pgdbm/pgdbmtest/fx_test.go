package pgdbmtest_test

import (
	"testing"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/pgdbm/pgdbm-go/fxpgdbm"
	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func newStore(db pgdbm.DB) *store { return &store{db} }

func TestFXRunsAnApplicationOnTheTestsDatabase(t *testing.T) {
	t.Parallel()
	nowhere := fx.Supply(pgdbm.Config{ConnString: "postgres://nowhere.invalid/production"})
	for name, opts := range map[string][]pgdbmtest.Option{
		"migrated by the application": nil,
		"migrated in the template":    {pgdbmtest.WithModules(users)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *store
			var cfg pgdbm.Config
			var pool *pgdbm.Pool
			app := fxtest.New(t, fx.NopLogger, fx.StartTimeout(time.Minute), nowhere, pgdbmtest.FX(t, opts...), fxpgdbm.Module,
				fxpgdbm.Register(users, fx.Provide(newStore)), fx.Populate(&s, &cfg, &pool))
			app.RequireStart()
			_, err := s.add(t.Context(), "ada@example.com")
			testkit.NoError(t, err)
			app.RequireStop()
			testkit.NoError(t, pool.Health(t.Context())) // the test's, not the application's

			again, err := pgdbm.Open(t.Context(), cfg)
			testkit.NoError(t, err)
			m, err := again.Manager("users")
			testkit.NoError(t, err)
			n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from {{tables.users}}")
			testkit.NoError(t, err)
			testkit.Equal(t, n, 1)
			testkit.NoError(t, again.Close(t.Context()))
		})
	}
}

func TestFXNeedsNoConfig(t *testing.T) {
	t.Parallel()
	var s *store
	app := fxtest.New(t, fx.NopLogger, pgdbmtest.FX(t, pgdbmtest.WithModules(users)), fxpgdbm.Module,
		fxpgdbm.Register(users, fx.Provide(newStore)), fx.Populate(&s))
	app.RequireStart()
	_, err := s.add(t.Context(), "ada@example.com")
	testkit.NoError(t, err)
	app.RequireStop()
}
