package pgdbm

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// A role, and the guard of a reader, last as long as their transaction. Where that
// is the implicit one of a round trip, a COMMIT ends it before its time, and what
// follows would run as the login, or write: another statement of the batch, or the
// rest of a DO block or a procedure, which may commit unless they are in BEGIN.

// commits reports whether a statement may end the implicit transaction that it
// runs in and then do more.
func commits(sql string) bool {
	first, _ := firstWords(sql)
	return first == "do" || first == "call"
}

// endsTx reports whether a statement ends its transaction.
func endsTx(sql string) bool {
	switch first, second := firstWords(sql); first {
	case "commit", "end", "abort":
		return true
	case "rollback":
		return second != "to"
	case "prepare":
		return second == "transaction"
	}
	return false
}

// firstWords returns the first two words of a statement in lower case, the second
// only where endsTx asks for it.
func firstWords(sql string) (first, second string) {
	for t := range sqllex.Tokens(sql) {
		switch {
		case t.Trivia():
		case first != "":
			second = strings.ToLower(t.Text)
			if second != "work" && second != "transaction" || first == "prepare" { // noise
				return first, second
			}
		default:
			if first = strings.ToLower(t.Text); first != "rollback" && first != "prepare" {
				return first, ""
			}
		}
	}
	return first, second
}

// stays returns why a batch does not stay in one transaction, and whether it only
// does in an explicit one.
func stays(queued []*pgx.QueuedQuery) (begin bool, err error) {
	for i, q := range queued {
		if i < len(queued)-1 && endsTx(q.SQL) {
			return false, fmt.Errorf("pgdbm: SendBatch: statement %d ends the transaction, and what follows would run without its role or limits: leave it out, or send two batches", i+1)
		}
		begin = begin || commits(q.SQL)
	}
	return begin, nil
}

// sendInTx sends a batch in a transaction of by, which ends with its results.
func sendInTx(ctx context.Context, by beginner, opts TxOptions, b *pgx.Batch) pgx.BatchResults {
	tx, err := by.BeginWith(ctx, opts)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	tx.conn.by(tx.binding)
	var own *batchResults
	defer func() {
		if own == nil { // the results, or a panic, say more
			_ = tx.Rollback(ctx)
		}
	}()
	results := tx.conn.sendBatch(ctx, tx.Schema(), b)
	if r, ok := results.(*batchResults); ok {
		own, r.own = r, tx
	}
	return results
}

// queryInTx runs a statement that a batch cannot carry in a transaction of by,
// which ends with its rows.
func queryInTx(ctx context.Context, by beginner, opts TxOptions, text string, args []any) (*rows, error) {
	tx, err := by.BeginWith(ctx, opts)
	if err != nil {
		return failedRows(err), err
	}
	tx.conn.by(tx.binding)
	var own *rows
	defer func() {
		if own == nil { // the error, or a panic, says more
			_ = tx.Rollback(ctx)
		}
	}()
	r, err := tx.conn.query(ctx, tx.Schema(), text, args)
	if err != nil {
		return r, err
	}
	own, r.cancel = r, func() {
		if r.err != nil {
			_ = tx.Rollback(ctx)
			return
		}
		r.err = tx.Commit(ctx)
	}
	return r, nil
}
