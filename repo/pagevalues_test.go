package repo_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
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

// cents is a number that only the database sees.
type cents struct{ n int64 }

func (c cents) Value() (driver.Value, error) { return c.n, nil }

func (c *cents) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return errors.New("not a number")
	}
	c.n = n
	return nil
}

// secret shows itself to nobody but the database.
type secret struct{ text string }

func (s secret) Value() (driver.Value, error) { return []byte(s.text), nil }
func (s secret) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }

func (s *secret) Scan(src any) error {
	b, ok := src.([]byte)
	s.text = string(b)
	if !ok {
		return errors.New("not bytes")
	}
	return nil
}

// sample has a column of every type that rows can be sorted by.
type sample struct {
	ID     int           `db:"id,key"`
	Float  float64       `db:"float"`
	Real   float32       `db:"real"`
	At     time.Time     `db:"at"`
	Wall   time.Time     `db:"wall"`
	Day    time.Time     `db:"day"`
	Cents  cents         `db:"cents"`
	Secret secret        `db:"secret"`
	Addr   netip.Addr    `db:"addr"`
	Net    net.IPNet     `db:"net"`
	Took   time.Duration `db:"took"`
	Big    uint64        `db:"big"`
	Whole  int64         `db:"whole"`
	Exact  string        `db:"exact"`
	Flag   bool          `db:"flag"`
	Text   string        `db:"text"`
	Any    string        `db:"any_case"`
	Mood   mood          `db:"mood"`
	Raw    [16]byte      `db:"raw"`
	UID    uid           `db:"uid"`
}

const sampleTable = `create extension if not exists citext;
	create type {{schema}}.mood as enum ('sad', 'ok', 'happy');
	create table {{tables.samples}} (
		id int primary key, float float8, real real, at timestamptz, wall timestamp, day date, cents bigint, secret bytea, addr inet, net cidr,
		took interval, big numeric, whole bigint, exact numeric, flag bool, text text, any_case public.citext, mood {{schema}}.mood, raw uuid, uid uuid)`

func samples() []sample {
	zone := time.FixedZone("", 1172) // of Amsterdam, once
	at := func(year int) time.Time { return time.Date(year, 2, 3, 4, 5, 6, 123456000, zone) }
	out := make([]sample, 12)
	for i := range out {
		n := i / 2 % 3 // of each value there are several
		out[i] = sample{
			ID: i, Float: []float64{math.Inf(-1), 1.0 / 3, math.NaN()}[n], Real: []float32{0.1, 0.2, float32(math.Inf(1))}[n],
			At: at([]int{-44, 1890, 12345}[n]), Wall: at([]int{1890, 2024, 12345}[n]), Day: at([]int{-3000, 1, 2024}[n]).Truncate(24 * time.Hour).UTC(),
			Cents: cents{int64(n) - 1}, Secret: secret{"\x00\xff" + strconv.Itoa(n)}, Addr: netip.MustParseAddr([]string{"10.0.0.1", "10.0.0.2", "::1"}[n]),
			Net:  net.IPNet{IP: net.IPv4(10, byte(n), 0, 0).To4(), Mask: net.CIDRMask(16, 32)},
			Took: time.Duration(n) * 1001 * time.Microsecond, Big: math.MaxUint64 - uint64(n), Whole: math.MaxInt64 - int64(n),
			Exact: []string{"0.1000000000000000000000000000001", "0.1000000000000000000000000000002", "1e400"}[n], Flag: n == 1,
			Text: []string{"", `"\'` + "\u2028<>&", "\U0010ffff\ufffd"}[n], Any: []string{"a", "A", "b"}[n], Mood: []mood{"sad", "ok", "happy"}[n],
			Raw: [16]byte{byte(n)}, UID: uid{byte(n)},
		}
	}
	return out
}

// Page after page of one row, in both directions, is every row once, whatever the
// rows are sorted by.
func TestPagesByEveryType(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db := openMode(t, mode, sampleTable)
			r := newRepo[sample](t, db, "samples")
			for _, row := range samples() {
				check(t, r.Insert(t.Context(), &row))
			}
			for _, name := range []string{
				"float", "real", "at", "wall", "day", "cents", "secret", "addr", "net", "took", "big", "whole", "exact", "flag", "text", "any_case", "mood", "raw", "uid",
			} {
				walk(t, r, name, byName[sample](t, name).Asc())
				walk(t, r, name+" mixed", byName[sample](t, name).Desc(), byName[sample](t, "id").Asc())
			}
		})
	}
}

// walk compares the pages of an order with the whole of it.
func walk(t *testing.T, r *repo.Repository[sample], name string, order ...repo.Order[sample]) {
	t.Helper()
	all, err := r.Where().OrderBy(order...).OrderBy(byName[sample](t, "id").Asc()).All(t.Context())
	check(t, err)
	want := keysOf(all)
	q := r.Where().OrderBy(order...).Limit(1)
	var got []int
	last := ""
	for cursor := ""; ; {
		page, err := q.After(cursor).Page(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		got = append(got, keysOf(page.Rows)...)
		if last = page.Prev; page.Next == "" || len(got) > len(want) {
			break
		}
		cursor = page.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", name, got, want)
		return
	}
	got = got[len(got)-1:]
	for cursor := last; cursor != "" && len(got) <= len(want); {
		page, err := q.Before(cursor).Page(t.Context())
		check(t, err)
		got = append(keysOf(page.Rows), got...)
		cursor = page.Prev
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s backwards: %v, want %v", name, got, want)
	}
}

func keysOf(rows []sample) []int {
	keys := make([]int, len(rows))
	for i, row := range rows {
		keys[i] = row.ID
	}
	return keys
}

// Times are read in a zone that has an offset of seconds.
func TestPagesByTimesInOldZones(t *testing.T) {
	t.Parallel()
	db := openWith(t, pgdbm.Config{MaxConns: 1}, sampleTable)
	conn, err := db.Acquire(t.Context()) // the only one
	check(t, err)
	zone := time.FixedZone("LMT", 1172)
	types := conn.Conn().TypeMap()
	types.RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: zone}})
	types.RegisterType(&pgtype.Type{Name: "timestamp", OID: pgtype.TimestampOID, Codec: &pgtype.TimestampCodec{ScanLocation: zone}})
	conn.Release()
	r := newRepo[sample](t, db, "samples")
	for _, row := range samples() {
		check(t, r.Insert(t.Context(), &row))
	}
	one, err := r.Where().Limit(1).One(t.Context())
	if _, offset := one.At.Zone(); err != nil || offset != 1172 {
		t.Fatalf("read at an offset of %d: %v", offset, err)
	}
	walk(t, r, "timestamptz", byName[sample](t, "at").Asc())
	walk(t, r, "timestamp", byName[sample](t, "wall").Asc())
}

func TestPageByWhatHasNoText(t *testing.T) {
	t.Parallel()
	waves := openWaves(t)
	insert(t, waves, wave{1, complexNumber{1, 2}}, wave{2, complexNumber{1, 3}})
	amp := repo.Col(func(w *wave) *complexNumber { return &w.Amp })
	_, err := waves.Where().OrderBy(amp.Asc()).Limit(1).Page(t.Context())
	wantError(t, err, "repo: waves: Page: cursor: there is no text for repo_test.complexNumber; let the type implement driver.Valuer")
	page, err := waves.Where().OrderBy(amp.Asc()).Limit(2).Page(t.Context()) // which needs no cursor
	if check(t, err); len(page.Rows) != 2 {
		t.Errorf("%d rows", len(page.Rows))
	}
}

// A database without an encoding has strings that are not UTF-8, and so not JSON.
func TestPagesByTextOfNoEncoding(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	db := openWith(t, pgdbm.Config{ConnString: dsn})
	name := "ascii_" + strconv.FormatInt(time.Now().UnixNano(), 36)
	_, err := db.Exec(t.Context(), "create database "+name+" encoding 'SQL_ASCII' locale 'C' template template0")
	check(t, err)
	t.Cleanup(func() {
		if _, err := db.Exec(context.Background(), "drop database "+name); err != nil {
			t.Error(err)
		}
	})
	at, err := url.Parse(dsn)
	check(t, err)
	at.Path = "/" + name
	params := at.Query()
	params.Set("client_encoding", "SQL_ASCII")
	at.RawQuery = params.Encode()
	ascii := openWith(t, pgdbm.Config{ConnString: at.String()}, pointTable)
	points := newRepo[point](t, ascii, "points")
	for i, b := range []string{"\x80", "\x81", "\xff", "a\xe9", "z"} {
		insert(t, points, point{A: i / 4, B: b})
	}
	var got []string
	for cursor, more := "", true; more && len(got) < 10; more = cursor != "" {
		page, err := points.Where().OrderBy(pointB.Asc()).Limit(1).After(cursor).Page(t.Context())
		check(t, err)
		got = append(got, page.Rows[0].B)
		cursor = page.Next
	}
	if want := []string{"a\xe9", "z", "\x80", "\x81", "\xff"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A cursor made of a value that was rounded leads to the same row for ever.
func TestPagesByRoundedValues(t *testing.T) {
	t.Parallel()
	type price struct {
		ID     int     `db:"id,key"`
		Amount float64 `db:"amount"`
	}
	db := open(t, `create table {{tables.prices}} (id int primary key, amount numeric not null)`,
		`insert into {{tables.prices}} select i, 1 + i * 1e-20 from generate_series(1, 9) i`)
	prices := newRepo[price](t, db, "prices")
	amount := repo.Col(func(p *price) *float64 { return &p.Amount })
	const want = "repo: prices: Page: the row of the cursor comes again, so a column of the order is read less exactly than it is stored"
	q := prices.Where().OrderBy(amount.Asc()).Limit(1)
	page, err := q.Page(t.Context())
	check(t, err)
	_, err = q.After(page.Next).Page(t.Context())
	wantError(t, err, want)
	q = prices.Where().OrderBy(amount.Desc()).Limit(1)
	last, err := q.Before("").Page(t.Context())
	check(t, err)
	_, err = q.Before(last.Prev).Page(t.Context())
	wantError(t, err, want)
}
