package pgdbmtest_test

import (
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func TestSetHasAManagerForEveryModule(t *testing.T) {
	t.Parallel()
	set := pgdbmtest.NewSet(t, orders)
	id, err := store{set.Manager(users)}.add(t.Context(), "ada@example.com")
	testkit.NoError(t, err)
	err = set.Manager(orders).InTx(t.Context(), func(tx *pgdbm.Tx) error {
		if _, err := (store{set.Manager(users).In(tx)}).add(t.Context(), "bob@example.com"); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), "insert into {{tables.orders}} (owner) values ($1)", id)
		return err
	})
	testkit.NoError(t, err)
	testkit.Equal(t, set.DB(users).Count("users"), 2)
	testkit.Equal(t, set.DB(orders).Count("orders"), 1)
}

func TestSetIsMigrated(t *testing.T) {
	t.Parallel()
	set := pgdbmtest.NewSet(t, orders, users)
	testkit.NoError(t, set.Verify(t.Context()))
	report, err := set.Migrate(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, len(report.Applied), 0)
}

func TestSetWithoutTheModuleNamesThoseThatItHas(t *testing.T) {
	t.Parallel()
	wantFatal(t, func(t *fake) { pgdbmtest.NewSet(t, users).Manager(orders) }, `module: "orders" is not in the set (have users)`)
	wantFatal(t, func(t *fake) { pgdbmtest.NewSet(t, users).DB(orders) }, `module: "orders" is not in the set (have users)`)
}
