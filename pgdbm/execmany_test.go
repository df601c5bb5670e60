package pgdbm_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

const insertN = "insert into {{tables.items}} (name, n) values ($1, $2)"

// sets returns n sets of arguments for insertN.
func sets(n int) [][]any {
	argSets := make([][]any, n)
	for i := range argSets {
		argSets[i] = []any{nil, i}
	}
	return argSets
}

func countItems(t *testing.T, db pgdbm.DB) int {
	t.Helper()
	n, err := pgdbm.FetchValue[int](t.Context(), db, "select count(*) from {{tables.items}}")
	testkit.NoError(t, err)
	return n
}

func TestExecMany(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	n, err := pgdbm.ExecMany(ctx, m, insert, [][]any{{"a"}, {"b"}, {"c"}})
	if err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := pgdbm.ExecMany(ctx, m, insert, nil); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	if n, err := pgdbm.ExecMany(ctx, m, "update {{tables.items}} set n = coalesce(n, 0) + 1", [][]any{nil, {}}); n != 6 || err != nil {
		t.Errorf("without arguments: %d, %v", n, err)
	}
	if got := names(t, m); len(got) != 3 {
		t.Errorf("got %v", got)
	}
}

func TestExecManyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	m := setup(t)
	bad := func(n, at int, args ...any) [][]any {
		argSets := sets(n)
		argSets[at] = args
		return argSets
	}
	duplicate := sets(6000)
	duplicate[17][0], duplicate[5500][0] = "x", "x"
	for _, c := range []struct {
		name, sql string
		argSets   [][]any
		is        error
		want      string
	}{
		{"in the middle", insertN, bad(5, 2, nil, -1), pgdbm.ErrInvalid, "pgdbm: ExecMany: argSets[2]: invalid value: "},
		{"in the first", insertN, bad(5, 0, nil, -1), pgdbm.ErrInvalid, "pgdbm: ExecMany: argSets[0]: invalid value: "},
		{"in a later round trip", insertN, bad(12_000, 11_000, nil, -1), pgdbm.ErrInvalid, "pgdbm: ExecMany: argSets[11000]: invalid value: "},
		{"between round trips", insertN, duplicate, pgdbm.ErrConflict, "pgdbm: ExecMany: argSets[5500]: conflict: "},
		{"too large to encode", insertN, bad(5, 3, nil, int64(1)<<40), pgdbm.ErrInvalid, "pgdbm: ExecMany: argSets[3]: invalid value: argument $2 cannot be encoded as int4"},
		{"not to encode, later", insertN, bad(6000, 5998, nil, []string{"secret"}), pgdbm.ErrInvalid, "pgdbm: ExecMany: argSets[5998]: invalid value: argument $2 cannot be encoded as int4"},
		{"not to parse", insertN, bad(5, 1, nil, "secret"), pgdbm.ErrInvalid, "pgdbm: ExecMany: argSets[1]: invalid value: invalid input syntax for type integer"},
		{"fewer arguments", insertN, bad(5, 4, 1), nil, "pgdbm: ExecMany: argSets[4] has 1 arguments, argSets[0] has 2"},
		{"wrong arguments", insert, sets(3), nil, "mismatched param and argument count"},
		{"wrong statement", "insert into {{tables.nothing}} values ($1, $2)", sets(3), pgdbm.ErrUndefined, "pgdbm: ExecMany: undefined object: "},
		{"wrong template", "insert into {{nothing.at.all}}", sets(3), nil, "pgdbm: ExecMany: template {{nothing.at.all}} at offset 12"},
	} {
		n, err := pgdbm.ExecMany(t.Context(), m, c.sql, c.argSets)
		testkit.ErrorContains(t, err, c.want)
		if n != 0 || c.is != nil && !errors.Is(err, c.is) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "1099511627776") {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
		if stored := countItems(t, m); stored != 0 {
			t.Errorf("%s: %d rows stayed", c.name, stored)
		}
	}
	whole(t, m)
}

// Far more than fits into the buffers on the way: neither side waits for ever.
func TestExecManyOfManySets(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "app")
	exec(t, m, "create table {{tables.items}} (name text, n int)")
	n, err := pgdbm.ExecMany(t.Context(), m, insertN, sets(50_000))
	if err != nil || n != 50_000 || countItems(t, m) != 50_000 {
		t.Errorf("%d, %v", n, err)
	}
	large := sets(5000) // in one round trip
	for _, set := range large {
		set[0] = strings.Repeat("x", 2000)
	}
	n, err = pgdbm.ExecMany(t.Context(), m, insertN+" returning name", large)
	if err != nil || n != 5000 {
		t.Errorf("large: %d, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := pgdbm.ExecMany(ctx, m, insertN, sets(10_000)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %d, %v", n, err)
	}
	if n := countItems(t, m); n != 55_000 {
		t.Errorf("%d rows", n)
	}
}

func TestExecManyInTx(t *testing.T) {
	t.Parallel()
	m := setup(t)
	for _, n := range []int{3, 6000} {
		var failed error
		err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			if got, err := pgdbm.ExecMany(t.Context(), tx, insertN, sets(n)); err != nil || got != int64(n) {
				t.Errorf("first: %d, %v", got, err)
			}
			if err := tx.InTx(t.Context(), func(tx *pgdbm.Tx) error {
				argSets := sets(n)
				argSets[n-1][1] = -1
				_, failed = pgdbm.ExecMany(t.Context(), tx, insertN, argSets)
				return failed
			}); !errors.Is(err, pgdbm.ErrInvalid) {
				t.Errorf("savepoint: %v", err)
			}
			_, err := pgdbm.ExecMany(t.Context(), tx, insertN, sets(n))
			return err
		})
		if err != nil || !errors.Is(failed, pgdbm.ErrInvalid) || countItems(t, m) != 2*n {
			t.Errorf("%d: %v, %v, %d rows", n, err, failed, countItems(t, m))
		}
		exec(t, m, "truncate {{tables.items}}")
	}
	whole(t, m)
}

// A constraint that is checked at the end belongs to no set.
func TestExecManyWithDeferredConstraint(t *testing.T) {
	t.Parallel()
	m := setup(t)
	exec(t, m, "create table {{tables.d}} (id int unique deferrable initially deferred)")
	n, err := pgdbm.ExecMany(t.Context(), m, "insert into {{tables.d}} values ($1)", [][]any{{1}, {2}, {1}})
	testkit.ErrorIs(t, err, pgdbm.ErrConflict)
	testkit.ErrorContains(t, err, "pgdbm: ExecMany: conflict: ")
	if n != 0 {
		t.Errorf("%d", n)
	}
	whole(t, m)
}
