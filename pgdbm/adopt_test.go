package pgdbm_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Once who began a transaction has ended it, its connection is somebody else's:
// a Tx that adopted it refuses without a look at the connection, which the pool
// may be closing.
func TestAdoptedTxAfterItsEnd(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{ConnString: testkit.ConnString(t)})
	m := bind(t, pool, "")
	exec(t, m, "create table t (id int)")
	ctx := t.Context()
	for name, use := range map[string]func(*pgdbm.Tx) error{
		"Exec":     func(tx *pgdbm.Tx) error { return second(tx.Exec(ctx, "select 1")) },
		"Query":    func(tx *pgdbm.Tx) error { return second(tx.Query(ctx, "select 1")) },
		"QueryRow": func(tx *pgdbm.Tx) error { return tx.QueryRow(ctx, "select 1").Scan(new(int)) },
		"SendBatch": func(tx *pgdbm.Tx) error {
			b := &pgx.Batch{}
			b.Queue("select 1")
			return tx.SendBatch(ctx, b).Close()
		},
		"CopyFrom": func(tx *pgdbm.Tx) error {
			return second(tx.CopyFrom(ctx, "t", []string{"id"}, pgx.CopyFromRows([][]any{{1}})))
		},
		"Begin": func(tx *pgdbm.Tx) error { return second(tx.Begin(ctx)) },
		"InTx":  func(tx *pgdbm.Tx) error { return tx.InTx(ctx, func(*pgdbm.Tx) error { return errors.New("it ran") }) },
		"Pgx":   func(tx *pgdbm.Tx) error { return second(tx.Pgx(ctx)) },
	} {
		raw, err := pool.Pgx().Begin(ctx)
		testkit.NoError(t, err)
		tx := m.Adopt(raw)
		exec(t, tx, "select 1")
		testkit.NoError(t, raw.Rollback(ctx))
		pool.Pgx().Reset() // closes the connection in the background
		if err := use(tx); !errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}

	// A savepoint in it, too.
	savepoint := func() *pgdbm.Tx {
		raw, err := pool.Pgx().Begin(ctx)
		testkit.NoError(t, err)
		inner, err := m.Adopt(raw).Begin(ctx)
		testkit.NoError(t, err)
		testkit.NoError(t, raw.Rollback(ctx))
		pool.Pgx().Reset()
		return inner
	}
	testkit.ErrorIs(t, savepoint().Commit(ctx), pgx.ErrTxClosed)
	testkit.NoError(t, savepoint().Rollback(ctx)) // it may be deferred
}
