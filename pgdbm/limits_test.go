package pgdbm_test

import (
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{StatementTimeout: 100 * time.Millisecond}), "")
	_, err := m.Exec(t.Context(), "select pg_sleep(60)")
	testkit.ErrorIs(t, err, pgdbm.ErrTimeout)
	testkit.ErrorContains(t, err, "canceling statement due to statement timeout", "57014")
	exec(t, m, "select 1") // the connection goes on
}

func TestLockTimeout(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{LockTimeout: 20 * time.Millisecond}), "app")
	exec(t, m, "create table {{tables.t}} ()")
	tx, err := m.Begin(t.Context())
	testkit.NoError(t, err)
	defer func() { testkit.NoError(t, tx.Rollback(t.Context())) }()
	exec(t, tx, "lock table {{tables.t}}")
	_, err = m.Exec(t.Context(), "select from {{tables.t}}")
	testkit.ErrorIs(t, err, pgdbm.ErrLocked)
	testkit.ErrorContains(t, err, "canceling statement due to lock timeout", "55P03")
}

// The server ends the session of a transaction that does nothing.
func TestIdleInTransactionTimeout(t *testing.T) {
	t.Parallel()
	cfg := secure(t).config("plain") // through TCP: of a Unix socket the server's last word is lost
	cfg.IdleInTransactionTimeout = 20 * time.Millisecond
	m := bind(t, open(t, cfg), "")
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		pid, err := pgdbm.FetchValue[int](t.Context(), tx, "select pg_backend_pid()")
		testkit.NoError(t, err)
		testkit.Eventually(t, "the session is still there", func() bool {
			n, err := pgdbm.FetchValue[int](t.Context(), m, "select count(*) from pg_stat_activity where pid = $1", pid)
			testkit.NoError(t, err)
			return n == 0
		})
		return second(tx.Exec(t.Context(), "select 1"))
	})
	testkit.ErrorIs(t, err, pgdbm.ErrTimeout)
	testkit.ErrorContains(t, err, "25P03")
	exec(t, m, "select 1") // on another connection
}
