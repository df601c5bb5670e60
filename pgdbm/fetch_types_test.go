package pgdbm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

type (
	mood string

	// money has exported fields, and reads its column itself.
	money struct{ Cents int64 }

	// label is read by pgx as text.
	label struct{ Text string }

	settings struct {
		Theme string
		Sizes []int
	}

	// pair reads rows itself.
	pair struct{ A, B int }
)

func (m *money) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("money: got %T", src)
	}
	m.Cents = n
	return nil
}

func (l *label) ScanText(v pgtype.Text) error {
	l.Text = "<" + v.String + ">"
	return nil
}

func (p *pair) ScanRow(rows pgx.Rows) error { return rows.Scan(&p.A, &p.B) }

// fetches checks that every helper reads the only value of a query as want.
func fetches[T any](t *testing.T, db pgdbm.DB, query string, want T) {
	t.Helper()
	ctx := t.Context()
	check := func(helper string, got T, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s[%T](%s): %+v, %v; want %+v", helper, want, query, got, err, want)
		}
	}
	one, err := pgdbm.FetchOne[T](ctx, db, query)
	check("FetchOne", one, err)
	value, err := pgdbm.FetchValue[T](ctx, db, query)
	check("FetchValue", value, err)
	all, err := pgdbm.FetchAll[T](ctx, db, query)
	if len(all) != 1 {
		t.Errorf("FetchAll[%T](%s): %v, %v", want, query, all, err)
		return
	}
	check("FetchAll", all[0], err)
	for each, err := range pgdbm.Each[T](ctx, db, query) {
		check("Each", each, err)
	}
}

// everywhere runs fn on a pool of one connection, in a transaction on it and in a
// savepoint.
func everywhere(t *testing.T, m *pgdbm.Manager, fn func(pgdbm.DB)) {
	t.Helper()
	fn(m)
	if err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		fn(tx)
		return tx.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			fn(tx)
			return nil
		})
	}); err != nil {
		t.Error(err)
	}
	whole(t, m)
}

func setupOne(t *testing.T) *pgdbm.Manager {
	t.Helper()
	m := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "app")
	exec(t, m, "create type {{schema}}.mood as enum ('sad', 'ok')")
	return m
}

func TestFetchScalars(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC)
	id := [16]byte{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	const uuid = "select '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid"
	_, cidr, err := net.ParseCIDR("10.1.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	everywhere(t, setupOne(t), func(db pgdbm.DB) {
		fetches(t, db, "select 7::int8", int64(7))
		fetches(t, db, "select 7::int8", 7)
		fetches(t, db, "select 7::int2", uint16(7))
		fetches(t, db, "select 7", new(7))
		fetches[*int](t, db, "select null::int", nil)
		fetches(t, db, "select true", true)
		fetches(t, db, "select 1.5::float8", 1.5)
		fetches(t, db, "select 'é'", "é")
		fetches[*string](t, db, "select null::text", nil)
		fetches(t, db, "select '\\x0001'::bytea", []byte{0, 1})
		fetches[[]byte](t, db, "select null::bytea", nil)
		fetches(t, db, "select timestamp '2026-01-02 03:04:05.678'", at)
		fetches(t, db, "select date '2026-01-02'", at.Truncate(24*time.Hour))
		fetches(t, db, "select timestamp '2026-01-02 03:04:05.678'", new(at))
		fetches[*time.Time](t, db, "select null::timestamptz", nil)
		fetches(t, db, "select interval '90 minutes'", 90*time.Minute)
		fetches(t, db, uuid, id)
		fetches(t, db, uuid, "6ba7b810-9dad-11d1-80b4-00c04fd430c8")
		fetches(t, db, uuid, pgtype.UUID{Bytes: id, Valid: true})
		fetches(t, db, "select null::uuid", pgtype.UUID{})
		fetches(t, db, "select 12.5", pgtype.Numeric{Int: big.NewInt(125), Exp: -1, Valid: true})
		fetches(t, db, "select 'a'", pgtype.Text{String: "a", Valid: true})
		fetches(t, db, "select int4range(1, 3)", pgtype.Range[pgtype.Int4]{
			Lower: pgtype.Int4{Int32: 1, Valid: true}, Upper: pgtype.Int4{Int32: 3, Valid: true},
			LowerType: pgtype.Inclusive, UpperType: pgtype.Exclusive, Valid: true,
		})
		fetches(t, db, "select '10.1.2.3'::inet", netip.MustParseAddr("10.1.2.3"))
		fetches[*netip.Addr](t, db, "select null::inet", nil)
		fetches(t, db, "select '10.1.0.0/16'::cidr", netip.MustParsePrefix("10.1.0.0/16"))
		fetches(t, db, "select '10.1.0.0/16'::cidr", *cidr)
		fetches(t, db, "select array['a', 'b']", []string{"a", "b"})
		fetches(t, db, "select array['a', null]", []*string{new("a"), nil})
		fetches(t, db, "select array[[1, 2], [3, 4]]", [][]int32{{1, 2}, {3, 4}})
		fetches[[]string](t, db, "select null::text[]", nil)
		fetches(t, db, "select 'ok'::{{schema}}.mood", mood("ok"))
		fetches(t, db, "select '{ok,sad}'::{{schema}}.mood[]", []mood{"ok", "sad"})
		fetches(t, db, `select '{"a": 1}'::json`, json.RawMessage(`{"a": 1}`))
		fetches(t, db, "select 199::int8", money{199})
		fetches(t, db, "select 199::int8", &money{199})
		fetches(t, db, "select 'a'", label{"<a>"})
		fetches[any](t, db, "select 7::int8", int64(7))
		fetches[any](t, db, "select null", nil)
	})
}

// A document is a value to FetchValue; to the others its type is a record.
func TestFetchValueReadsJSON(t *testing.T) {
	t.Parallel()
	everywhere(t, setupOne(t), func(db pgdbm.DB) {
		const query = `select '{"Theme": "dark", "Sizes": [1, 2]}'::jsonb`
		got, err := pgdbm.FetchValue[settings](t.Context(), db, query)
		if want := (settings{"dark", []int{1, 2}}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
		doc, err := pgdbm.FetchValue[map[string]any](t.Context(), db, query)
		if err != nil || doc["Theme"] != "dark" {
			t.Errorf("got %+v, %v", doc, err)
		}
		null, err := pgdbm.FetchValue[*settings](t.Context(), db, "select null::jsonb")
		if err != nil || null != nil {
			t.Errorf("got %+v, %v", null, err)
		}
	})
}

type base struct {
	ID      int64
	Created time.Time `db:"created_at"`
}

type Audit struct {
	By *string `db:"changed_by"`
}

type place struct {
	City string
	Zip  *string
}

type company struct {
	Name  string
	Place *place
}

type person struct {
	base            // flattened
	*Audit          // flattened, never nil
	Home   place    // "home.city"
	Work   *place   `db:"office"` // "office.city"
	Firm   *company // "firm.place.city"
	Mood   mood
	Moods  []mood
	Prefs  settings       `db:"prefs"`
	Maybe  *settings      `db:"maybe"`
	secret string         //nolint:unused // no column may find it
	Cache  map[int]func() `db:"-"`
}

func TestFetchStructs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	const query = `select v.*, 'ok'::{{schema}}.mood as mood, '{sad}'::{{schema}}.mood[] as moods, '{"Theme": "dark"}'::jsonb as prefs,
		case id when 1 then '{"Theme": "light"}'::jsonb end as maybe
		from (values
			(1, timestamp '2026-01-02', 'me', 'Rome', '00100', 'Oslo', null, 'acme', 'Bonn', '53111'),
			(2, '2026-01-02', null, 'Rome', null, null, null, null, null, null),
			(3, '2026-01-02', null, '', null, null, null, 'acme', null, null),
			(4, '2026-01-02', null, '', null, 'Nice', null, null, null, null))
		v (id, created_at, changed_by, "home.city", "home.zip", "office.city", "office.zip", "firm.name", "firm.place.city", "firm.place.zip")
		order by id`
	row := func(id int64) person {
		return person{base: base{id, at}, Audit: &Audit{}, Mood: "ok", Moods: []mood{"sad"}, Prefs: settings{Theme: "dark"}}
	}
	want := []person{row(1), row(2), row(3), row(4)}
	want[0].By, want[0].Home, want[0].Work = new("me"), place{"Rome", new("00100")}, &place{City: "Oslo"}
	want[0].Firm, want[0].Maybe = &company{"acme", &place{"Bonn", new("53111")}}, &settings{Theme: "light"}
	want[1].Home = place{City: "Rome"}
	want[2].Firm = &company{Name: "acme"}
	want[3].Work = &place{City: "Nice"}

	everywhere(t, setupOne(t), func(db pgdbm.DB) {
		got, err := pgdbm.FetchAll[person](t.Context(), db, query)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, %v", got, err)
		}
		pointers, err := pgdbm.FetchAll[*person](t.Context(), db, query)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range pointers {
			if !reflect.DeepEqual(*p, want[i]) {
				t.Errorf("%d: %+v", i, *p)
			}
		}
		if got[0].Firm.Place == pointers[0].Firm.Place || got[2].Firm == got[0].Firm || got[0].Audit == got[1].Audit {
			t.Error("rows share a struct")
		}
	})
}

func TestFetchOtherShapes(t *testing.T) {
	t.Parallel()
	everywhere(t, setupOne(t), func(db pgdbm.DB) {
		ctx := t.Context()
		pairs, err := pgdbm.FetchAll[pair](ctx, db, "select g, -g from generate_series(1, 2) g")
		if err != nil || !reflect.DeepEqual(pairs, []pair{{1, -1}, {2, -2}}) {
			t.Errorf("pgx.RowScanner: %v, %v", pairs, err)
		}
		pointers, err := pgdbm.FetchAll[*pair](ctx, db, "select g, -g from generate_series(1, 2) g")
		if err != nil || len(pointers) != 2 || *pointers[0] != pairs[0] || *pointers[1] != pairs[1] {
			t.Errorf("pointer to a pgx.RowScanner: %v, %v", pointers, err)
		}
		const query = "select '\\x01'::bytea || g::text::bytea as b, array[g] as a, nullif(g, 2) as n from generate_series(1, 2) g order by g"
		maps, err := pgdbm.FetchAll[map[string]any](ctx, db, query)
		if err != nil || !reflect.DeepEqual(maps, []map[string]any{
			{"b": []byte("\x011"), "a": []any{int32(1)}, "n": int32(1)},
			{"b": []byte("\x012"), "a": []any{int32(2)}, "n": nil},
		}) {
			t.Errorf("maps: %v, %v", maps, err)
		}
		type name string
		type numbers map[name]*int
		typed, err := pgdbm.FetchOne[numbers](ctx, db, "select 1 as a, null::int as b")
		if err != nil || !reflect.DeepEqual(typed, numbers{"a": new(1), "b": nil}) {
			t.Errorf("typed map: %v, %v", typed, err)
		}
		type narrow struct{ A int }
		for i, query := range []string{"select 1 as a", "select 2 as a", "select 'x' as b, 3 as a"} { // the plan is remembered
			got, err := pgdbm.FetchOne[narrow](ctx, db, query)
			if i < 2 && (err != nil || got.A != i+1) || i == 2 && err == nil {
				t.Errorf("%s: %v, %v", query, got, err)
			}
		}
	})
}

type recursive struct {
	ID     int
	Parent *recursive
}

func TestFetchMistakes(t *testing.T) {
	t.Parallel()
	m := setupOne(t)
	exec(t, m, "create table {{tables.t}} (id int)")
	ctx := t.Context()
	fetchItem := func(sql string) error { _, err := pgdbm.FetchAll[item](ctx, m, sql); return err }
	fetchPerson := func(sql string) error { _, err := pgdbm.FetchOne[*person](ctx, m, sql); return err }
	fetchInt := func(sql string) error { _, err := pgdbm.FetchAll[int](ctx, m, sql); return err }
	fetchMap := func(sql string) error { _, err := pgdbm.FetchAll[map[string]string](ctx, m, sql); return err }
	_, cycle := pgdbm.FetchAll[recursive](ctx, m, "select 1 as id")
	type hidden struct {
		*base
		ID int
	}
	_, embedded := pgdbm.FetchAll[hidden](ctx, m, "select 1 as id")
	_, value := pgdbm.FetchValue[int](ctx, m, "insert into {{tables.t}} values (1)")
	_, empty := pgdbm.FetchValue[int](ctx, m, "select from {{tables.t}}")
	_, null := pgdbm.FetchValue[int](ctx, m, "select null::int as n")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"unknown column", fetchItem("select 1 as id, 2 as extra"), "pgdbm: column \"extra\" has no exported field in pgdbm_test.item; add one tagged `db:\"extra\"`"},
		{"unknown columns", fetchItem("select 1 as x, 2 as y"), `columns "x", "y" have no exported fields in pgdbm_test.item`},
		{"unexported", fetchPerson("select 'x' as secret"), `column "secret" has no exported field`},
		{"not mapped", fetchPerson("select 'x' as cache"), `column "cache" has no exported field`},
		{"duplicate", fetchItem("select 1 as id, 2 as id"), `two columns are named "id"; rename one of them with AS`},
		{"duplicate in a map", fetchMap("select 1 as id, 2 as id"), `two columns are named "id"`},
		{"no columns", fetchItem("insert into {{tables.t}} values (1)"), "the statement returns no columns; use Exec, or add RETURNING"},
		{"no columns, rows", fetchItem("select from {{tables.t}}"), "the statement returns no columns"},
		{"no columns, rows, map", fetchMap("select from {{tables.t}}"), "the statement returns no columns"},
		{"no columns, value", value, "the statement returns no columns; use Exec, or add RETURNING"},
		{"no columns, rows, value", empty, "the statement returns no columns"},
		{"two columns", fetchInt("select 1, 2"), "int is the value of one column, the statement returns 2; select one of them, or use a struct or a map"},
		{"null in a struct", fetchItem("select null::int as id"), `column "id" into field ID of pgdbm_test.item: cannot scan NULL into *int64`},
		{"null in a nested struct", fetchPerson(`select 'x' as "office.zip", null as "office.city"`), `column "office.city" into field Work.City of pgdbm_test.person: cannot scan NULL into *string`},
		{"null in an embedded struct", fetchPerson("select null::int as id"), `column "id" into field base.ID of pgdbm_test.person`},
		{"null scalar", fetchInt("select null::int as n"), "(col: n): cannot scan NULL into *int"},
		{"null value", null, "(col: n): cannot scan NULL into *int"},
		{"null in a map", fetchMap("select null as a"), "(col: a): cannot scan NULL into *string"},
		{"type", fetchItem("select 'x'::text as id"), `column "id" into field ID of pgdbm_test.item: `},
		{"recursive", cycle, "field Parent of pgdbm_test.recursive contains pgdbm_test.recursive again; tag it `db:\"-\"`"},
		{"embedded pointer", embedded, "field base of pgdbm_test.hidden is a pointer to an unexported struct, which cannot be filled; embed the struct itself"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || strings.Count(c.err.Error(), "pgdbm: ") != 1 {
			t.Errorf("%s: %v; want %q", c.name, c.err, c.want)
		}
		if errors.Is(c.err, pgdbm.ErrInvalid) {
			t.Errorf("%s: blames the input: %v", c.name, c.err)
		}
	}
	whole(t, m)
}

// A loop may end in any way: the only connection is free at once.
func TestEachFreesItsConnection(t *testing.T) {
	t.Parallel()
	m := setupOne(t)
	const query = "select generate_series(1, 50000)"
	check := func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	free := func(how string) {
		t.Helper()
		if n, err := pgdbm.FetchValue[int](t.Context(), m, "select 7"); err != nil || n != 7 {
			t.Errorf("after %s: %d, %v", how, n, err)
		}
		if n := m.Stat().AcquiredConns(); n != 0 {
			t.Errorf("after %s: %d connections are in use", how, n)
		}
	}
	func() {
		for _, err := range pgdbm.Each[int](t.Context(), m, query) {
			check("the first row", err)
			return
		}
	}()
	free("return")
	func() {
		defer func() { _ = recover() }()
		for _, err := range pgdbm.Each[int](t.Context(), m, query) {
			check("the first row", err)
			panic("stop")
		}
	}()
	free("panic")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, last := 0, error(nil)
	for _, err := range pgdbm.Each[int](ctx, m, query) {
		if n++; err != nil {
			last = err
			continue // there is no more
		}
		cancel()
	}
	if !errors.Is(last, context.Canceled) || n < 2 || n >= 50000 {
		t.Errorf("cancelled: %d rows, %v", n, last)
	}
	free("cancel")

	seq := pgdbm.Each[int](t.Context(), m, "select generate_series(1, 3)")
	for range 2 { // each use runs the statement
		n = 0
		for v, err := range seq {
			if n++; err != nil || v != n {
				t.Errorf("%d, %v", v, err)
			}
		}
	}
	n = 0
	for v, err := range pgdbm.Each[int](t.Context(), m, "select 10 / (3 - g) from generate_series(1, 5) g") {
		if n++; err != nil && (n != 3 || v != 0 || !errors.Is(err, pgdbm.ErrInvalid)) {
			t.Errorf("%d: %d, %v", n, v, err)
		}
	}
	if n != 3 {
		t.Errorf("%d rows before the error", n)
	}
	free("an error")
	if err := m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		for _, err := range pgdbm.Each[int](t.Context(), tx, query) {
			check("the first row in a transaction", err)
			break
		}
		_, err := tx.Exec(t.Context(), "select 1")
		return err
	}); err != nil {
		t.Errorf("in a transaction: %v", err)
	}
}

// What is remembered of a type's columns is shared by all goroutines, and bounded.
func TestFetchManyShapesConcurrently(t *testing.T) {
	t.Parallel()
	m := setup(t)
	type wide struct{ A, B, C, D, E *int }
	names := []string{"a", "b", "c", "d", "e"}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 64 {
				mask := (i*7 + g) % 31
				var list []string
				for bit, name := range names {
					if (mask+1)&(1<<bit) != 0 {
						list = append(list, fmt.Sprintf("%d as %s", bit, name))
					}
				}
				got, err := pgdbm.FetchOne[wide](t.Context(), m, "select "+strings.Join(list, ", "))
				if err != nil {
					t.Error(err)
					return
				}
				for bit, v := range []*int{got.A, got.B, got.C, got.D, got.E} {
					if set := (mask+1)&(1<<bit) != 0; set != (v != nil) || set && *v != bit {
						t.Errorf("%v: %+v", list, got)
					}
				}
			}
		})
	}
	wg.Wait()
}
