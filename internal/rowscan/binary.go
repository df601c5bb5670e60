package rowscan

import (
	"encoding/binary"
	"math"
	"time"
)

// What follows reads PostgreSQL's binary formats. Each reports false for a value
// that is left to pgx.

func integer[V int | int16 | int32 | int64](src []byte) (V, bool) {
	var n int64
	switch len(src) {
	case 2:
		n = int64(int16(binary.BigEndian.Uint16(src)))
	case 4:
		n = int64(int32(binary.BigEndian.Uint32(src)))
	case 8:
		n = int64(binary.BigEndian.Uint64(src))
	}
	return V(n), int64(V(n)) == n
}

func float8(src []byte) (float64, bool) {
	return math.Float64frombits(binary.BigEndian.Uint64(src)), true
}

func float4(src []byte) (float32, bool) {
	return math.Float32frombits(binary.BigEndian.Uint32(src)), true
}

func boolean(src []byte) (bool, bool) { return src[0] == 1, true }

func uuid(src []byte) ([16]byte, bool) { return [16]byte(src), true }

// Times count from the year 2000. Those that few programs mean, and infinity, are
// out of these bounds.
const (
	year2000 = 946_684_800            // seconds from 1970
	far      = 2000 * 365 * 24 * 3600 // seconds
	farDays  = 2000 * 365
	micro    = int64(time.Second / time.Microsecond)
)

func timestamptz(src []byte) (time.Time, bool) {
	us := int64(binary.BigEndian.Uint64(src))
	return time.Unix(year2000+us/micro, us%micro*1000), us > -far*micro && us < far*micro
}

func timestamp(src []byte) (time.Time, bool) {
	at, ok := timestamptz(src)
	return at.UTC(), ok
}

func date(src []byte) (time.Time, bool) {
	days := int32(binary.BigEndian.Uint32(src))
	return time.Date(2000, 1, 1+int(days), 0, 0, 0, 0, time.UTC), days > -farDays && days < farDays
}
