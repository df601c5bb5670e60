package pgdbmtest_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

func TestTxIsRolledBack(t *testing.T) {
	t.Parallel()
	var tx *pgdbmtest.Tx
	var kept *pgdbm.Tx
	f := try(func(f *fake) {
		tx = pgdbmtest.NewTx(f, pgdbmtest.WithModules(users))
		_, err := store{tx}.add(t.Context(), "ada@example.com")
		testkit.NoError(f, err)
		kept = tx.Tx
	})
	testkit.Equal(t, f.output(), "")
	_, err := kept.Exec(t.Context(), "select 1")
	testkit.ErrorIs(t, err, pgx.ErrTxClosed)
}

func TestTxNestsInSavepoints(t *testing.T) {
	t.Parallel()
	tx := pgdbmtest.NewTx(t, pgdbmtest.WithModules(users))
	s := store{tx}
	_, err := s.add(t.Context(), "ada@example.com")
	testkit.NoError(t, err)
	undone := errors.New("undone")
	testkit.ErrorIs(t, tx.InTx(t.Context(), func(inner *pgdbm.Tx) error {
		_, err := store{inner}.add(t.Context(), "bob@example.com")
		return errors.Join(err, undone)
	}), undone)
	testkit.ErrorIs(t, tx.InTx(t.Context(), func(inner *pgdbm.Tx) error {
		_, err := store{inner}.add(t.Context(), "ada@example.com")
		return err
	}), pgdbm.ErrConflict)
	testkit.NoError(t, tx.InTx(t.Context(), func(inner *pgdbm.Tx) error {
		_, err := store{inner}.add(t.Context(), "eve@example.com")
		return err
	}))
	emails, err := pgdbm.FetchAll[string](t.Context(), tx, "select email from {{tables.users}} order by id")
	testkit.NoError(t, err)
	testkit.Equal(t, emails, []string{"ada@example.com", "eve@example.com"})
}

func TestTxCannotBeCommitted(t *testing.T) {
	t.Parallel()
	tx := pgdbmtest.NewTx(t)
	testkit.ErrorContains(t, tx.Commit(t.Context()), "ended by who began it")
	testkit.ErrorContains(t, tx.Rollback(t.Context()), "ended by who began it")
	execute(t, tx, "select 1")
}

func TestTxSpansModules(t *testing.T) {
	t.Parallel()
	tx := pgdbmtest.NewTx(t, pgdbmtest.WithModules(orders, users))
	id, err := store{tx.InSchema("users")}.add(t.Context(), "ada@example.com")
	testkit.NoError(t, err)
	execute(t, tx.InSchema("orders"), "insert into {{tables.orders}} (owner) select id from {{tables.users.users}} where id = $1", id)
	wantFatal(t, func(t *fake) { pgdbmtest.NewTx(t).InSchema("no-good") }, `schema "no-good"`)
}
