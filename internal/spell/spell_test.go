package spell_test

import (
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/spell"
)

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"tables", "tables", 0}, {"tabels", "tables", 2}, {"shema", "schema", 1}, {"kitten", "sitting", 3}} {
		if got := spell.Distance(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
