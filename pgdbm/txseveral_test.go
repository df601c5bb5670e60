package pgdbm_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// A text of several statements is one as well where BEGIN would travel with it.
func TestSeveralStatementsBeginATransaction(t *testing.T) {
	t.Parallel()
	m := setup(t)
	const two = "insert into {{tables.items}} (name) values ('a'); insert into {{tables.items}} (name) values ('b;')"
	undo := errors.New("undo")
	for _, result := range []error{undo, nil} {
		testkit.ErrorIs(t, m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			exec(t, tx, two)
			return result
		}), result)
	}
	if got := names(t, m); !slices.Equal(got, []string{"a", "b;"}) {
		t.Errorf("got %v", got)
	}
	err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error { return second(tx.Exec(t.Context(), "select 1; select 1/0")) })
	testkit.ErrorIs(t, err, pgdbm.ErrInvalid)
	whole(t, m)
}
