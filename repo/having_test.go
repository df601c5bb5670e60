package repo_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/repo"
)

func TestHaving(t *testing.T) {
	t.Parallel()
	sales := sales(t) // Köln has 2, Bonn and NULL have 1
	type perCity struct {
		City  *string
		Count int64
	}
	ctx := t.Context()
	day := time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC)
	count, sum := repo.Count(saleID), repo.Sum(saleAmount)
	for name, c := range map[string]struct {
		having repo.Grouping[sale]
		want   []string
	}{
		"count":            {repo.Having(count.Ge(2)), []string{"Köln"}},
		"count is":         {repo.Having(count.Eq(1)), []string{"Bonn", ""}},
		"count is not":     {repo.Having(count.Ne(1)), []string{"Köln"}},
		"sum":              {repo.Having(sum.Gt(5), sum.Lt(30)), []string{"Bonn"}},
		"sum of pointers":  {repo.Having(repo.Sum(saleRebate).Le(new(0))), []string{""}},
		"average":          {repo.Having(repo.Avg(saleAmount).Gt(14.5)), []string{"Bonn", "Köln"}},
		"time":             {repo.Having(repo.Max(saleAt).Ge(day)), []string{"Bonn", "Köln"}},
		"enum":             {repo.Having(repo.Min(saleMood).Eq("sad")), []string{"Köln"}},
		"nothing":          {repo.Having(repo.Max(saleRebate).Eq(nil)), []string{""}},
		"something":        {repo.Having(repo.Max(saleRebate).Ne(nil)), []string{"Bonn", "Köln"}},
		"distinct":         {repo.Having(repo.Count(saleAmount).Distinct().Gt(1)), []string{"Köln"}},
		"alternatives":     {repo.Having(repo.Or(count.Gt(1), sum.Eq(5))), []string{"Köln", ""}},
		"a key":            {repo.Having(saleCity.IsNotNull(), repo.Not(count.Gt(1))), []string{"Bonn"}},
		"SQL":              {repo.Having(repo.SQL[sale]("bool_or(amount = $1)", 20)), []string{"Bonn", "Köln"}},
		"without":          {repo.Having[sale](), []string{"Bonn", "Köln", ""}},
		"with a condition": {repo.Having(count.Gt(5)), nil},
	} {
		list, err := repo.GroupBy[perCity](ctx, sales.Where(saleAmount.Gt(0)).OrderBy(saleCity.Asc()).Limit(10), c.having, saleCity, count)
		check(t, err)
		var got []string
		for _, row := range list {
			if row.City == nil {
				row.City = new("")
			}
			got = append(got, *row.City)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	all, err := repo.GroupBy[int64](ctx, sales.Where(), count, repo.Having(count.Gt(100)))
	if err != nil || len(all) != 0 {
		t.Errorf("one group: %v, %v", all, err)
	}

	var zero repo.Column[sale, int]
	for want, err := range map[string]error{
		"GroupBy without columns and aggregates has nothing to return":     second(repo.GroupBy[int](ctx, sales.Where(), repo.Having(count.Gt(1)))),
		"a zero Column names no column":                                    second(repo.GroupBy[int](ctx, sales.Where(), count, repo.Having(repo.Max(zero).Gt(1)))),
		"a zero Condition; write":                                          second(repo.GroupBy[int](ctx, sales.Where(), count, repo.Having(repo.Condition[sale]{}))),
		"Max(rebate).Lt(nil) is never true in SQL; use Eq(nil) or Ne(nil)": second(repo.GroupBy[int](ctx, sales.Where(), count, repo.Having(repo.Max(saleRebate).Lt(nil)))),
		"aggregate functions are not allowed in WHERE (schema app, SQLSTATE 42803); conditions on aggregates belong into Having": second(sales.Where(count.Gt(1)).All(ctx)),
	} {
		wantError(t, err, "repo: ", want)
	}
}
