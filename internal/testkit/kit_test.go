package testkit_test

import (
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

func TestConnString(t *testing.T) {
	for range 3 {
		t.Run("x", func(t *testing.T) {
			p := testkit.Pool(t)
			_, err := p.Exec(t.Context(), "create table x(id int)")
			testkit.NoError(t, err)
		})
		t.Run("y", func(t *testing.T) {
			p := testkit.Pool(t)
			_, err := p.Exec(t.Context(), "select 1")
			testkit.NoError(t, err)
		})
	}
}
