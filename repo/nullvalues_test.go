package repo_test

import (
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/pgdbm/pgdbm-go/repo"
)

// label is NULL in the database when it is empty.
type label string

func (l label) Value() (driver.Value, error) {
	if l == "" {
		return nil, nil
	}
	return string(l), nil
}

func (l *label) Scan(src any) error {
	text, _ := src.(string)
	*l = label(text)
	return nil
}

// ref is a key of another row, NULL when it is zero.
type ref [2]byte

func (r ref) Value() (driver.Value, error) {
	if r == (ref{}) {
		return nil, nil
	}
	return string(r[:]), nil
}

func (r *ref) Scan(src any) error {
	text, _ := src.(string)
	*r = ref{}
	copy(r[:], text)
	return nil
}

// color has no value for zero.
type color int

func (c color) Value() (driver.Value, error) { return []string{"red", "blue"}[c-1], nil }

func (c *color) Scan(src any) error {
	*c = 1
	if src == "blue" {
		*c = 2
	}
	return nil
}

func TestValuersThatPanicForZero(t *testing.T) {
	t.Parallel()
	type car struct {
		ID    int   `db:"id,key"`
		Color color `db:"color"`
	}
	paint := repo.Col(func(c *car) *color { return &c.Color })
	db := open(t, `create table {{tables.cars}} (id int primary key, color text not null)`)
	cars := newRepo[car](t, db, "cars")
	insert(t, cars, car{1, 1}, car{2, 2}, car{3, 2})
	n, err := cars.Where(paint.In(2)).Count(t.Context())
	if check(t, err); n != 2 {
		t.Errorf("%d rows", n)
	}
	page, err := cars.Where().OrderBy(paint.Asc()).Limit(2).Page(t.Context())
	check(t, err)
	page, err = cars.Where().OrderBy(paint.Asc()).Limit(2).After(page.Next).Page(t.Context())
	if check(t, err); len(page.Rows) != 1 || page.Rows[0] != (car{1, 1}) {
		t.Errorf("got %+v", page.Rows)
	}
}

// A value that pgx sends as NULL is compared as NULL, whatever its kind.
func TestConditionsOnValuesThatStandForNull(t *testing.T) {
	t.Parallel()
	type item struct {
		ID    int            `db:"id,key"`
		Label label          `db:"label"`
		Ref   ref            `db:"ref"`
		Count *sql.NullInt64 `db:"count"`
	}
	var (
		id    = repo.Col(func(i *item) *int { return &i.ID })
		text  = repo.Col(func(i *item) *label { return &i.Label })
		other = repo.Col(func(i *item) *ref { return &i.Ref })
		count = repo.Col(func(i *item) **sql.NullInt64 { return &i.Count })
	)
	db := open(t, `create table {{tables.items}} (id int primary key, label text, ref text, count bigint)`)
	items := newRepo[item](t, db, "items")
	seven := &sql.NullInt64{Int64: 7, Valid: true}
	insert(t, items, item{ID: 1}, item{2, "a", ref{'x', 'y'}, seven}, item{ID: 4, Label: "b", Ref: ref{'z', 'z'}})
	for name, c := range map[string]struct {
		cond repo.Condition[item]
		want int // the sum of the keys
	}{
		"string is":              {text.Eq(""), 1},
		"string is not":          {text.Ne(""), 6},
		"string distinct":        {text.IsDistinctFrom(""), 6},
		"string not distinct":    {text.IsNotDistinctFrom(""), 1},
		"string in":              {text.In("", "a"), 3},
		"string not in":          {text.NotIn("", "a"), 4},
		"string value":           {text.Eq("b"), 4},
		"array is":               {other.Eq(ref{}), 1},
		"array in":               {other.In(ref{}, ref{'x', 'y'}), 3},
		"array not in":           {other.NotIn(ref{}), 6},
		"array value":            {other.Eq(ref{'z', 'z'}), 4},
		"pointer is":             {count.Eq(&sql.NullInt64{}), 5},
		"pointer in":             {count.In(&sql.NullInt64{}, seven), 7},
		"pointer not in":         {count.NotIn(&sql.NullInt64{}), 2},
		"pointer to a value":     {count.Eq(seven), 2},
		"nil pointer":            {count.Eq(nil), 5},
		"not (string is)":        {repo.Not(text.Eq("")), 6},
		"not (string not in)":    {repo.Not(text.NotIn("", "a")), 3},
		"by name":                {byName[item](t, "label").Eq(label("")), 1},
		"by name and not at all": {byName[item](t, "label").Eq(nil), 1},
	} {
		sum := 0
		for i, err := range items.Where(c.cond).Each(t.Context()) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			sum += i.ID
		}
		if sum != c.want {
			t.Errorf("%s: rows that add up to %d, want %d", name, sum, c.want)
		}
	}
	_, err := items.Where(text.Gt("")).All(t.Context())
	wantError(t, err, "label.Gt(nil) is never true in SQL; use IsNull or IsNotNull")
	_, err = items.Where().OrderBy(text.Asc(), id.Asc()).Limit(1).Page(t.Context())
	wantError(t, err, "column label can be NULL (repo_test.label)")
}

func byName[T any](tb testing.TB, name string) repo.Column[T, any] {
	tb.Helper()
	c, err := repo.ColByName[T](name)
	check(tb, err)
	return c
}
