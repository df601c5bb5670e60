package repo_test

import (
	"math"
	"testing"
)

func TestPageOfAnyLimit(t *testing.T) {
	t.Parallel()
	db := open(t, pointTable, `insert into {{tables.points}} select i, 'x', i % 3 from generate_series(1, 5) i`)
	points := newRepo[point](t, db, "points")
	for _, limit := range []int{5, math.MaxInt32, math.MaxInt - 1, math.MaxInt} {
		page, err := points.Where().OrderBy(pointRank.Asc()).Limit(limit).Page(t.Context())
		if check(t, err); len(page.Rows) != 5 || page.Next != "" {
			t.Errorf("Limit(%d): %d rows, next %q", limit, len(page.Rows), page.Next)
		}
	}
}
