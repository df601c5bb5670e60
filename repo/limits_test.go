package repo_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// More values than a statement has parameters are one argument.
func TestInOfManyValues(t *testing.T) {
	t.Parallel()
	_, users := setup(t)
	insert(t, users, user{Email: "a@x", Age: 69_999}, user{Email: "b@x", Age: 70_000})
	ages := make([]int, 70_000)
	for i := range ages {
		ages[i] = i
	}
	n, err := users.Where(userAge.In(ages...)).Count(t.Context())
	if check(t, err); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestInfinity(t *testing.T) {
	t.Parallel()
	type era struct {
		ID   int                `db:"id,key"`
		From pgtype.Timestamptz `db:"began"`
		To   pgtype.Date        `db:"ended"`
	}
	db := open(t, `create table {{tables.eras}} (id int primary key, began timestamptz, ended date)`)
	eras := newRepo[era](t, db, "eras")
	want := insert(t, eras, era{
		1, pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}, pgtype.Date{InfinityModifier: pgtype.Infinity, Valid: true},
	})[0]
	check(t, eras.InsertAll(t.Context(), []era{{2, want.From, want.To}, {3, want.From, want.To}}))
	rows, err := eras.Where(repo.SQL[era]("began = '-infinity' and ended = 'infinity'")).All(t.Context())
	if check(t, err); len(rows) != 3 || rows[0].From != want.From || rows[2].To != want.To {
		t.Errorf("got %+v", rows)
	}
	type finite struct {
		ID   int       `db:"id,key"`
		From time.Time `db:"began"`
	}
	_, err = newRepo[finite](t, db, "eras").Get(t.Context(), 1)
	wantError(t, err, "repo: eras: ", "began", "into *time.Time") // the value itself is not for an error
}

// What a decoder leaves to pgx is an error that names the column, for one row and
// for many.
func TestValuesThatDoNotFit(t *testing.T) {
	t.Parallel()
	type small struct {
		ID int    `db:"id,key"`
		N  int16  `db:"n"`
		S  string `db:"s"`
	}
	db := open(t, `create table {{tables.smalls}} (id int primary key, n bigint, s text);
		insert into {{tables.smalls}} values (1, 40000, 'a'), (2, null, 'b'), (3, 3, null), (4, -4, '')`)
	smalls := newRepo[small](t, db, "smalls")
	for id, want := range map[int]string{1: "greater than maximum", 2: "cannot scan NULL", 3: "cannot scan NULL"} {
		_, err := smalls.Get(t.Context(), id)
		wantError(t, err, "repo: smalls: ", want)
		_, err = smalls.Where(repo.SQL[small]("id = $1", id)).All(t.Context())
		wantError(t, err, "repo: smalls: ", want)
	}
	got, err := smalls.Get(t.Context(), 4)
	if check(t, err); got != (small{4, -4, ""}) {
		t.Errorf("got %+v", got)
	}
}

// A value that its column cannot hold is the same error, one row or many.
func TestValuesThatCannotBeSent(t *testing.T) {
	t.Parallel()
	type total struct {
		ID  int    `db:"id,key"`
		Sum uint64 `db:"sum"`
	}
	totals := newRepo[total](t, open(t, `create table {{tables.totals}} (id int primary key, sum bigint not null)`), "totals")
	row := total{1, math.MaxUint64}
	_, upsert := totals.UpsertAll(t.Context(), make20(row))
	_, missing := totals.InsertAllMissing(t.Context(), make20(row))
	for name, err := range map[string]error{
		"Insert": totals.Insert(t.Context(), &row), "InsertAll": totals.InsertAll(t.Context(), make20(row)),
		"UpsertAll": upsert, "InsertAllMissing": missing,
	} {
		if !errors.Is(err, pgdbm.ErrInvalid) || strings.Contains(fmt.Sprint(err), "1844") {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantError(t, upsert, "repo: totals: invalid value: column sum: a value cannot be encoded as bigint")
}

// pgx takes the lengths of an array from its first elements: it would drop what is
// longer, and panic where something is shorter.
func TestRaggedSlicesAreRefused(t *testing.T) {
	t.Parallel()
	type sheet struct {
		ID    int      `db:"id,key"`
		Cells [][]int  `db:"cells"`
		Texts [][]mood `db:"texts"`
		Blobs [][]byte `db:"blobs"` // as long as they like
	}
	cells := repo.Col(func(s *sheet) *[][]int { return &s.Cells })
	sheets := newRepo[sheet](t, open(t, `create table {{tables.sheets}} (id int primary key, cells int[], texts text[], blobs bytea[])`), "sheets")
	want := sheet{1, [][]int{{1, 2}, {3, 4}}, [][]mood{{"a", "b"}, {"c", "d"}}, [][]byte{{1}, {}, {2, 3}}}
	row := want
	check(t, sheets.Insert(t.Context(), &row))
	if !reflect.DeepEqual(row, want) {
		t.Errorf("got %+v", row)
	}
	for name, bad := range map[string]sheet{
		"longer": {ID: 2, Cells: [][]int{{1}, {2, 3}}}, "shorter": {ID: 2, Cells: [][]int{{1, 2}, {3}}}, "nil": {ID: 2, Cells: [][]int{{1}, nil}},
		"the last": {ID: 2, Cells: [][]int{{1}, {2}, {3, 4}}, Texts: [][]mood{{"a"}, {}}},
	} {
		_, upsert := sheets.UpsertAll(t.Context(), make20(bad))
		_, copied := sheets.Copy(t.Context(), slices.Values([]sheet{bad}))
		for method, err := range map[string]error{
			"Insert": sheets.Insert(t.Context(), &bad), "InsertAll": sheets.InsertAll(t.Context(), make20(bad)), "UpsertAll": upsert, "Copy": copied,
			"Update": second(sheets.ByKey(1).Update(t.Context(), cells.Set(bad.Cells))),
		} {
			if !errors.Is(err, pgdbm.ErrInvalid) {
				t.Errorf("%s of %s: %v", method, name, err)
			}
			if method != "Copy" {
				wantError(t, err, "repo: sheets: invalid value: column c", "its slices differ in length, which those of an array cannot")
			}
		}
	}
	if n, err := sheets.Where(cells.Eq([][]int{{1, 2}, {3, 4}})).Count(t.Context()); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
}
