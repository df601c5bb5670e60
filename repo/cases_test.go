package repo_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

func TestUpsertByPartialIndex(t *testing.T) {
	t.Parallel()
	type seat struct {
		ID    int    `db:"id,key,auto"`
		Show  string `db:"show"`
		Place int    `db:"place"`
		State string `db:"state"`
	}
	show := repo.Col(func(s *seat) *string { return &s.Show })
	place := repo.Col(func(s *seat) *int { return &s.Place })
	state := repo.Col(func(s *seat) *string { return &s.State })
	db := open(t, `create table {{tables.seats}} (id serial primary key, show text not null, place int not null, state text not null);
		create unique index on {{tables.seats}} (show, place) where state <> 'free'`)
	seats := newRepo[seat](t, db, "seats")
	taken := repo.SQL[seat]("state <> 'free'")
	s := seat{Show: "a", Place: 1, State: "held"}
	inserted, err := seats.Upsert(t.Context(), &s, show, place.Where(taken))
	if check(t, err); !inserted {
		t.Error("not inserted")
	}
	again := seat{Show: "a", Place: 1, State: "sold"}
	inserted, err = seats.Upsert(t.Context(), &again, show, place.Where(taken))
	if check(t, err); inserted || again.ID != s.ID || again.State != "sold" {
		t.Errorf("inserted %t: %+v", inserted, again)
	}
	n, err := seats.UpsertAll(t.Context(), []seat{{Show: "a", Place: 1, State: "held"}, {Show: "a", Place: 2, State: "free"}}, show, place.Where(taken))
	if check(t, err); n != 2 {
		t.Errorf("%d rows", n)
	}
	_, err = seats.Upsert(t.Context(), &again, state)
	wantError(t, err, "repo: seats: ", "no unique or exclusion constraint matching the ON CONFLICT specification",
		"; name exactly the columns of a unique index, and the predicate of a partial one by Column.Where")
}

func TestTableOfKeysOnly(t *testing.T) {
	t.Parallel()
	type pair struct {
		A int    `db:"a,key"`
		B string `db:"b,key"`
	}
	db := open(t, `create table {{tables.pairs}} (a int, b text, primary key (a, b))`)
	pairs := newRepo[pair](t, db, "pairs")
	p := insert(t, pairs, pair{1, "x"})[0]
	inserted, err := pairs.Upsert(t.Context(), &p)
	if check(t, err); inserted {
		t.Error("inserted twice")
	}
	n, err := pairs.UpsertAll(t.Context(), []pair{{1, "x"}, {2, "y"}})
	if check(t, err); n != 2 {
		t.Errorf("%d rows", n)
	}
	wantError(t, pairs.Update(t.Context(), &p), "repo: pairs: Update: repo_test.pair has no columns but its key")
	_, err = pairs.Get(t.Context(), "x", 1)
	wantError(t, err, "repo: pairs: key column a wants int, not string; convert it: int(…)")
	_, err = pairs.Get(t.Context(), 1)
	wantError(t, err, "a key of 2 columns (a int, b string), but 1 value")
	got, err := pairs.Get(t.Context(), 2, "y")
	if check(t, err); got != (pair{2, "y"}) {
		t.Errorf("got %+v", got)
	}
}

func TestRowsThatAreAllDefaults(t *testing.T) {
	t.Parallel()
	type tick struct {
		ID int64     `db:"id,key,auto"`
		At time.Time `db:"at,auto"`
	}
	db := open(t, `create table {{tables.ticks}} (id serial primary key, at timestamptz not null default now())`)
	ticks := newRepo[tick](t, db, "ticks")
	one := insert(t, ticks, tick{})[0]
	if one.ID == 0 || one.At.IsZero() {
		t.Errorf("got %+v", one)
	}
	for _, n := range []int{3, 30} {
		rows := make([]tick, n)
		check(t, ticks.InsertAll(t.Context(), rows))
		for i := 1; i < n; i++ {
			if rows[i].ID != rows[i-1].ID+1 {
				t.Fatalf("got %+v", rows)
			}
		}
	}
	_, err := ticks.UpsertAll(t.Context(), make([]tick, 2))
	wantError(t, err, "repo: ticks: ", "the rows have no column that is sent")
}

func TestGeneratedColumnsAreReadBack(t *testing.T) {
	t.Parallel()
	type box struct {
		ID   int `db:"id,key"`
		Side int `db:"side"`
		Area int `db:"area,auto"`
	}
	db := open(t, `create table {{tables.boxes}} (id int primary key, side int not null, area int generated always as (side * side) stored)`)
	boxes := newRepo[box](t, db, "boxes")
	b := insert(t, boxes, box{ID: 1, Side: 3})[0]
	b.Side = 4
	check(t, boxes.Update(t.Context(), &b))
	if b.Area != 16 {
		t.Errorf("got %+v", b)
	}
	_, err := boxes.Upsert(t.Context(), &b) // it is set, so it is sent
	wantError(t, err, `repo: boxes: cannot insert a non-DEFAULT value into column "area"`, "; leave the field zero, or tag it generated")
}

// What the database generates is never sent: a row that was read can be stored again.
func TestGeneratedColumnsAreNeverSent(t *testing.T) {
	t.Parallel()
	type box struct {
		ID   int64  `db:"id,key,generated"`
		Name string `db:"name"`
		Side int    `db:"side"`
		Area *int   `db:"area,generated"`
	}
	name := repo.Col(func(b *box) *string { return &b.Name })
	area := repo.Col(func(b *box) **int { return &b.Area })
	db := open(t, `create table {{tables.boxes}} (id bigint generated always as identity primary key, name text not null unique,
		side int not null, area int generated always as (side * side) stored)`)
	boxes := newRepo[box](t, db, "boxes")
	check(t, boxes.Verify(t.Context()))
	b := insert(t, boxes, box{Name: "a", Side: 3})[0]
	b.Side = 4
	inserted, err := boxes.Upsert(t.Context(), &b, name)
	if check(t, err); inserted || b.ID != 1 || *b.Area != 16 {
		t.Errorf("inserted %t: %+v", inserted, b)
	}
	b.Side = 5
	check(t, boxes.Update(t.Context(), &b))
	rows := make([]box, 20)
	for i := range rows {
		rows[i] = b
		rows[i].Name = fmt.Sprint(i)
	}
	check(t, boxes.InsertAll(t.Context(), rows[:3]))
	check(t, boxes.InsertAll(t.Context(), rows[3:]))
	if *rows[19].Area != 25 || rows[19].ID == b.ID || rows[2].ID == b.ID {
		t.Errorf("got %+v", rows[19])
	}
	n, err := boxes.UpsertAll(t.Context(), rows, name)
	if check(t, err); n != 20 {
		t.Errorf("%d rows", n)
	}
	for i := range rows {
		rows[i].Name += " copied"
	}
	n, err = boxes.Copy(t.Context(), slices.Values(rows))
	if check(t, err); n != 20 {
		t.Errorf("%d rows", n)
	}
	if n, err = boxes.Where(area.Eq(new(25))).Count(t.Context()); err != nil || n != 41 {
		t.Errorf("%d rows, %v", n, err)
	}
	_, err = boxes.Where(area.Eq(new(25))).Update(t.Context(), area.Set(nil))
	wantError(t, err, "repo: boxes: Update: column area is generated by the database; leave it out")
}

// complexNumber is a composite type.
type complexNumber struct{ Re, Im float64 }

func (c complexNumber) IsNull() bool { return false }
func (c complexNumber) Index(i int) any {
	return []any{c.Re, c.Im}[i]
}
func (c *complexNumber) ScanNull() error { return errors.New("NULL") }
func (c *complexNumber) ScanIndex(i int) any {
	return []any{&c.Re, &c.Im}[i]
}

type wave struct {
	ID  int           `db:"id,key"`
	Amp complexNumber `db:"amp"`
}

// openWaves returns a repository whose connections know the composite type.
func openWaves(t *testing.T) *repo.Repository[wave] {
	t.Helper()
	db := openWith(t, pgdbm.Config{MaxConns: 1}, `create type {{schema}}.complex as (re float8, im float8);
		create table {{tables.waves}} (id int primary key, amp {{schema}}.complex not null)`)
	conn, err := db.Acquire(t.Context()) // the only one
	check(t, err)
	complexType, err := conn.Conn().LoadType(t.Context(), "app.complex")
	check(t, err)
	conn.Conn().TypeMap().RegisterType(complexType)
	conn.Release()
	return newRepo[wave](t, db, "waves")
}

func TestCompositeTypes(t *testing.T) {
	t.Parallel()
	waves := openWaves(t)
	insert(t, waves, wave{1, complexNumber{1, 2}})
	rows := make([]wave, 20)
	for i := range rows {
		rows[i] = wave{i + 10, complexNumber{float64(i), -1}}
	}
	check(t, waves.InsertAll(t.Context(), rows)) // one by one: only the connection knows the type
	got, err := waves.Get(t.Context(), 13)
	if check(t, err); got.Amp != (complexNumber{3, -1}) {
		t.Errorf("got %+v", got)
	}
	_, err = waves.UpsertAll(t.Context(), rows)
	wantError(t, err, "repo: waves: column amp (app.complex from repo_test.complexNumber) cannot be sent as an array; store the rows one by one")
	if strings.Contains(err.Error(), "{") {
		t.Errorf("the message holds a value: %v", err)
	}
}

func TestNestedPointers(t *testing.T) {
	t.Parallel()
	type person struct {
		ID   int      `db:"id,key"`
		Home *address `db:"home"`
		*Stamp
	}
	db := open(t, `create table {{tables.people}} (id int primary key, "home.city" text, "home.zip" int, stamp text)`)
	people := newRepo[person](t, db, "people")
	city := repo.Col(func(p *person) *string { return &p.Home.City })
	stamp := repo.Col(func(p *person) **string { return &p.Text })
	insert(t, people, person{1, &address{"Köln", new(1)}, &Stamp{new("s")}})
	rows := make([]person, 20)
	for i := range rows {
		rows[i] = person{ID: i + 10, Home: &address{City: "Bonn"}}
	}
	check(t, people.InsertAll(t.Context(), rows))
	if rows[0].Home == rows[1].Home || rows[0].Home.City != "Bonn" {
		t.Errorf("got %+v", rows[0].Home)
	}
	one, err := people.Where(city.Eq("Köln"), stamp.IsNotNull()).One(t.Context())
	if check(t, err); *one.Home.Zip != 1 || *one.Text != "s" {
		t.Errorf("got %+v", one)
	}
	all, err := people.Where().OrderBy(city.Asc()).All(t.Context())
	if check(t, err); len(all) != 21 || all[0].Home == all[1].Home {
		t.Errorf("got %d", len(all))
	}
	none := person{ID: 99}
	insert(t, people, none)
	if none, err = people.Get(t.Context(), 99); err != nil || none.Home != nil || none.Stamp == nil || none.Text != nil {
		t.Errorf("without a home: %+v, %v", none, err)
	}
	_, err = db.Exec(t.Context(), `update {{tables.people}} set "home.zip" = 7 where id = 99`)
	check(t, err)
	_, err = people.Get(t.Context(), 99)
	wantError(t, err, "repo: people: ", `column "home.city" into field Home.City of repo_test.person: `, "NULL")
}

type Stamp struct {
	Text *string `db:"stamp"`
}

func TestPagesByOtherTypes(t *testing.T) {
	t.Parallel()
	type event struct {
		ID    uid            `db:"id,key"`
		At    time.Time      `db:"at"`
		Mood  mood           `db:"mood"`
		Score float64        `db:"score"`
		Data  [16]byte       `db:"data"`
		Maybe pgtype.Numeric `db:"maybe"`
	}
	at := repo.Col(func(e *event) *time.Time { return &e.At })
	feel := repo.Col(func(e *event) *mood { return &e.Mood })
	score := repo.Col(func(e *event) *float64 { return &e.Score })
	data := repo.Col(func(e *event) *[16]byte { return &e.Data })
	maybe := repo.Col(func(e *event) *pgtype.Numeric { return &e.Maybe })
	db := open(t, `create type {{schema}}.mood as enum ('sad', 'ok');
		create table {{tables.events}} (id uuid primary key, at timestamptz, mood {{schema}}.mood, score float8, data uuid, maybe numeric)`)
	events := newRepo[event](t, db, "events")
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	rows := make([]event, 50)
	for i := range rows {
		rows[i] = event{ID: uid{byte(i)}, At: start.Add(time.Duration(i/4) * time.Microsecond), Mood: "ok", Score: float64(i/9) / 3, Data: [16]byte{byte(i % 5)}}
		if i%2 == 0 {
			rows[i].Mood = "sad"
		}
	}
	check(t, events.InsertAll(t.Context(), rows))
	for name, order := range map[string][]repo.Order[event]{
		"time": {at.Desc()}, "enum": {feel.Asc()}, "float": {score.Asc(), at.Desc()}, "uuid": {data.Asc()}, "own uuid": nil,
	} {
		seen := map[uid]bool{}
		for cursor, more := "", true; more; more = cursor != "" {
			page, err := events.Where().OrderBy(order...).Limit(7).After(cursor).Page(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, e := range page.Rows {
				if seen[e.ID] {
					t.Fatalf("%s: seen twice", name)
				}
				seen[e.ID] = true
			}
			cursor = page.Next
		}
		if len(seen) != 50 {
			t.Errorf("%s: %d rows", name, len(seen))
		}
	}
	_, err := events.Where().OrderBy(maybe.Asc()).Limit(1).Page(t.Context())
	wantError(t, err, "column maybe can be NULL (pgtype.Numeric)")
}

// wide has 60 columns.
type wide struct {
	ID int `db:"id,key"`
	A  tenColumns
	B  tenColumns
	C  tenColumns
	D  tenColumns
	E  tenColumns
	F  nineColumns
}

type nineColumns struct{ C1, C2, C3, C4, C5, C6, C7, C8, C9 *int }

type tenColumns struct {
	nineColumns
	C10 string
}

func TestSixtyColumns(t *testing.T) {
	t.Parallel()
	var columns []string
	for _, group := range "abcdef" {
		for i := 1; i <= 9; i++ {
			columns = append(columns, fmt.Sprintf(`"%c.c%d" int`, group, i))
		}
		if group != 'f' {
			columns = append(columns, fmt.Sprintf(`"%c.c10" text`, group))
		}
	}
	db := open(t, `create table {{tables.wide}} (id int primary key, `+strings.Join(columns, ", ")+`)`)
	rows := make([]wide, 2000)
	for i := range rows {
		rows[i].ID = i + 1
		rows[i].C.C5 = new(i)
		rows[i].E.C10 = fmt.Sprint(i)
	}
	r := newRepo[wide](t, db, "wide")
	check(t, r.InsertAll(t.Context(), rows))
	got, err := r.Get(t.Context(), 1234)
	if check(t, err); *got.C.C5 != 1233 || got.E.C10 != "1233" || got.A.C1 != nil {
		t.Errorf("got %+v", got)
	}
	n, err := r.UpsertAll(t.Context(), rows)
	if check(t, err); n != 2000 {
		t.Errorf("%d rows", n)
	}
	check(t, r.Update(t.Context(), &got))
}

func TestRepositoriesOfOneStruct(t *testing.T) {
	t.Parallel()
	db := open(t, pointTable, strings.ReplaceAll(pointTable, "points", "dots"))
	points, dots := newRepo[point](t, db, "points"), newRepo[point](t, db, "dots")
	insert(t, points, point{A: 1}, point{A: 2})
	insert(t, dots, point{A: 3})
	for _, c := range []struct {
		r    *repo.Repository[point]
		want int64
	}{{points, 2}, {dots, 1}} {
		n, err := c.r.Where(pointA.Gt(0)).Count(t.Context())
		if check(t, err); n != c.want {
			t.Errorf("%d rows, want %d", n, c.want)
		}
	}
	page, err := points.Where().Limit(1).Page(t.Context())
	check(t, err)
	_, err = dots.Where().Limit(1).After(page.Next).Page(t.Context())
	if !errors.Is(err, repo.ErrCursor) {
		t.Errorf("got %v, want ErrCursor", err)
	}
}
