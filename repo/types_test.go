package repo_test

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

type mood string

// uid is a uuid as most packages define it.
type uid [16]byte

func (u uid) Value() (driver.Value, error) { return fmt.Sprintf("%x", u[:]), nil }

func (u *uid) Scan(src any) error {
	var p pgtype.UUID
	err := p.Scan(src)
	*u = p.Bytes
	return err
}

type geo struct {
	Lat, Lon float64
}

type address struct {
	City string `db:"city"`
	Zip  *int   `db:"zip"`
}

type audit struct {
	By string `db:"by_whom"`
}

// thing has one of every kind of type.
type thing struct {
	ID     uid    `db:"id,key"`
	Region string `db:"region,key"`
	audit
	Address address        `db:"address"`
	Doc     map[string]any `db:"doc,json"`
	Place   geo            `db:"place,json"`
	MaybeP  *geo           `db:"maybe_place,json"`
	Tags    []string       `db:"tags"`
	Grid    [][]int32      `db:"grid"`
	Mood    mood           `db:"mood"`
	MoodP   *mood          `db:"mood_p"`
	Moods   []mood         `db:"moods"`
	Price   pgtype.Numeric `db:"price"`
	Span    pgtype.Range[pgtype.Int4]
	Net     netip.Prefix
	Data    []byte
	Maybe   []byte
	At      time.Time
	AtP     *time.Time
	Day     pgtype.Date
	Forever pgtype.Timestamptz
	Small   *int16
	Big     *int64
	Real    float32
	Dbl     *float64
	Flag    *bool
	Txt     pgtype.Text
	Raw     json.RawMessage `db:"raw,json"`
	Local   string          `db:"-"`
}

const thingTable = `
	create type {{schema}}.mood as enum ('sad', 'ok', 'happy');
	create table {{tables.things}} (
		id uuid, region text, by_whom varchar(20), "address.city" text, "address.zip" int,
		doc jsonb, place jsonb, maybe_place json, tags text[], grid int[], mood {{schema}}.mood, mood_p {{schema}}.mood,
		moods {{schema}}.mood[], price numeric, span int4range, net cidr, data bytea, maybe bytea, at timestamptz,
		at_p timestamp, day date, forever timestamptz, small smallint, big bigint, real real, dbl double precision,
		flag bool, txt text, raw jsonb, primary key (id, region)
	)`

var (
	thingMood  = repo.Col(func(t *thing) *mood { return &t.Mood })
	thingMoodP = repo.Col(func(t *thing) **mood { return &t.MoodP })
	thingID    = repo.Col(func(t *thing) *uid { return &t.ID })
	thingCity  = repo.Col(func(t *thing) *string { return &t.Address.City })
	thingZip   = repo.Col(func(t *thing) **int { return &t.Address.Zip })
	thingDoc   = repo.Col(func(t *thing) *map[string]any { return &t.Doc })
	thingPlace = repo.Col(func(t *thing) *geo { return &t.Place })
	thingBy    = repo.Col(func(t *thing) *string { return &t.By })
	thingTxt   = repo.Col(func(t *thing) *pgtype.Text { return &t.Txt })
	thingMoods = repo.Col(func(t *thing) *[]mood { return &t.Moods })
)

func full(n byte) thing {
	price, _ := new(big.Int).SetString("1"+string(bytes.Repeat([]byte("0"), 400)), 10)
	return thing{
		ID: uid{n}, Region: "eu", audit: audit{By: "me"}, Address: address{"Köln", new(50667)},
		Doc: map[string]any{"a": []any{1.5, "x", nil}, "ü": "\u2028"}, Place: geo{1, 2}, MaybeP: &geo{3, 4},
		Tags: []string{"a", "b,c", `"`, ""}, Grid: [][]int32{{1, 2}, {3, 4}}, Mood: "happy", MoodP: new(mood("sad")),
		Moods: []mood{"ok", "sad"}, Price: pgtype.Numeric{Int: price, Exp: 0, Valid: true},
		Span: pgtype.Range[pgtype.Int4]{
			Lower: pgtype.Int4{Int32: 1, Valid: true}, Upper: pgtype.Int4{Int32: 9, Valid: true},
			LowerType: pgtype.Inclusive, UpperType: pgtype.Exclusive, Valid: true,
		},
		Net: netip.MustParsePrefix("10.0.0.0/8"), Data: []byte{}, Maybe: nil,
		At: time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC), AtP: new(time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)),
		Day:     pgtype.Date{Time: time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), Valid: true},
		Forever: pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true},
		Small:   new(int16(-5)), Big: new(int64(1 << 60)), Real: 1.5, Dbl: new(2.25), Flag: new(true),
		Txt: pgtype.Text{String: "t", Valid: true}, Raw: json.RawMessage(`null`),
	}
}

// nulls is NULL wherever a field can hold it.
func nulls(n byte) thing {
	return thing{ID: uid{n}, Region: "eu", Net: netip.MustParsePrefix("::/0"), Mood: "ok", At: time.Unix(0, 0)}
}

func sameThing(t *testing.T, what string, got, want thing) {
	t.Helper()
	for _, w := range []*thing{&got, &want} {
		w.At = w.At.UTC()
		if w.Price.Valid { // the same number may be written in several ways
			f, _ := w.Price.Int64Value()
			_ = f
			for w.Price.Exp > 0 {
				w.Price.Int = new(big.Int).Mul(w.Price.Int, big.NewInt(10))
				w.Price.Exp--
			}
		}
	}
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if name := g.Type().Field(i).Name; name != "audit" && !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s: %s is %#v, want %#v", what, name, g.Field(i).Interface(), w.Field(i).Interface())
		}
	}
}

func TestTypesInEveryExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			// pgx cannot encode a grid without knowing the type
			everyType(t, openMode(t, mode, thingTable), mode != "exec" && mode != "simple_protocol")
		})
	}
	t.Run("PgBouncer", func(t *testing.T) {
		t.Parallel()
		direct := testkit.ConnString(t)
		pooler := testkit.StartPgBouncer(t, direct, nil)
		everyType(t, openWith(t, pgdbm.Config{ConnString: pooler.ConnString(), DirectConnString: direct}, thingTable), true)
	})
}

// everyType stores things one by one and together, and finds them again.
func everyType(t *testing.T, db *pgdbm.Manager, grids bool) {
	t.Helper()
	things := newRepo[thing](t, db, "things")
	for name, want := range map[string]thing{"values": full(1), "nulls": nulls(2)} {
		if !grids {
			want.Grid = nil
		}
		row := want
		row.Local = "kept"
		if err := things.Insert(t.Context(), &row); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if row.Local != "kept" {
			t.Errorf("%s: a field without a column is lost", name)
		}
		got, err := things.Get(t.Context(), want.ID, "eu")
		check(t, err)
		sameThing(t, name, got, want)
		got.Region = "eu"
		check(t, things.Update(t.Context(), &got))
		sameThing(t, name+" updated", got, want)
	}
	bulk := make([]thing, 20)
	for i := range bulk {
		if bulk[i] = full(byte(10 + i)); i%2 == 1 {
			bulk[i] = nulls(byte(10 + i))
		}
	}
	check(t, things.InsertAll(t.Context(), bulk))
	for i := range bulk {
		want := full(byte(10 + i))
		if i%2 == 1 {
			want = nulls(byte(10 + i))
		}
		sameThing(t, "bulk", bulk[i], want)
	}
	n, err := things.UpsertAll(t.Context(), bulk)
	if check(t, err); n != 20 {
		t.Errorf("%d rows", n)
	}
	for name, c := range map[string]struct {
		cond repo.Condition[thing]
		want int64
	}{
		"uuid in":        {thingID.In(uid{1}, uid{2}, uid{99}), 2},
		"enum eq":        {thingMood.Eq("happy"), 11},
		"enum in":        {thingMood.In("happy", "sad"), 11},
		"enum in null":   {thingMoodP.In(nil, new(mood("sad"))), 22},
		"enum not in":    {thingMoodP.NotIn(nil, new(mood("ok"))), 11},
		"enum null":      {thingMoodP.Eq(nil), 11},
		"enum not null":  {thingMoodP.Ne(nil), 11},
		"enum array":     {thingMoods.Eq([]mood{"ok", "sad"}), 11},
		"json map":       {thingDoc.Eq(full(0).Doc), 11},
		"json null":      {thingDoc.Eq(nil), 11},
		"json struct in": {thingPlace.In(geo{1, 2}, geo{0, 0}), 22},
		"nested":         {thingCity.Eq("Köln"), 11},
		"nested null":    {thingZip.IsNull(), 11},
		"embedded":       {thingBy.In("me", "you"), 11},
		"text":           {repo.ILike(thingTxt, "T%"), 11},
		"text null":      {thingTxt.Eq(pgtype.Text{}), 11},
		"in nothing":     {thingID.In(), 0},
		"not in nothing": {thingMoodP.NotIn(), 22},
	} {
		if n, err := things.Where(c.cond).Count(t.Context()); err != nil || n != c.want {
			t.Errorf("%s: %d rows, want %d: %v", name, n, c.want, err)
		}
	}
	n, err = things.Where(thingMood.Eq("ok")).Update(t.Context(), thingDoc.Set(map[string]any{"n": 1.0}),
		thingMoodP.Set(new(mood("ok"))), thingMoods.Set([]mood{"ok"}), thingPlace.Set(geo{5, 6}))
	if check(t, err); n != 11 {
		t.Errorf("%d rows", n)
	}
	got, err := things.Get(t.Context(), uid{2}, "eu")
	check(t, err)
	if got.Doc["n"] != 1.0 || *got.MoodP != "ok" || got.Moods[0] != "ok" || got.Place.Lat != 5 {
		t.Errorf("got %+v", got)
	}
}

func TestJSONNullIsNotSQLNull(t *testing.T) {
	t.Parallel()
	db := open(t, `create table {{tables.docs}} (id int primary key, doc jsonb)`)
	type doc struct {
		ID  int             `db:"id,key"`
		Doc json.RawMessage `db:"doc,json"`
	}
	docs := newRepo[doc](t, db, "docs")
	insert(t, docs, doc{1, nil}, doc{2, json.RawMessage("null")}, doc{3, json.RawMessage(`{"b": 1}`)})
	for id, want := range map[int]string{1: "", 2: "null", 3: `{"b": 1}`} {
		got, err := docs.Get(t.Context(), id)
		if check(t, err); string(got.Doc) != want {
			t.Errorf("%d: %q, want %q", id, got.Doc, want)
		}
		isNull, err := docs.Where(repo.SQL[doc]("id = $1 and doc is null", id)).Exists(t.Context())
		if check(t, err); isNull != (id == 1) {
			t.Errorf("%d: is null %t", id, isNull)
		}
	}
}

// JSON that is not a document, one row and many; nil is NULL, as everywhere.
func TestJSONScalars(t *testing.T) {
	t.Parallel()
	type doc struct {
		ID   int             `db:"id,key"`
		Any  any             `db:"any,json"`
		Mood mood            `db:"mood,json"`
		Flag *bool           `db:"flag,json"`
		List []int           `db:"list,json"`
		At   time.Time       `db:"at,json"`
		Text string          `db:"text"` // the JSON itself
		Raw  json.RawMessage `db:"raw"`
		Data []byte          `db:"data"`
	}
	docs := newRepo[doc](t, open(t, `create table {{tables.docs}} (id int primary key, "any" jsonb, mood jsonb not null, flag json,
		list jsonb, at jsonb not null, text jsonb not null, raw jsonb, data json)`), "docs")
	check(t, docs.Verify(t.Context()))
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for id, want := range map[int]doc{
		1: {0, "a string", "ok", new(true), []int{}, at, `"x"`, json.RawMessage(`"y"`), []byte(`"z"`)},
		2: {0, 1.5, "", nil, nil, at, `1`, nil, nil},
		3: {0, nil, "null", new(false), []int{1}, at, `null`, json.RawMessage(`null`), []byte(`{}`)},
	} {
		want.ID = id
		one, many := want, make([]doc, 20)
		check(t, docs.Insert(t.Context(), &one))
		check(t, docs.Update(t.Context(), &one))
		for i := range many {
			many[i] = want
			many[i].ID = 100*id + i
		}
		check(t, docs.InsertAll(t.Context(), many))
		want19 := want
		want19.ID = 100*id + 19
		if !reflect.DeepEqual(one, want) || !reflect.DeepEqual(many[19], want19) {
			t.Errorf("%d: got %+v and %+v, want %+v", id, one, many[19], want)
		}
	}
	n, err := docs.Where(repo.SQL[doc](`"any" is null and list is not null or "any" is not null and flag is null and list is null`)).Count(t.Context())
	if check(t, err); n != 2*21 {
		t.Errorf("%d rows", n)
	}
}

func TestWhatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	db := open(t, `create table {{tables.docs}} (id int primary key, doc jsonb, n smallint)`)
	type doc struct {
		ID  int `db:"id,key"`
		Doc any `db:"doc,json"`
		N   int `db:"n"`
	}
	docs := newRepo[doc](t, db, "docs")
	wantError(t, docs.Insert(t.Context(), &doc{Doc: func() {}}), "repo: docs: column doc: json: unsupported type")
	wantError(t, docs.InsertAll(t.Context(), make20(doc{Doc: func() {}})), "repo: docs: column doc: json: unsupported type")
	err := docs.Insert(t.Context(), &doc{N: 1 << 20})
	if !errors.Is(err, pgdbm.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if err := docs.InsertAll(t.Context(), make20(doc{N: 1 << 20})); !errors.Is(err, pgdbm.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func make20[T any](row T) []T {
	rows := make([]T, 20)
	for i := range rows {
		rows[i] = row
	}
	return rows
}
