package pgdbm_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// pooler starts PgBouncer before a wire, and returns its address. All clients share
// one session.
func pooler(t *testing.T, w *wire) string {
	t.Helper()
	target := fmt.Sprintf("%s password='%s'", w.config().ConnString, w.server.Password)
	return testkit.StartPgBouncer(t, target, map[string]string{"default_pool_size": "1"}).ConnString()
}

func TestSearchPathThroughAPooler(t *testing.T) {
	t.Parallel()
	dsn := pooler(t, newWire(t, testkit.ConnString(t)))
	one := bind(t, open(t, pgdbm.Config{ConnString: dsn}), "one")
	two := bind(t, open(t, pgdbm.Config{ConnString: dsn}), "two")
	takeTurns(t, bind(t, one.Pool(), "one"), bind(t, one.Pool(), "two"))
	pooled, err := two.Pool().Pooled(t.Context())
	testkit.NoError(t, err)
	testkit.Equal(t, pooled, true)
	for range 5 { // whoever gets the session next
		path, err := pgdbm.FetchValue[string](t.Context(), two, "select current_setting('search_path')")
		testkit.NoError(t, err)
		testkit.Equal(t, path, `"$user", public`)
	}
}

// The pooler's error is no answer of the server: its COMMIT may have worked.
func TestCommitThroughAPoolerThatLosesTheServer(t *testing.T) {
	t.Parallel()
	w := newWire(t, testkit.ConnString(t))
	m := bind(t, open(t, pgdbm.Config{ConnString: pooler(t, w)}), "app")
	exec(t, m, "create table {{tables.items}} (id int generated always as identity, name text)")
	ctx := t.Context()
	for _, what := range []fault{cutRequest, cutAnswer} {
		w.on("commit", what)
		calls := 0
		err := m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 3}, func(tx *pgdbm.Tx) error { calls++; return add(ctx, tx, "a") })
		testkit.ErrorIs(t, err, pgdbm.ErrCommitUnknown)
		testkit.Equal(t, calls, 1)
	}
	w.on("select 'lost'", cutAnswer)
	err := m.InTx(ctx, func(tx *pgdbm.Tx) error {
		return errors.Join(add(ctx, tx, "b"), second(tx.Exec(ctx, "select 'lost'")))
	})
	testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
	testkit.Equal(t, names(t, m), []string{"a"})
	whole(t, m)
}
