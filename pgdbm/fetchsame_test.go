package pgdbm_test

import (
	"database/sql"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// reader reads the first column of rows in both ways.
type reader struct {
	typ  reflect.Type
	ours func(t *testing.T, db pgdbm.DB, sql string) (any, error)
	pgx  func(t *testing.T, db pgdbm.DB, sql string) (any, error)
}

func readerOf[V any]() reader {
	type one struct{ V V }
	return reader{
		typ: reflect.TypeFor[V](),
		ours: func(t *testing.T, db pgdbm.DB, sql string) (any, error) {
			t.Helper()
			list, err := pgdbm.FetchAll[one](t.Context(), db, sql)
			out := make([]V, 0, 4)
			for _, row := range list {
				out = append(out, row.V)
			}
			return out, err
		},
		pgx: func(t *testing.T, db pgdbm.DB, sql string) (any, error) {
			t.Helper()
			rows, err := db.Query(t.Context(), sql)
			if err != nil {
				return nil, err
			}
			defer rows.Close()
			out := make([]V, 0, 4)
			for rows.Next() {
				var v V
				if err := rows.Scan(&v); err != nil {
					return nil, err
				}
				out = append(out, v)
			}
			return out, rows.Err()
		},
	}
}

type (
	ownInt   int32
	ownText  string
	ownBytes []byte
	ownFloat float64
	ownBool  bool
)

// What is read of any value into any type is what pgx reads: the same value, or an
// error where pgx has one.
func TestFetchReadsWhatPgxReads(t *testing.T) {
	t.Parallel()
	values := []string{
		"1::int2 | -32768", "40000::int4 | -1 | 2147483647", "9223372036854775807::int8 | 3000000000 | 7", "5::oid | 4294967295", "null::int4 | 1",
		"1.5::float4 | 'NaN' | '-infinity' | 16777216", "1e300::float8 | '-0' | 'infinity' | 3", "null::float8 | 1", "true | false", "null::bool | true",
		"1.25::numeric | 'NaN' | 1e30 | 7", "'infinity'::numeric", "null::numeric | 1", "'12.34'::money",
		"'x'::text | '' | 'true' | '12' | '2024-01-02'", "'x'::varchar(3) | 'abc'", "'x'::char(3) | 'abc'", "'x'::\"char\" | 'y'", "'n'::name | 'nn'", "null::text | 'x'",
		"'AbC'::citext", "'a@b'::app.email", "'happy'::app.mood | 'sad'", "null::app.mood | 'sad'", "7::app.small | null",
		"'a'::bytea | '' | '\\x00ff' | '12'", "null::bytea | 'x'",
		"'2024-01-02 03:04:05.123456+02'::timestamptz | '0044-03-15 BC' | '12345-01-01' | '4713-01-01 BC' | '294276-12-31'", "'infinity'::timestamptz",
		"'2024-01-02 03:04:05.123456'::timestamp | '0044-03-15 BC'", "'-infinity'::timestamp", "null::timestamptz | '2024-01-02'",
		"'2024-02-29'::date | '0044-03-15 BC' | '12345-01-01' | '4713-01-01 BC' | '5874897-12-31'", "'infinity'::date", "'03:04:05.123456'::time | '24:00:00'", "'03:04:05+02'::timetz", "'1 day 02:03:04'::interval | '1 hour'", "'1 mon'::interval",
		"'00000000-0000-0000-0000-000000000000'::uuid | 'ffeeddcc-bbaa-9988-7766-554433221100'", "null::uuid | 'ffeeddcc-bbaa-9988-7766-554433221100'",
		"'{\"a\":1}'::jsonb | 'null' | '12' | '\"x\"'", "'{\"a\":1}'::jsonb | '{\"b\":2}'", "'{\"a\":1}'::json | '[1]'", "null::jsonb | '{}'", "'\"2024-01-02T00:00:00Z\"'::jsonb", "'[1, 2]'::jsonb",
		"'{1,2}'::int4[] | '{}'", "'{1,null}'::int4[]", "'{a,null}'::text[]", "'{{1,2},{3,4}}'::int8[]", "'{x}'::name[]", "null::int4[] | '{1}'", "'{happy}'::app.mood[] | null", "'{sad,null}'::app.mood[]",
		"'10.0.0.1'::inet | '10.0.0.0/8'", "'10.0.0.0/8'::cidr | '::/0'", "'08:00:2b:01:02:03'::macaddr", "'[1,5)'::int4range | 'empty'", "'{[1,2]}'::int4multirange", "'(1,2)'::point",
		"B'101'::bit(3)", "B'101'::varbit | B'1'", "'a b'::tsvector", "'<a/>'::xml", "'a=>1'::hstore | null",
	}
	readers := []reader{
		readerOf[int](), readerOf[int8](), readerOf[int16](), readerOf[int32](), readerOf[int64](), readerOf[uint](), readerOf[uint8](), readerOf[uint16](), readerOf[uint32](), readerOf[uint64](),
		readerOf[*int](), readerOf[*int16](), readerOf[*int32](), readerOf[*int64](), readerOf[**int](), readerOf[float32](), readerOf[float64](), readerOf[*float64](), readerOf[*float32](), readerOf[bool](), readerOf[*bool](),
		readerOf[string](), readerOf[*string](), readerOf[**string](), readerOf[[]byte](), readerOf[*[]byte](), readerOf[sql.RawBytes](), readerOf[time.Time](), readerOf[*time.Time](), readerOf[time.Duration](), readerOf[[16]byte](), readerOf[*[16]byte](),
		readerOf[any](), readerOf[map[string]any](), readerOf[[]int](), readerOf[[]int32](), readerOf[[]*int](), readerOf[[]string](), readerOf[[]*string](), readerOf[[][]int64](), readerOf[netip.Addr](), readerOf[netip.Prefix](),
		readerOf[ownInt](), readerOf[ownText](), readerOf[*ownText](), readerOf[ownBytes](), readerOf[ownFloat](), readerOf[ownBool](), readerOf[*ownInt](), readerOf[sql.NullString](), readerOf[sql.NullInt64](), readerOf[sql.NullTime](),
		readerOf[sql.Null[int32]](), readerOf[pgtype.Text](), readerOf[pgtype.Int4](), readerOf[pgtype.Int8](), readerOf[pgtype.Numeric](), readerOf[pgtype.Timestamptz](), readerOf[pgtype.Date](), readerOf[pgtype.UUID](), readerOf[pgtype.Interval](),
		readerOf[pgtype.Time](), readerOf[pgtype.Bool](), readerOf[pgtype.Float8](), readerOf[pgtype.Bits](), readerOf[pgtype.Point](), readerOf[pgtype.Range[pgtype.Int4]](), readerOf[pgtype.Multirange[pgtype.Range[pgtype.Int4]]](),
		readerOf[pgtype.Hstore](), readerOf[pgtype.Array[int32]](), readerOf[pgtype.FlatArray[string]](),
	}
	for _, mode := range []string{"cache_statement", "exec"} { // binary and text
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db := bind(t, open(t, pgdbm.Config{ConnString: withParam(testkit.ConnString(t), "default_query_exec_mode", mode)}), "app")
			exec(t, db, "create extension citext schema public")
			exec(t, db, "create extension hstore schema public")
			exec(t, db, "create type app.mood as enum ('sad', 'happy')")
			exec(t, db, "create domain app.email as text")
			exec(t, db, "create domain app.small as int2")
			for _, list := range values {
				// one statement with all of the values as rows
				query := "select v from (values (" + strings.ReplaceAll(list, " | ", "), (") + ")) x (v)"
				for _, r := range readers {
					got, gotErr := r.ours(t, db, query)
					want, wantErr := r.pgx(t, db, query)
					if (gotErr == nil) != (wantErr == nil) {
						t.Errorf("%s into %s: %v, %v; pgx %v, %v", list, r.typ, got, gotErr, want, wantErr)
					} else if gotErr == nil && !alike(got, want) {
						t.Errorf("%s into %s: %#v; pgx %#v", list, r.typ, got, want)
					}
				}
			}
		})
	}
}

// alike is reflect.DeepEqual for which NaN is equal to itself, and 0 not to -0.
func alike(a, b any) bool { return alikeValues(reflect.ValueOf(a), reflect.ValueOf(b)) }

func alikeValues(a, b reflect.Value) bool {
	if a.IsValid() != b.IsValid() || a.IsValid() && a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Float32, reflect.Float64:
		return math.IsNaN(a.Float()) && math.IsNaN(b.Float()) || math.Float64bits(a.Float()) == math.Float64bits(b.Float())
	case reflect.Pointer, reflect.Interface:
		return alikeValues(a.Elem(), b.Elem())
	case reflect.Slice:
		for i := range min(a.Len(), b.Len()) {
			if !alikeValues(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return a.Len() == b.Len() && a.IsNil() == b.IsNil()
	case reflect.Struct:
		if f, ok := reflect.TypeAssert[pgtype.Float8](a); ok {
			g, _ := reflect.TypeAssert[pgtype.Float8](b)
			return f.Valid == g.Valid && alike(f.Float64, g.Float64)
		}
	}
	return !a.IsValid() || reflect.DeepEqual(a.Interface(), b.Interface())
}
