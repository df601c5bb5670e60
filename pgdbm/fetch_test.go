package pgdbm_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

type item struct {
	ID   int64
	Name *string `db:"name"`
	N    *int
}

func TestFetchStructsScalarsAndMaps(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	exec(t, m, "insert into {{tables.items}} (name, n) values ('a', 1), (null, 2), ('c', null)")
	const all = "select * from {{tables.items}} order by id"

	items, err := pgdbm.FetchAll[item](ctx, m, all)
	want := []item{{1, new("a"), new(1)}, {2, nil, new(2)}, {3, new("c"), nil}}
	if err != nil || !reflect.DeepEqual(items, want) {
		t.Errorf("structs: %v, %v", items, err)
	}
	maps, err := pgdbm.FetchAll[map[string]any](ctx, m, all)
	if err != nil || !reflect.DeepEqual(maps[1], map[string]any{"id": int64(2), "name": nil, "n": int32(2)}) {
		t.Errorf("maps: %v, %v", maps, err)
	}
	ids, err := pgdbm.FetchAll[int](ctx, m, "select id from {{tables.items}} order by id")
	if err != nil || !reflect.DeepEqual(ids, []int{1, 2, 3}) {
		t.Errorf("scalars: %v, %v", ids, err)
	}
	none, err := pgdbm.FetchAll[item](ctx, m, "select * from {{tables.items}} where id > $1", 99)
	if err != nil || none == nil || len(none) != 0 {
		t.Errorf("none: %v, %v", none, err)
	}
	one, err := pgdbm.FetchOne[item](ctx, m, "select * from {{tables.items}} where id = $1", 3)
	if err != nil || !reflect.DeepEqual(one, want[2]) {
		t.Errorf("one: %v, %v", one, err)
	}
	when, err := pgdbm.FetchOne[time.Time](ctx, m, "select timestamptz '2026-01-02 03:04:05Z'")
	if err != nil || !when.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("time: %v, %v", when, err)
	}
	first, err := pgdbm.FetchValue[string](ctx, m, "select name, id from {{tables.items}} order by id")
	if err != nil || first != "a" {
		t.Errorf("value: %v, %v", first, err)
	}
	null, err := pgdbm.FetchValue[*string](ctx, m, "select null::text")
	if err != nil || null != nil {
		t.Errorf("null: %v, %v", null, err)
	}
}

func TestFetchErrors(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	exec(t, m, "insert into {{tables.items}} (name) values ('a'), ('b')")
	_, none := pgdbm.FetchOne[item](ctx, m, "select * from {{tables.items}} where id = 99")
	_, noValue := pgdbm.FetchValue[int](ctx, m, "select 1 where false")
	_, two := pgdbm.FetchOne[item](ctx, m, "select * from {{tables.items}}")
	_, unmapped := pgdbm.FetchAll[item](ctx, m, "select *, 1 as extra from {{tables.items}}")
	_, null := pgdbm.FetchValue[int](ctx, m, "select n from {{tables.items}}")
	_, late := pgdbm.FetchAll[int](ctx, m, "select 1 / (2 - g) from generate_series(1, 2) g")
	_, columns := pgdbm.FetchAll[int](ctx, m, "select 1 as a, 2 as b")
	for _, c := range []struct {
		name string
		err  error
		is   error
		text string
	}{
		{"none", none, pgdbm.ErrNotFound, "no rows"},
		{"no value", noValue, pgdbm.ErrNotFound, "no rows"},
		{"two", two, nil, "more than one row"},
		{"unmapped", unmapped, nil, "column \"extra\" has no exported field in pgdbm_test.item; add one tagged `db:\"extra\"`, or do not select it"},
		{"null", null, nil, "cannot scan NULL into *int"},
		{"late", late, pgdbm.ErrInvalid, "division by zero"},
		{"columns", columns, nil, "int is the value of one column, the statement returns 2"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.text) || c.is != nil && !errors.Is(c.err, c.is) {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
	whole(t, m)
}

// Nothing of one row may show through in the next, whatever the field's kind.
func TestRowsAreIndependent(t *testing.T) {
	t.Parallel()
	m := setup(t)
	type nested struct{ City *string }
	type row struct {
		A    []int
		B    []byte
		J    map[string]int
		P    *nested `db:"p"`
		Flat struct{ X *int }
	}
	rows, err := pgdbm.FetchAll[row](t.Context(), m, `
		select * from (values
			('{1,2}'::int[], 'ab'::bytea, '{"x":1}'::jsonb, 'Rome', 1),
			(null, null, null, null, null),
			('{3}', 'c', '{"y":2}', 'Oslo', 2)) v (a, b, j, "p.city", "flat.x")`)
	if err != nil {
		t.Fatal(err)
	}
	want := []row{{A: []int{1, 2}, B: []byte("ab"), J: map[string]int{"x": 1}, P: &nested{new("Rome")}}, {}, {A: []int{3}, B: []byte("c"), J: map[string]int{"y": 2}, P: &nested{new("Oslo")}}}
	want[0].Flat.X, want[2].Flat.X = new(1), new(2)
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("got %+v", rows)
	}
}

func TestEachStreamsAndFreesItsConnection(t *testing.T) {
	t.Parallel()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "")
	ctx := t.Context()
	n := 0
	for v, err := range pgdbm.Each[int](ctx, m, "select generate_series(1, 100000)") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; v == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d rows", n)
	}
	if _, err := m.Exec(ctx, "select 1"); err != nil { // on the only connection
		t.Error(err)
	}
	var last error
	for _, err := range pgdbm.Each[int](ctx, m, "select 1 / (3 - g) from generate_series(1, 5) g") {
		last = err
	}
	if !errors.Is(last, pgdbm.ErrInvalid) {
		t.Errorf("got %v", last)
	}
	whole(t, m)
}

func TestBatchExpandsTemplates(t *testing.T) {
	t.Parallel()
	m := setup(t)
	b := &pgx.Batch{}
	for i := range 3 {
		b.Queue(insert+" returning id", fmt.Sprint(i)).QueryRow(func(r pgx.Row) error {
			var id int
			return r.Scan(&id)
		})
	}
	if err := m.SendBatch(t.Context(), b).Close(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, m); len(got) != 3 {
		t.Errorf("got %v", got)
	}
	b = &pgx.Batch{}
	b.Queue("select {{nope}}")
	if err := m.SendBatch(t.Context(), b).Close(); err == nil || !strings.Contains(err.Error(), "{{nope}}") {
		t.Errorf("got %v", err)
	}
	whole(t, m)
}
