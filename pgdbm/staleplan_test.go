package pgdbm_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

const everything = "select * from app.items where id > $1"

// remember runs everything on all connections of a pool, which then know what
// it returns.
func remember(t *testing.T, m *pgdbm.Manager) {
	t.Helper()
	conns := make([]*pgxpool.Conn, m.Pool().Pgx().Config().MaxConns)
	for i := range conns {
		var err error
		conns[i], err = m.Acquire(t.Context())
		testkit.NoError(t, err)
		defer conns[i].Release()
		for range 2 {
			rows, err := conns[i].Query(t.Context(), everything, 0)
			testkit.NoError(t, err)
			rows.Close()
			testkit.NoError(t, rows.Err())
		}
	}
}

func TestStatementsSurviveAMigration(t *testing.T) {
	t.Parallel()
	b, direct := bouncer(t, "2")
	for name, connString := range map[string]string{"direct": direct, "pooled": b.ConnString()} {
		m := bind(t, open(t, pgdbm.Config{ConnString: connString, MaxConns: 4}), "app")
		ctx := t.Context()
		for kind, fn := range map[string]func() error{
			"Query":     func() error { return second(pgdbm.FetchAll[map[string]any](ctx, m, everything, 0)) },
			"Exec":      func() error { return second(m.Exec(ctx, everything, 0)) },
			"rows left": func() error { rows, err := m.Query(ctx, everything, 0); rows.Close(); return first(err, rows.Err()) },
			"InTxWith": func() error {
				return m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 5}, func(tx *pgdbm.Tx) error {
					return second(pgdbm.FetchAll[map[string]any](ctx, tx, everything, 0))
				})
			},
		} {
			exec(t, m, "create table {{tables.items}} (id int)")
			remember(t, m)
			exec(t, m, "alter table {{tables.items}} add column more text")
			for range 12 {
				if err := fn(); err != nil {
					t.Errorf("%s, %s: %v", name, kind, err)
				}
			}
			exec(t, m, "drop table {{tables.items}}")
			m.Pool().Pgx().Reset() // what is remembered
		}
	}
}

func TestTransactionWithoutAttemptsSaysThatAPlanIsStale(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "app")
	exec(t, m, "create table {{tables.items}} (id int)")
	remember(t, m)
	exec(t, m, "alter table {{tables.items}} add column more text")
	read := func() error {
		return m.InTx(t.Context(), func(tx *pgdbm.Tx) error { return second(tx.Exec(t.Context(), everything, 0)) })
	}
	err := read()
	testkit.ErrorIs(t, err, pgdbm.ErrRetryable)
	testkit.ErrorContains(t, err, "a table changed after the statement was prepared; run the transaction again")
	testkit.NoError(t, read())
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
