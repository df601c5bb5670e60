package pgdbm_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// A statement whose answer is lost may have been executed: it must not be sent
// again, whatever pgx says of the error.
func TestLostAnswersAreNotAskedForAgain(t *testing.T) {
	t.Parallel()
	m, w := setupWire(t)
	exec(t, m, "create table {{tables.once}} (n int)")
	ctx := t.Context()
	insert := func(way way, args ...any) func() error {
		return func() error { return way(ctx, m, "insert into {{tables.once}} values (1) /* lost */", args) }
	}
	for how, way := range ways {
		for what, send := range map[string]func() error{
			"without arguments": insert(way),
			"with one":          func() error { return way(ctx, m, "insert into {{tables.once}} values ($1) /* lost */", []any{1}) },
		} {
			exec(t, m, "truncate {{tables.once}}")
			w.on("/* lost */", cutAnswer)
			err := send()
			testkit.ErrorIs(t, err, pgdbm.ErrUnavailable)
			n, err := pgdbm.FetchValue[int](ctx, m, "select count(*) from {{tables.once}}")
			testkit.NoError(t, err)
			if n > 1 {
				t.Errorf("%s %s: executed %d times", how, what, n)
			}
		}
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec, pgx.QueryExecModeCacheDescribe} {
		exec(t, m, "truncate {{tables.once}}")
		w.on("/* lost */", cutAnswer)
		testkit.ErrorIs(t, second(m.Exec(ctx, "insert into {{tables.once}} values ($1) /* lost */", mode, 1)), pgdbm.ErrUnavailable)
		n, err := pgdbm.FetchValue[int](ctx, m, "select count(*) from {{tables.once}}")
		testkit.NoError(t, err)
		if n > 1 {
			t.Errorf("%s: executed %d times", mode, n)
		}
	}
}
