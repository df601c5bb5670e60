package pgdbm_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

type (
	color    string // an enum's
	level    int
	key      [16]byte
	tags     []string
	cents    struct{ Amount int64 }
	host     struct{ Name string }
	selfMade struct{ text string }
	address  struct {
		City string   `json:"city"`
		Tags []string `json:"tags"`
	}
)

func (v cents) Value() (driver.Value, error) { return v.Amount, nil }

func (s host) String() string { return "host " + s.Name }

func (m *selfMade) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"own": m.text})
}

// Whatever the mode, the same arguments become the same values.
func TestArgumentsInEveryMode(t *testing.T) {
	t.Parallel()
	pool := open(t, pgdbm.Config{MaxConns: 2})
	zone := time.FixedZone("", 2*3600+1800)
	at := time.Date(2026, 2, 3, 4, 5, 6, 7_000, zone)
	id := [16]byte{0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	doc := map[string]any{"a": 1.5, "b": []any{"x", nil}, "q": `"\'{}`}
	home := address{City: `O'Neil "x"`, Tags: []string{"p"}}
	numeric := pgtype.Numeric{}
	testkit.NoError(t, numeric.Scan("123456789012345678901234567890.12345"))
	cases := []struct {
		column string
		arg    any
	}{
		{"text", nil},
		{"text", `a"b\c'd{},é`},
		{"text", new("p")},
		{"text", (*string)(nil)},
		{"text", color("red")},
		{"text", pgtype.Text{String: "x", Valid: true}},
		{"text", sql.NullString{String: "x", Valid: true}},
		{"text", host{"a"}},
		{"color", "red"},
		{"color", color("red")},
		{"bool", true},
		{"int2", int16(-3)},
		{"int4", 7},
		{"int4", level(7)},
		{"int8", new(int64(1) << 40)},
		{"int8", uint64(1) << 40},
		{"int8", cents{12}},
		{"int8", &cents{12}},
		{"float4", float32(1.1)},
		{"float8", 1.1},
		{"numeric", numeric},
		{"numeric", "1.10"},
		{"numeric", int64(5)},
		{"numeric", json.Number("2.50")},
		{"bytea", []byte{0, 1, '\\', 'x', 0xff}},
		{"bytea", []byte{}},
		{"bytea", []byte(nil)},
		{"uuid", id},
		{"uuid", key(id)},
		{"uuid", new(id)},
		{"uuid", pgtype.UUID{Bytes: id, Valid: true}},
		{"uuid", "ab010203-0405-0607-0809-0a0b0c0d0e0f"},
		{"timestamptz", at},
		{"timestamptz", &at},
		{"timestamptz", (*time.Time)(nil)},
		{"timestamptz", sql.Null[time.Time]{V: at, Valid: true}},
		{"timestamptz", time.Date(1, 2, 3, 4, 5, 6, 0, time.UTC)},
		{"timestamptz", time.Date(-43, 2, 3, 4, 5, 6, 0, time.UTC)},
		{"timestamptz", time.Date(12026, 2, 3, 4, 5, 6, 0, time.UTC)},
		{"timestamptz", time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC)},
		{"timestamptz", pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}},
		{"timestamp", at},
		{"date", time.Date(2026, 2, 3, 0, 30, 0, 0, zone)},
		{"interval", 90 * time.Minute},
		{"inet", netip.MustParseAddr("10.0.0.1")},
		{"text[]", []string{"a", `b "c"\,{}`, "", "NULL"}},
		{"text[]", []string{}},
		{"text[]", []string(nil)},
		{"text[]", tags{"a", "b"}},
		{"text[]", []color{"red", "blue"}},
		{"text[]", [2]string{"a", "b"}},
		{"text[]", []*string{new("a"), nil}},
		{"varchar[]", [][]string{{"a", "b"}, {"c", "d"}}},
		{"int2[]", [][]level{{1}, {2}}},
		{"color[]", []string{"red", "blue"}},
		{"int4[]", []int{1, 2}},
		{"int4[]", []level{1, 2}},
		{"int8[]", []cents{{1}, {2}}},
		{"int4[]", pgtype.Array[int32]{Elements: []int32{1, 2}, Dims: []pgtype.ArrayDimension{{Length: 2, LowerBound: 1}}, Valid: true}},
		{"uuid[]", [][16]byte{id, id}},
		{"uuid[]", []key{key(id)}},
		{"timestamptz[]", []time.Time{at}},
		{"timestamp[]", []time.Time{at}},
		{"timestamptz[]", []*time.Time{&at, nil}},
		{"bytea[]", [][]byte{{1, '\\'}, {}}},
		{"jsonb", doc},
		{"json", doc},
		{"jsonb", map[string]string{"a": "b"}},
		{"jsonb", map[string]any(nil)},
		{"jsonb", map[level]address{1: home}},
		{"jsonb", home},
		{"jsonb", &home},
		{"jsonb", (*address)(nil)},
		{"jsonb", []address{home}},
		{"jsonb", []*address{&home}},
		{"jsonb", [1]address{home}},
		{"jsonb", []any{"a", 1, nil}},
		{"jsonb", []map[string]any{doc}},
		{"jsonb", &selfMade{"m"}},
		{"jsonb", json.RawMessage(`{"b":  1}`)},
		{"json", json.RawMessage(`{"b":  1}`)},
		{"jsonb", `["a"]`},
		{"int4range", pgtype.Range[pgtype.Int4]{Lower: pgtype.Int4{Int32: 1, Valid: true}, LowerType: pgtype.Inclusive, UpperType: pgtype.Unbounded, Valid: true}},
	}
	usual := bind(t, pool, "app")
	exec(t, usual, "create type color as enum ('red', 'blue')")
	for i, c := range cases {
		exec(t, usual, fmt.Sprintf("create table {{tables.t%d}} (how text, v %s)", i, c.column))
	}
	for name, m := range everyMode(t, pool, "app") {
		for i, c := range cases {
			insert := fmt.Sprintf("insert into {{tables.t%d}} values ($1, $2)", i)
			_, err := m.Exec(t.Context(), insert, name+" alone", c.arg)
			if err != nil {
				t.Errorf("%s: %T as %s: %v", name, c.arg, c.column, err)
				continue
			}
			b := &pgx.Batch{}
			b.Queue(insert, name+" batch", c.arg)
			testkit.NoError(t, m.SendBatch(t.Context(), b).Close())
			testkit.NoError(t, m.InTx(t.Context(), func(tx *pgdbm.Tx) error {
				return second(tx.Exec(t.Context(), insert, name+" transaction", c.arg))
			}))
		}
	}
	for i, c := range cases {
		type row struct {
			How string
			V   *string
		}
		rows, err := pgdbm.FetchAll[row](t.Context(), usual, fmt.Sprintf("select how, v::text from {{tables.t%d}} order by how = 'the pool''s alone' desc", i))
		testkit.NoError(t, err)
		for _, r := range rows[1:] {
			if want := rows[0].V; (r.V == nil) != (want == nil) || want != nil && *r.V != *want {
				t.Errorf("%T as %s: %s: %s, want %s", c.arg, c.column, r.How, orNull(r.V), orNull(want))
			}
		}
		if len(rows) != 15 {
			t.Errorf("%T as %s: %d rows", c.arg, c.column, len(rows))
		}
	}
}

// everyMode returns managers of a schema, one for each mode.
func everyMode(t testing.TB, pool *pgdbm.Pool, schema string) map[string]*pgdbm.Manager {
	t.Helper()
	all := map[string]*pgdbm.Manager{}
	for name, mode := range map[string]pgx.QueryExecMode{
		"the pool's": 0, "cache_statement": pgx.QueryExecModeCacheStatement, "cache_describe": pgx.QueryExecModeCacheDescribe,
		"exec": pgx.QueryExecModeExec, "simple_protocol": pgx.QueryExecModeSimpleProtocol,
	} {
		m, err := pool.Bind(pgdbm.Binding{Schema: schema, ExecMode: mode})
		testkit.NoError(t, err)
		all[name] = m
	}
	return all
}

// What cannot be known from the argument alone.
func TestArgumentsThatNeedTheirType(t *testing.T) {
	t.Parallel()
	m, err := open(t, pgdbm.Config{}).Bind(pgdbm.Binding{ExecMode: pgx.QueryExecModeExec})
	testkit.NoError(t, err)
	ctx := t.Context()
	exec(t, m, "create table t (j jsonb, n bigint, p point, s text)")
	for column, arg := range map[string]any{
		"j": []string{"a"},
		"n": time.Second,
		"p": address{City: "x"},
	} {
		err := second(m.Exec(ctx, "insert into t ("+column+") values ($1)", arg))
		if !errors.Is(err, pgdbm.ErrInvalid) {
			t.Errorf("%s: %v", column, err)
		}
	}
	testkit.ErrorIs(t, second(m.Exec(ctx, "insert into t (j) values ($1)", []byte(`{}`))), pgdbm.ErrInvalid)
	for _, arg := range []any{make(chan int), func() {}, complex(1, 2), []chan int{nil}, [][]chan int{{nil}}, [][]string{{"a"}, {"b", "c"}}} {
		err := second(m.Exec(ctx, "insert into t (s) values ($1)", arg))
		testkit.ErrorIs(t, err, pgdbm.ErrInvalid)
		testkit.ErrorContains(t, err, "argument $1 cannot be encoded")
	}
	testkit.ErrorIs(t, second(m.Exec(ctx, "insert into t (j) values ($1)", map[string]any{"f": func() {}})), pgdbm.ErrInvalid)
	for _, arg := range []any{map[string]any{"k": secret}, address{City: secret}, []string{secret}, []color{secret}} {
		err := second(m.Exec(ctx, "insert into t (n) values ($1)", arg))
		testkit.ErrorIs(t, err, pgdbm.ErrInvalid)
		if strings.Contains(fmt.Sprintf("%+v", err), secret) {
			t.Errorf("a value is in %v", err)
		}
	}
	exec(t, m, "insert into t (s) values ($1)", []byte("text"))
	got, err := pgdbm.FetchValue[string](ctx, m, "select s from t")
	testkit.NoError(t, err)
	testkit.Equal(t, got, `\x74657874`) // as documented: the bytes in hexadecimal
}

// Types that a program registers are its own in every mode.
func TestRegisteredTypesInEveryMode(t *testing.T) {
	t.Parallel()
	dsn := testkit.ConnString(t)
	exec(t, bind(t, open(t, pgdbm.Config{ConnString: dsn}), ""), "create type place as (city text, tags text[])")
	pool := open(t, pgdbm.Config{ConnString: dsn, AfterConnect: func(ctx context.Context, conn *pgx.Conn) error {
		place, err := conn.LoadType(ctx, "place")
		if err == nil {
			conn.TypeMap().RegisterType(place)
			conn.TypeMap().RegisterDefaultPgType(address{}, "place")
		}
		return err
	}})
	for name, m := range everyMode(t, pool, "app") {
		got, err := pgdbm.FetchValue[string](t.Context(), m, "select $1::place::text", address{City: "a b", Tags: []string{"p"}})
		if err != nil || got != `("a b",{p})` {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func orNull(s *string) string {
	if s == nil {
		return "NULL"
	}
	return *s
}
