package rowscan_test

import (
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/internal/rowscan"
)

// uid is a uuid as the packages of uuids define it.
type uid [16]byte

func (u uid) Value() (driver.Value, error) { return fmt.Sprintf("%x", u[:]), nil }

func (u *uid) Scan(src any) error {
	switch src := src.(type) {
	case nil:
		return nil
	case string:
		id, err := parse(src)
		*u = uid(id)
		return err
	default:
		return fmt.Errorf("cannot scan %T", src)
	}
}

func parse(text string) (id [16]byte, err error) {
	n, err := hex.Decode(id[:], []byte(strings.ReplaceAll(text, "-", "")))
	if err == nil && n != 16 {
		err = errors.New("too short")
	}
	return id, err
}

// swapped has its bytes in the order of Microsoft's GUIDs.
type swapped [16]byte

func (s *swapped) Scan(src any) error {
	text, _ := src.(string)
	id, err := parse(text)
	id[0], id[1], id[2], id[3] = id[3], id[2], id[1], id[0]
	*s = id
	return err
}

// random takes uuids of version 4 only.
type random [16]byte

func (r *random) Scan(src any) error {
	text, _ := src.(string)
	id, err := parse(text)
	if err == nil && id[6]>>4 != 4 {
		return errors.New("not of version 4")
	}
	*r = id
	return err
}

// pgxOwn is what pgx asks first.
type pgxOwn [16]byte

func (p *pgxOwn) Scan(any) error { return errors.New("not for pgx") }

func (p *pgxOwn) ScanUUID(v pgtype.UUID) error { *p = v.Bytes; return nil }

// panics cannot be tried.
type panics [16]byte

func (*panics) Scan(any) error { panic("no") }

// nameless has no Scan of its own.
type nameless [16]byte

// short is no uuid.
type short [15]byte

func (*short) Scan(any) error { return nil }

func TestOwnTypesOfUUIDs(t *testing.T) {
	t.Parallel()
	types := pgtype.NewMap()
	for _, c := range []struct {
		target any
		format int16
		want   bool
	}{
		{new(uid), pgtype.BinaryFormatCode, true},
		{new(*uid), pgtype.BinaryFormatCode, true},
		{new(uid), pgtype.TextFormatCode, false},
		{new(**uid), pgtype.BinaryFormatCode, false},
		{new(swapped), pgtype.BinaryFormatCode, false},
		{new(*swapped), pgtype.BinaryFormatCode, false},
		{new(random), pgtype.BinaryFormatCode, false},
		{new(pgxOwn), pgtype.BinaryFormatCode, false},
		{new(panics), pgtype.BinaryFormatCode, false},
		{new(nameless), pgtype.BinaryFormatCode, false},
		{new(short), pgtype.BinaryFormatCode, false},
		{new(pgtype.UUID), pgtype.BinaryFormatCode, false},
		{new(string), pgtype.BinaryFormatCode, false},
		{new(any), pgtype.BinaryFormatCode, false},
	} {
		if got := rowscan.Decodes(types, pgtype.UUIDOID, c.format, c.target); got != c.want {
			t.Errorf("%T, format %d: decoded here %t, want %t", c.target, c.format, got, c.want)
		}
	}
	if rowscan.Decodes(types, pgtype.TextOID, pgtype.BinaryFormatCode, new(uid)) {
		t.Error("a text is taken for a uuid")
	}
}

func TestOwnUUIDIsCopied(t *testing.T) {
	t.Parallel()
	types := pgtype.NewMap()
	src := []byte("0123456789abcdef")
	plain, pointer := new(uid), new(*uid)
	for _, target := range []any{plain, pointer} {
		if !rowscan.Decode(types, pgtype.UUIDOID, pgtype.BinaryFormatCode, src, target) {
			t.Fatalf("%T is left to pgx", target)
		}
	}
	first := *pointer
	clear(src) // as the driver reads the next row
	if string(plain[:]) != "0123456789abcdef" || string(first[:]) != "0123456789abcdef" {
		t.Errorf("%x and %x are the driver's bytes", plain[:], first[:])
	}
	if rowscan.Decode(types, pgtype.UUIDOID, pgtype.BinaryFormatCode, src, pointer); *pointer == first {
		t.Error("the pointer of the row before is used again")
	}
	if !rowscan.Decode(types, pgtype.UUIDOID, pgtype.BinaryFormatCode, nil, pointer) || *pointer != nil {
		t.Errorf("NULL became %v", *pointer)
	}
	if rowscan.Decode(types, pgtype.UUIDOID, pgtype.BinaryFormatCode, nil, plain) {
		t.Error("NULL is decoded into what pgx should ask")
	}
}

func BenchmarkOwnUUID(b *testing.B) {
	types := pgtype.NewMap()
	src := []byte("0123456789abcdef")
	id := new(uid)
	b.Run("decoded", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rowscan.Decode(types, pgtype.UUIDOID, pgtype.BinaryFormatCode, src, id)
		}
	})
	b.Run("pgx", func(b *testing.B) {
		b.ReportAllocs()
		plan := types.PlanScan(pgtype.UUIDOID, pgtype.BinaryFormatCode, id)
		for b.Loop() {
			if err := plan.Scan(src, id); err != nil {
				b.Fatal(err)
			}
		}
	})
}
