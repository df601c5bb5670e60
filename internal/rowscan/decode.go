package rowscan

import (
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Values of common types are decoded here, straight into common Go types, without
// pgx's plans, each of which is made for the statement, found by reflection and
// called through wrappers. A list of 100 rows takes 1.02 to 1.06 times what it does
// by hand, and 1.21 to 1.27 with those plans. Everything else is left to pgx, and so
// is every value that is out of the ordinary (NULL in what cannot hold it, a number
// too large, an infinite time): it knows what to say.
//
// Build with the tag pgdbm_pgxscan to leave everything to pgx.

// decoder decodes the values of a column into a target of one type. It reports
// false for a value that pgx should see, which has not been touched then.
type decoder struct {
	size int // of a value in bytes; 0 for any
	read func(src []byte, target any) bool
}

func (d *decoder) decode(src []byte, target any) bool {
	return (src == nil || d.size == 0 || len(src) == d.size) && d.read(src, target)
}

// decoders are those of the columns of a statement.
type decoders struct {
	list []decoder // without a read function: pgx's
	rest []any     // the targets that are left to pgx, nil for others; nil if none is

	columns []column
	types   []*pgtype.Type // of the distinct types of columns, nil for what pgx does not know
}

// column is what a decoder goes by.
type column struct {
	oid    uint32
	format int16
	first  bool // column of that type: it has the next place in types
}

// newDecoders returns nil if everything is left to pgx.
func newDecoders(rows pgx.Rows, targets []any) *decoders {
	types := rows.TypeMap()
	fields := rows.FieldDescriptions()
	if !decodable(types) || len(fields) != len(targets) {
		return nil
	}
	d := &decoders{list: make([]decoder, len(fields)), columns: make([]column, len(fields))}
	left := 0
	for i := range fields {
		f := &fields[i]
		d.columns[i] = column{oid: f.DataTypeOID, format: f.Format}
		if !slices.ContainsFunc(d.columns[:i], func(c column) bool { return c.oid == f.DataTypeOID }) {
			t, _ := types.TypeForOID(f.DataTypeOID)
			d.columns[i].first, d.types = true, append(d.types, t)
		}
		if d.list[i] = decoderOf(types, f, targets[i]); d.list[i].read == nil {
			left++
		}
	}
	if left == len(fields) {
		return nil
	}
	if left > 0 {
		d.rest = make([]any, len(targets))
		d.leave(targets)
	}
	return d
}

// decodable reports whether nobody but us and pgx has a say in how values are
// scanned.
func decodable(types *pgtype.Map) bool {
	return decoding && types != nil && len(types.TryWrapScanPlanFuncs) == wrappers()
}

// fit reports whether d is what newDecoders would return, targets being of the
// same types as then; it makes d so if they are others.
func (d *decoders) fit(rows pgx.Rows, targets []any) bool {
	if d == nil {
		return false
	}
	types, fields := rows.TypeMap(), rows.FieldDescriptions()
	if !decodable(types) || len(fields) != len(d.columns) || len(targets) != len(fields) {
		return false
	}
	known := 0
	for i := range fields {
		c := &d.columns[i]
		if fields[i].DataTypeOID != c.oid || fields[i].Format != c.format {
			return false
		}
		if c.first { // each connection has types of its own, which may have been replaced
			if t, _ := types.TypeForOID(c.oid); t != d.types[known] {
				return false
			}
			known++
		}
	}
	if d.rest != nil {
		d.leave(targets)
	}
	return true
}

// leave notes the targets that are left to pgx.
func (d *decoders) leave(targets []any) {
	for i := range d.list {
		if d.list[i].read == nil {
			d.rest[i] = targets[i]
		}
	}
}

// scan reads the current row into targets.
func (d *decoders) scan(rows pgx.Rows, targets []any) error {
	if d == nil {
		return rows.Scan(targets...)
	}
	values := rows.RawValues()
	if len(values) != len(d.list) {
		return rows.Scan(targets...)
	}
	for i := range d.list {
		c := &d.list[i]
		if c.read == nil {
			continue
		}
		if !c.decode(values[i], targets[i]) {
			return rows.Scan(targets...)
		}
	}
	if d.rest == nil {
		return nil
	}
	return rows.Scan(d.rest...)
}

// wrappers is the number of wrappers of targets that pgx has by itself. Somebody
// who adds one has a say in how values are scanned.
var wrappers = sync.OnceValue(func() int { return len(pgtype.NewMap().TryWrapScanPlanFuncs) })

// decoderOf returns the decoder of a column, without a function if there is none.
// It goes by the codec, which may have been replaced.
func decoderOf(types *pgtype.Map, field *pgconn.FieldDescription, target any) decoder {
	t, ok := types.TypeForOID(field.DataTypeOID)
	if !ok {
		return decoder{}
	}
	if _, ok := t.Codec.(pgtype.TextCodec); ok { // the same in both formats
		return textDecoder(target)
	}
	if field.Format != pgtype.BinaryFormatCode {
		return decoder{}
	}
	switch codec := t.Codec.(type) {
	case pgtype.Int2Codec:
		return intDecoder(2, target)
	case pgtype.Int4Codec:
		return intDecoder(4, target)
	case pgtype.Int8Codec:
		return intDecoder(8, target)
	case pgtype.Float8Codec:
		return decoderFor(8, target, float8s)
	case pgtype.Float4Codec:
		return decoderFor(4, target, float4s)
	case pgtype.BoolCodec:
		return decoderFor(1, target, booleans)
	case *pgtype.TimestamptzCodec:
		if codec.ScanLocation == nil {
			return decoderFor(8, target, timestamptzs)
		}
	case *pgtype.TimestampCodec:
		if codec.ScanLocation == nil {
			return decoderFor(8, target, timestamps)
		}
	case pgtype.DateCodec:
		return decoderFor(4, target, dates)
	case pgtype.UUIDCodec:
		if d := decoderFor(16, target, uuids); d.read != nil {
			return d
		}
		return uuidDecoder(target)
	case pgtype.ByteaCodec:
		if _, ok := target.(*[]byte); ok {
			return decoder{read: bytea}
		}
	}
	return decoder{}
}

func textDecoder(target any) decoder {
	switch target.(type) {
	case *string:
		return decoder{read: text}
	case **string:
		return decoder{read: textPointer}
	}
	return decoder{}
}

func text(src []byte, target any) bool {
	p, ok := target.(*string)
	if !ok || src == nil {
		return false
	}
	*p = string(src)
	return true
}

func textPointer(src []byte, target any) bool {
	p, ok := target.(**string)
	switch {
	case !ok:
		return false
	case src == nil:
		*p = nil
	default:
		*p = new(string(src))
	}
	return true
}

func bytea(src []byte, target any) bool {
	p, ok := target.(*[]byte)
	switch {
	case !ok:
		return false
	case src == nil:
		*p = nil
	default:
		*p = append(make([]byte, 0, len(src)), src...)
	}
	return true
}

func intDecoder(size int, target any) decoder {
	switch target.(type) {
	case *int64, **int64:
		return decoderFor(size, target, int64s)
	case *int, **int:
		return decoderFor(size, target, ints)
	case *int32, **int32:
		return decoderFor(size, target, int32s)
	case *int16, **int16:
		return decoderFor(size, target, int16s)
	}
	return decoder{}
}

// pair are the functions for a target that is a *V and for one that is a **V. They
// are made once: made for every statement they would be garbage of it.
type pair[V any] struct {
	plain, pointer func(src []byte, target any) bool
}

var (
	ints         = pairOf(integer[int])
	int16s       = pairOf(integer[int16])
	int32s       = pairOf(integer[int32])
	int64s       = pairOf(integer[int64])
	float4s      = pairOf(float4)
	float8s      = pairOf(float8)
	booleans     = pairOf(boolean)
	timestamptzs = pairOf(timestamptz)
	timestamps   = pairOf(timestamp)
	dates        = pairOf(date)
	uuids        = pairOf(uuid)
)

func pairOf[V any](value func([]byte) (V, bool)) pair[V] {
	return pair[V]{
		plain: func(src []byte, target any) bool {
			p, ok := target.(*V)
			if !ok || src == nil {
				return false
			}
			v, ok := value(src)
			if ok {
				*p = v
			}
			return ok
		},
		pointer: func(src []byte, target any) bool {
			p, ok := target.(**V)
			if !ok {
				return false
			}
			if src == nil {
				*p = nil
				return true
			}
			v, ok := value(src)
			if ok {
				*p = new(v)
			}
			return ok
		},
	}
}

func decoderFor[V any](size int, target any, pair pair[V]) decoder {
	switch target.(type) {
	case *V:
		return decoder{size, pair.plain}
	case **V:
		return decoder{size, pair.pointer}
	}
	return decoder{}
}
