package depsort_test

import (
	"fmt"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/depsort"
)

func TestSort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		deps          map[string][]string
		order, cycles string
	}{
		{map[string][]string{}, "[a b c d]", "[]"},
		{map[string][]string{"a": {"c", "b"}, "c": {"d"}}, "[d c b a]", "[]"},
		{map[string][]string{"a": {"d"}, "b": {"d"}, "d": {"c"}}, "[c d a b]", "[]"},
		{map[string][]string{"b": {"c"}, "c": {"d"}, "d": {"b", "a"}}, "[a d c b]", "[[b c d b]]"},
		{map[string][]string{"a": {"a"}, "c": {"d"}, "d": {"c"}}, "[a b d c]", "[[a a] [c d c]]"},
	} {
		order, cycles := depsort.Sort([]string{"a", "b", "c", "d"}, func(n string) []string { return c.deps[n] })
		if fmt.Sprint(order) != c.order || fmt.Sprint(cycles) != c.cycles {
			t.Errorf("%v: %v %v; want %s %s", c.deps, order, cycles, c.order, c.cycles)
		}
	}
}
