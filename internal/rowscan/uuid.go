package rowscan

import (
	"database/sql"
	"encoding/hex"
	"reflect"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"
)

// A uuid comes as 16 bytes. Most packages of uuids have a type of 16 bytes that
// implements sql.Scanner, and to those pgx gives text, which they parse: the text,
// an interface around it, and what the package needs. Where Scan makes the same
// bytes of the text again they are copied instead.

// uuidDecoder returns the decoder of uuids into a type of 16 bytes of the program's
// own, or into a pointer to one; without a function if Scan has to be called.
func uuidDecoder(target any) decoder {
	t := reflect.TypeOf(target).Elem()
	switch {
	case plainUUID(t):
		return decoder{16, ownUUID}
	case t.Kind() == reflect.Pointer && plainUUID(t.Elem()):
		return decoder{16, ownUUIDPointer}
	}
	return decoder{}
}

func ownUUID(src []byte, target any) bool {
	if src == nil { // Scan may make something of it
		return false
	}
	copy(reflect.ValueOf(target).Elem().Bytes(), src)
	return true
}

func ownUUIDPointer(src []byte, target any) bool {
	p := reflect.ValueOf(target).Elem()
	if src == nil {
		p.SetZero()
		return true
	}
	v := reflect.New(p.Type().Elem())
	copy(v.Elem().Bytes(), src)
	p.Set(v)
	return true
}

var plainUUIDs sync.Map // of reflect.Type to bool: what is known of a type never changes

// plainUUID reports whether t is an array of 16 bytes whose Scan takes the text of a
// uuid for these bytes.
func plainUUID(t reflect.Type) bool {
	if t.Kind() != reflect.Array || t.Len() != 16 || t.Elem().Kind() != reflect.Uint8 {
		return false
	}
	known, ok := plainUUIDs.Load(t)
	if !ok {
		known, _ = plainUUIDs.LoadOrStore(t, scansAsItIs(t))
	}
	plain, _ := known.(bool)
	return plain
}

// scansAsItIs tries Scan with a uuid of every version and variant: a type may refuse
// some, or turn bytes around.
func scansAsItIs(t reflect.Type) (same bool) {
	defer func() { same = recover() == nil && same }() // a Scan may panic
	switch reflect.New(t).Interface().(type) {
	case pgtype.UUIDScanner, pgtype.TextScanner: // which pgx prefers
		return false
	case sql.Scanner:
	default:
		return false
	}
	probes := [][16]byte{{}}
	for version := range byte(16) {
		for variant := range byte(8) {
			id := [16]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, version<<4 | 0xc, 0xde, variant<<5 | 0xf, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32}
			probes = append(probes, id)
		}
	}
	for fill := range byte(3) {
		var id [16]byte
		for i := range id {
			id[i] = 0xff - fill
		}
		probes = append(probes, id)
	}
	for _, id := range probes {
		v := reflect.New(t)
		scanner, ok := reflect.TypeAssert[sql.Scanner](v)
		if !ok || scanner.Scan(uuidText(id)) != nil || [16]byte(v.Elem().Bytes()) != id {
			return false
		}
	}
	return true
}

// uuidText returns the text that pgx gives a sql.Scanner.
func uuidText(id [16]byte) string {
	text := make([]byte, 0, 36)
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, part)
	}
	return string(text)
}
