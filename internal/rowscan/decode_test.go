package rowscan_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/internal/rowscan"
)

// decoded are the pairs of types that are decoded without pgx.
var decoded = []struct {
	oids    []uint32
	targets []func() any
}{
	{[]uint32{pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID}, []func() any{
		target[int], target[int16], target[int32], target[int64], target[*int], target[*int16], target[*int32], target[*int64],
	}},
	{[]uint32{pgtype.Float4OID}, []func() any{target[float32], target[*float32]}},
	{[]uint32{pgtype.Float8OID}, []func() any{target[float64], target[*float64]}},
	{[]uint32{pgtype.BoolOID}, []func() any{target[bool], target[*bool]}},
	{[]uint32{pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID}, []func() any{target[string], target[*string]}},
	{[]uint32{pgtype.ByteaOID}, []func() any{target[[]byte]}},
	{[]uint32{pgtype.TimestamptzOID, pgtype.TimestampOID, pgtype.DateOID}, []func() any{target[time.Time], target[*time.Time]}},
	{[]uint32{pgtype.UUIDOID}, []func() any{target[[16]byte], target[*[16]byte], target[uid], target[*uid]}},
}

func target[V any]() any { return new(V) }

// FuzzDecode compares with pgx: what is decoded here is what pgx scans.
func FuzzDecode(f *testing.F) {
	for _, seed := range [][]byte{
		{},
		{1},
		{0},
		{2},
		{0x7f, 0xff},
		{0x80, 0},
		{0, 0, 0, 1},
		{0xff, 0xff, 0xff, 0xff},
		{0x7f, 0xff, 0xff, 0xff},
		{0x80, 0, 0, 0},
		{0, 0, 0, 0, 0, 0, 0, 1},
		{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x80, 0, 0, 0, 0, 0, 0, 0},
		{0xff, 0xff, 0, 0, 0, 0, 0, 7},
		[]byte("0123456789abcdef"), []byte("ü\x00"),
	} {
		f.Add(seed, false)
	}
	f.Add([]byte(nil), true)
	f.Fuzz(func(t *testing.T, src []byte, null bool) {
		t.Parallel()
		types := pgtype.NewMap()
		switch {
		case null:
			src = nil
		case src == nil:
			src = []byte{}
		}
		for _, pair := range decoded {
			for _, oid := range pair.oids {
				for _, target := range pair.targets {
					got, want := target(), target()
					if !rowscan.Decodes(types, oid, pgtype.BinaryFormatCode, got) {
						t.Fatalf("%d into %T is left to pgx", oid, got)
					}
					if !rowscan.Decode(types, oid, pgtype.BinaryFormatCode, src, got) {
						if !reflect.DeepEqual(got, want) {
							t.Errorf("%d %x into %T: left to pgx, but touched: %v", oid, src, got, got)
						}
						continue
					}
					if err := types.Scan(oid, pgtype.BinaryFormatCode, src, want); err != nil {
						t.Errorf("%d %x into %T: pgx says %v", oid, src, got, err)
					} else if !same(got, want) {
						t.Errorf("%d %x into %T: %v, pgx %v", oid, src, got, got, want)
					}
				}
			}
		}
	})
}

// same is reflect.DeepEqual for which NaN is equal to itself.
func same(a, b any) bool {
	if f, ok := a.(*float64); ok && *f != *f {
		g, ok := b.(*float64)
		return ok && *g != *g
	}
	if f, ok := a.(*float32); ok && *f != *f {
		g, ok := b.(*float32)
		return ok && *g != *g
	}
	if p, ok := a.(**float64); ok && *p != nil {
		q, ok := b.(**float64)
		return ok && *q != nil && same(*p, *q)
	}
	if p, ok := a.(**float32); ok && *p != nil {
		q, ok := b.(**float32)
		return ok && *q != nil && same(*p, *q)
	}
	return reflect.DeepEqual(a, b)
}

// Who replaces pgx's notion of a type is not passed over.
func TestDecodersRespectTheTypeMap(t *testing.T) {
	t.Parallel()
	types := pgtype.NewMap()
	at := new(time.Time)
	if !rowscan.Decodes(types, pgtype.TimestamptzOID, pgtype.BinaryFormatCode, at) {
		t.Error("a timestamptz is left to pgx")
	}
	types.RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
	if rowscan.Decodes(types, pgtype.TimestamptzOID, pgtype.BinaryFormatCode, at) {
		t.Error("the location of the codec is passed over")
	}
	if rowscan.Decodes(types, pgtype.Int4OID, pgtype.TextFormatCode, new(int)) {
		t.Error("a text is decoded as binary")
	}
}
