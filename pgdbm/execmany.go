package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// maxBatch is how many statements of ExecMany travel in one round trip: what is
// sent and answered meanwhile is kept in memory.
const maxBatch = 5000

// ExecMany runs one statement for every set of arguments and returns the number
// of rows affected. On a [Manager] all of it happens or nothing; on a [Tx] an
// error aborts the transaction, as any error does.
//
// Up to 5,000 sets are one round trip. More of them are one for each 5,000, on a
// Manager in a transaction. For many rows of one table, arrays (unnest) or
// [DB].CopyFrom are faster still.
//
// The error names the set that failed as argSets[i], without its values.
func ExecMany(ctx context.Context, db DB, sql string, argSets [][]any) (int64, error) {
	for i, args := range argSets {
		if len(args) != len(argSets[0]) {
			return 0, fmt.Errorf("pgdbm: ExecMany: argSets[%d] has %d arguments, argSets[0] has %d", i, len(args), len(argSets[0]))
		}
	}
	if _, inTx := db.(*Tx); inTx || len(argSets) <= maxBatch {
		return execBatches(ctx, db, sql, argSets)
	}
	var affected int64
	err := db.InTx(ctx, func(tx *Tx) (err error) {
		affected, err = execBatches(ctx, tx, sql, argSets)
		return err
	})
	if err != nil {
		return 0, err
	}
	return affected, nil
}

func execBatches(ctx context.Context, db DB, sql string, argSets [][]any) (affected int64, err error) {
	for from := 0; from < len(argSets); from += maxBatch {
		sets := argSets[from:min(from+maxBatch, len(argSets))]
		n, failed, err := execBatch(ctx, db, sql, sets)
		switch {
		case err != nil && failed >= 0:
			return 0, within(fmt.Sprintf("ExecMany: argSets[%d]", from+failed), err)
		case err != nil:
			return 0, within("ExecMany", err)
		}
		affected += n
	}
	return affected, nil
}

// execBatch returns with an error the set that it belongs to, -1 if that is not
// known.
func execBatch(ctx context.Context, db DB, sql string, argSets [][]any) (affected int64, failed int, err error) {
	b := &pgx.Batch{}
	for _, args := range argSets {
		b.Queue(sql, args...)
	}
	results := db.SendBatch(ctx, b)
	for i := range argSets {
		tag, err := results.Exec()
		if err != nil {
			_ = results.Close() // tells the same
			return 0, failedSet(err, i, argSets), err
		}
		affected += tag.RowsAffected()
	}
	return affected, -1, results.Close() // a deferred constraint belongs to no set
}

// failedSet returns the set that an error which came with the result of set i
// belongs to. Only the server's errors come in turn: when a set cannot be encoded
// nothing is sent, and the first result is the error.
func failedSet(err error, i int, argSets [][]any) int {
	early, ok := errors.AsType[pgx.ErrPreprocessingBatch](err)
	switch {
	case ok && sqlState(err) == "":
		return unencodable(early.Error(), argSets)
	case ok: // the statement itself cannot be prepared
		return -1
	case sqlState(err) != "":
		return i
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Err != nil && isEncoding(e.Err.Error()) {
		return unencodable(e.Err.Error(), argSets)
	}
	return -1
}

var encodingOf = regexp.MustCompile(`failed to encode args\[(\d+)\](?s:.*) \(OID (\d+)\)`)

// unencodable returns the first set whose argument cannot be encoded, by what pgx
// says of the argument and its type. pgx does not say which set it was.
func unencodable(message string, argSets [][]any) int {
	match := encodingOf.FindStringSubmatch(message)
	if match == nil {
		return -1
	}
	arg, argErr := strconv.Atoi(match[1])
	oid, oidErr := strconv.ParseUint(match[2], 10, 32)
	types := pgtype.NewMap()
	if _, known := types.TypeForOID(uint32(oid)); !known || argErr != nil || oidErr != nil {
		return -1
	}
	for i, args := range argSets {
		if arg >= len(args) {
			return -1
		}
		_, binary := types.Encode(uint32(oid), pgtype.BinaryFormatCode, args[arg], nil)
		if binary == nil {
			continue
		}
		if _, text := types.Encode(uint32(oid), pgtype.TextFormatCode, args[arg], nil); text != nil {
			return i
		}
	}
	return -1
}
