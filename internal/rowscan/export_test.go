package rowscan

import (
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Decodes reports whether there is a decoder for a column.
func Decodes(types *pgtype.Map, oid uint32, format int16, target any) bool {
	return decoderOf(types, &pgconn.FieldDescription{DataTypeOID: oid, Format: format}, target).read != nil
}

// Decode decodes a value, or reports that it is left to pgx.
func Decode(types *pgtype.Map, oid uint32, format int16, src []byte, target any) bool {
	d := decoderOf(types, &pgconn.FieldDescription{DataTypeOID: oid, Format: format}, target)
	return d.decode(src, target)
}
