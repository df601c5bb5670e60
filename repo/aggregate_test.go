package repo_test

import (
	"errors"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// sale has a column of every kind that is added up.
type sale struct {
	ID      int            `db:"id,key"`
	City    *string        `db:"city"`
	Mood    mood           `db:"mood"`
	Small   int16          `db:"small"`
	Amount  int64          `db:"amount"`
	Rebate  *int           `db:"rebate"`
	Weight  float64        `db:"weight"`
	Price   pgtype.Numeric `db:"price"`
	Took    time.Duration  `db:"took"`
	At      time.Time      `db:"at"`
	Deleted *time.Time     `db:"deleted,softdelete"`
}

const saleTable = `
	create type {{schema}}.mood as enum ('sad', 'ok', 'happy');
	create table {{tables.sales}} (
		id int primary key, city text, mood {{schema}}.mood not null, small smallint not null, amount bigint not null, rebate int,
		weight float8 not null, price numeric not null, took interval not null, at timestamptz not null, deleted timestamptz
	)`

var (
	saleID     = repo.Col(func(s *sale) *int { return &s.ID })
	saleCity   = repo.Col(func(s *sale) **string { return &s.City })
	saleMood   = repo.Col(func(s *sale) *mood { return &s.Mood })
	saleSmall  = repo.Col(func(s *sale) *int16 { return &s.Small })
	saleAmount = repo.Col(func(s *sale) *int64 { return &s.Amount })
	saleRebate = repo.Col(func(s *sale) **int { return &s.Rebate })
	saleWeight = repo.Col(func(s *sale) *float64 { return &s.Weight })
	salePrice  = repo.Col(func(s *sale) *pgtype.Numeric { return &s.Price })
	saleTook   = repo.Col(func(s *sale) *time.Duration { return &s.Took })
	saleAt     = repo.Col(func(s *sale) *time.Time { return &s.At })
)

func sales(t *testing.T) *repo.Repository[sale] {
	t.Helper()
	sales := newRepo[sale](t, open(t, saleTable), "sales")
	day := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	price := func(n int64) pgtype.Numeric { return pgtype.Numeric{Int: bigInt(n), Exp: -2, Valid: true} }
	insert(t, sales,
		sale{ID: 1, City: new("Köln"), Mood: "ok", Small: 30000, Amount: 10, Rebate: new(3), Weight: 0.5, Price: price(150), Took: time.Hour, At: day},
		sale{ID: 2, City: new("Köln"), Mood: "sad", Small: 30000, Amount: 20, Weight: 0.25, Price: price(250), Took: time.Minute, At: day.AddDate(0, 0, 1)},
		sale{ID: 3, City: new("Bonn"), Mood: "happy", Amount: 20, Rebate: new(4), Price: price(1), At: day.AddDate(0, 0, 2)},
		sale{ID: 4, Mood: "ok", Amount: 5, Price: price(0), At: day},
		sale{ID: 5, City: new("Bonn"), Mood: "ok", Amount: 1000, Price: price(0), At: day.AddDate(1, 0, 0)},
	)
	check(t, sales.Delete(t.Context(), 5))
	return sales
}

func aggregate[T, V any](t *testing.T, name string, q repo.Query[T], a repo.Aggregate[T, V], want V) {
	t.Helper()
	got, err := a.Of(t.Context(), q)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v, %v; want %v", name, got, err, want)
	}
}

func TestAggregates(t *testing.T) {
	t.Parallel()
	sales := sales(t)
	all, none := sales.Where(), sales.Where(saleID.Lt(0))
	day := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	aggregate(t, "count", all, repo.Count(saleID), 4)
	aggregate(t, "count of values", all, repo.Count(saleCity), 3)
	aggregate(t, "count distinct", all, repo.Count(saleCity).Distinct(), 2)
	aggregate(t, "count distinct, never NULL", all, repo.Count(saleAmount).Distinct(), 3)
	aggregate(t, "count with deleted", all.WithDeleted(), repo.Count(saleID), 5)
	aggregate(t, "sum", all, repo.Sum(saleAmount), 55)
	aggregate(t, "sum distinct", all, repo.Sum(saleAmount).Distinct(), 35)
	aggregate(t, "sum where", sales.Where(saleCity.Eq(new("Köln"))), repo.Sum(saleAmount), 30)
	aggregate(t, "sum of pointers", all, repo.Sum(saleRebate), new(7))
	aggregate(t, "sum of floats", all, repo.Sum(saleWeight), 0.75)
	aggregate(t, "sum of durations", all, repo.Sum(saleTook), time.Hour+time.Minute)
	aggregate(t, "sum of nothing", none, repo.Sum(saleAmount), 0)
	aggregate(t, "sum of no pointers", none, repo.Sum(saleRebate), new(0))
	aggregate(t, "avg", all, repo.Avg(saleAmount), 13.75)
	aggregate(t, "avg of pointers", all, repo.Avg(saleRebate), 3.5)
	aggregate(t, "min", all, repo.Min(saleAmount), 5)
	aggregate(t, "max", all, repo.Max(saleAmount), 20)
	aggregate(t, "min of text", all, repo.Min(saleCity), new("Bonn"))
	aggregate(t, "min of an enum", all, repo.Min(saleMood), "sad")
	aggregate(t, "limited", all.OrderBy(saleAmount.Desc(), saleID.Asc()).Limit(2), repo.Sum(saleAmount), 40)
	aggregate(t, "count limited", all.Limit(3), repo.Count(saleID), 3)
	at, err := repo.Max(saleAt).Of(t.Context(), all)
	if check(t, err); !at.Equal(day.AddDate(0, 0, 2)) {
		t.Errorf("max of times: %v", at)
	}
	price, err := repo.Sum(salePrice).Of(t.Context(), all)
	check(t, err)
	if f, _ := price.Float64Value(); f.Float64 != 4.01 {
		t.Errorf("sum of numerics: %v", f.Float64)
	}
	for name, err := range map[string]error{
		"max": second(repo.Max(saleAmount).Of(t.Context(), none)),
		"min": second(repo.Min(saleRebate).Of(t.Context(), sales.Where(saleRebate.IsNull()))),
		"avg": second(repo.Avg(saleAmount).Of(t.Context(), none)),
	} {
		if !errors.Is(err, pgdbm.ErrNotFound) {
			t.Errorf("%s of nothing: %v, want ErrNotFound", name, err)
		}
	}
	if _, err := repo.Sum(saleSmall).Of(t.Context(), all); err == nil {
		t.Error("60000 is an int16")
	}
}

func second[T any](_ T, err error) error { return err }

func TestGroupBy(t *testing.T) {
	t.Parallel()
	sales := sales(t)
	type perCity struct {
		City  *string
		Count int64
		Total int64
		Last  time.Time
	}
	list, err := repo.GroupBy[perCity](t.Context(), sales.Where().OrderBy(repo.Sum(saleAmount).Desc(), saleCity.Asc()),
		saleCity, repo.Count(saleID), repo.Sum(saleAmount).As("total"), repo.Max(saleAt).As("last"))
	check(t, err)
	if len(list) != 3 || *list[0].City != "Köln" || list[0].Count != 2 || list[0].Total != 30 || *list[1].City != "Bonn" || list[1].Total != 20 || list[2].City != nil {
		t.Errorf("got %+v", list)
	}
	list, err = repo.GroupBy[perCity](t.Context(), sales.Where(saleCity.IsNotNull()).OrderBy(repo.Sum(saleAmount).As("total").Asc()).Limit(1),
		saleCity, repo.Sum(saleAmount).As("total"))
	check(t, err)
	if len(list) != 1 || *list[0].City != "Bonn" {
		t.Errorf("got %+v", list)
	}
	moods, err := repo.GroupBy[mood](t.Context(), sales.Where().OrderBy(saleMood.Asc()), saleMood)
	if check(t, err); !reflect.DeepEqual(moods, []mood{"sad", "ok", "happy"}) {
		t.Errorf("got %v", moods)
	}
	two, err := repo.GroupBy[map[string]any](t.Context(), sales.Where(saleAmount.Gt(5)), saleCity, saleAmount)
	if check(t, err); len(two) != 3 {
		t.Errorf("got %v", two)
	}
	sums, err := repo.GroupBy[struct{ Sum, Max int64 }](t.Context(), sales.Where(saleID.Lt(0)), repo.Sum(saleAmount), repo.Count(saleID).As("max"))
	if check(t, err); len(sums) != 1 || sums[0].Sum != 0 {
		t.Errorf("got %v", sums)
	}
}

func TestAggregateMisuse(t *testing.T) {
	t.Parallel()
	sales := sales(t)
	ctx := t.Context()
	group := func(q repo.Query[sale], parts ...repo.Grouping[sale]) error {
		_, err := repo.GroupBy[map[string]any](ctx, q, parts...)
		return err
	}
	all := sales.Where()
	sum := repo.Sum(saleAmount)
	var zero repo.Column[sale, int]
	for want, err := range map[string]error{
		"GroupBy without columns and aggregates has nothing to return":     group(all),
		"GroupBy: part 2 is nil; give a column or an aggregate":            group(all, saleCity, nil),
		"GroupBy cannot sort by id, which has many values in a group; add": group(all.OrderBy(saleID.Asc()), saleCity),
		"GroupBy locks no rows; drop ForUpdate":                            group(all.ForUpdate(), saleCity),
		"GroupBy does not take After or Before; they belong to Page":       group(all.After(""), saleCity),
		"a zero Column names no column":                                    group(all, zero),
		"Of locks no rows; drop ForShare":                                  second(sum.Of(ctx, all.ForShare())),
		"Of: only GroupBy sorts by an aggregate; sort by a column":         second(sum.Of(ctx, all.OrderBy(sum.Asc()).Limit(1))),
		"All: only GroupBy sorts by an aggregate; sort by a column":        second(all.OrderBy(sum.Asc()).All(ctx)),
		"Page: only GroupBy sorts by an aggregate; sort by a column":       second(all.OrderBy(sum.Asc()).Limit(1).Page(ctx)),
		"a zero Column names no column; declare":                           second(repo.Max(zero).Of(ctx, all)),
		`two columns are named "sum"; rename one of them with AS`:          group(all, sum, sum),
		"a zero Query has no table":                                        second(sum.Of(ctx, repo.Query[sale]{})),
	} {
		wantError(t, err, "repo: ", want)
	}
}

func bigInt(n int64) *big.Int { return big.NewInt(n) }
