package repo_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/repo"
)

// Ranges of Go's own types are ranges in the modes that do not know the type of the
// column, too.
func TestRangesOfGoTypesInEveryExecMode(t *testing.T) {
	t.Parallel()
	type booking struct {
		ID    int                                    `db:"id,key"`
		Seats pgtype.Range[int32]                    `db:"seats"`
		At    pgtype.Range[time.Time]                `db:"at"`
		Wall  pgtype.Range[time.Time]                `db:"wall"`
		Gaps  pgtype.Multirange[pgtype.Range[int64]] `db:"gaps"`
	}
	var (
		seats = repo.Col(func(b *booking) *pgtype.Range[int32] { return &b.Seats })
		at    = repo.Col(func(b *booking) *pgtype.Range[time.Time] { return &b.At })
		wall  = repo.Col(func(b *booking) *pgtype.Range[time.Time] { return &b.Wall })
		gaps  = repo.Col(func(b *booking) *pgtype.Multirange[pgtype.Range[int64]] { return &b.Gaps })
	)
	noon := time.Date(2024, 5, 6, 12, 0, 0, 123456000, time.UTC)
	one := booking{
		ID: 1, Seats: between[int32](1, 5), At: between(noon, noon.Add(time.Hour)), Wall: between(noon, noon.Add(time.Hour)),
		Gaps: pgtype.Multirange[pgtype.Range[int64]]{between[int64](1, 2), between[int64](5, 7)},
	}
	open := booking{ID: 2, Seats: pgtype.Range[int32]{Lower: 7, LowerType: pgtype.Inclusive, UpperType: pgtype.Unbounded, Valid: true}}
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db := openMode(t, mode, `create table {{tables.bookings}} (id int primary key, seats int4range, at tstzrange, wall tsrange, gaps int8multirange)`)
			bookings := newRepo[booking](t, db, "bookings")
			insert(t, bookings, one, open, booking{ID: 4})
			check(t, bookings.InsertAll(t.Context(), []booking{{ID: 8, Seats: between[int32](1, 5)}, {ID: 16}}))
			for name, c := range map[string]struct {
				cond repo.Condition[booking]
				want int
			}{
				"contains":        {repo.RangeContains(seats, 2), 9},
				"contains, open":  {repo.RangeContains(seats, 1000), 2},
				"contains a time": {repo.RangeContains(at, noon), 1},
				"in a zone":       {repo.RangeContains(at, noon.In(time.FixedZone("", 7200))), 1},
				"wall clock":      {repo.RangeContains(wall, time.Date(2024, 5, 6, 12, 30, 0, 0, time.FixedZone("", 7200))), 1},
				"overlaps":        {repo.RangeOverlaps(at, between(noon.Add(time.Minute), noon.Add(24*time.Hour))), 1},
				"eq":              {seats.Eq(one.Seats), 9},
				"null":            {seats.Eq(pgtype.Range[int32]{}), 20},
				"in":              {seats.In(one.Seats, open.Seats), 11},
				"in with null":    {at.In(one.At, pgtype.Range[time.Time]{}), 31},
				"multirange":      {gaps.Eq(one.Gaps), 1},
			} {
				sum := 0
				for b, err := range bookings.Where(c.cond).Each(t.Context()) {
					if err != nil {
						t.Errorf("%s: %v", name, err)
						break
					}
					sum += b.ID
				}
				if sum != c.want {
					t.Errorf("%s: rows that add up to %d, want %d", name, sum, c.want)
				}
			}
			got, err := bookings.Get(t.Context(), 1)
			check(t, err)
			got.At.Lower, got.At.Upper = got.At.Lower.UTC(), got.At.Upper.UTC()
			if !reflect.DeepEqual(got, one) {
				t.Errorf("got %+v, want %+v", got, one)
			}
		})
	}
}

func between[E any](lower, upper E) pgtype.Range[E] {
	return pgtype.Range[E]{Lower: lower, Upper: upper, LowerType: pgtype.Inclusive, UpperType: pgtype.Exclusive, Valid: true}
}
