package repo

import (
	"context"
	"errors"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// How rows travel, by their number: measured, see [Repository.InsertAll].
const (
	maxBatch = 8    // up to here a pipeline of single statements is as fast as anything
	maxChunk = 5000 // rows in one statement whose result is read back
)

// InsertAll stores new rows, all or none, and reads them back in place, as
// [Repository.Insert] does for one. On error they are unchanged.
//
// A few rows are single statements in one round trip; more of them are arrays,
// one for each column, in statements of up to 5,000 rows.
func (r *Repository[T]) InsertAll(ctx context.Context, rows []T) error {
	switch {
	case len(rows) == 0:
		return nil
	case len(rows) == 1:
		return r.Insert(ctx, &rows[0])
	}
	rel, err := r.relation(ctx)
	if err != nil {
		return err
	}
	if len(rows) <= maxBatch {
		return r.outdated(r.insertBatches(ctx, rows, rel.discards))
	}
	chunks, err := r.chunks(rows, rel, maxChunk)
	if errors.Is(err, errNoArray) || errors.Is(err, errNoValue) {
		return r.outdated(r.insertBatches(ctx, rows, rel.discards))
	}
	if err != nil {
		return r.outdated(r.t.wrap(err))
	}
	stored := make([]T, len(rows))
	err = r.atomically(ctx, len(chunks) > 1 || rel.discards, func(r *Repository[T]) error {
		for _, c := range chunks {
			if err := r.insertChunk(ctx, c, rows, stored); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		copy(rows, stored)
	}
	return r.outdated(err)
}

// atomically runs fn in a transaction if it needs one.
func (r *Repository[T]) atomically(ctx context.Context, needed bool, fn func(*Repository[T]) error) error {
	if !needed {
		return fn(r)
	}
	return r.t.wrap(r.db.InTx(ctx, func(tx *pgdbm.Tx) error {
		return fn(r.In(tx))
	}))
}

// insertChunk stores rows of one chunk and notes them as stored.
func (r *Repository[T]) insertChunk(ctx context.Context, c chunk, rows, stored []T) error {
	w := r.t.statement(verbInsertAll)
	c.write(w)
	text, args, err := w.build(r.t)
	if err != nil {
		return err
	}
	result, err := r.db.Query(ctx, text, args...)
	if err != nil {
		return r.t.wrap(err)
	}
	defer result.Close()
	reader, n := r.reader(result), 0
	defer reader.done()
	for ; result.Next(); n++ {
		if n == len(c.rows) {
			return r.t.discarded("InsertAll")
		}
		i := c.rows[n]
		stored[i] = rows[i]
		if err := reader.ScanTo(&stored[i]); err != nil {
			return r.t.scanFailed(err)
		}
	}
	if err := result.Err(); err != nil {
		return r.t.wrap(err)
	}
	if n != len(c.rows) {
		return r.t.discarded("InsertAll")
	}
	return nil
}

func (t *table) discarded(method string) error {
	return t.misuse("%s: the database did not store every row; a trigger or rule discards some", method)
}

// insertBatches stores rows by single statements, many in a round trip.
func (r *Repository[T]) insertBatches(ctx context.Context, rows []T, discards bool) error {
	stored := make([]T, len(rows))
	err := r.atomically(ctx, len(rows) > maxChunk || discards, func(r *Repository[T]) error {
		for from := 0; from < len(rows); from += maxChunk {
			to := min(from+maxChunk, len(rows))
			if err := r.insertBatch(ctx, rows[from:to], stored[from:to]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		copy(rows, stored)
	}
	return err
}

func (r *Repository[T]) insertBatch(ctx context.Context, rows, stored []T) error {
	var b pgx.Batch
	for i := range rows {
		w := r.t.statement(verbInsert)
		if err := r.t.writeRow(w, reflect.ValueOf(&rows[i]).Elem()); err != nil {
			return r.t.wrap(err)
		}
		text, args, err := w.build(r.t)
		if err != nil {
			return err
		}
		stored[i] = rows[i]
		b.Queue(text, args...).Query(func(result pgx.Rows) error {
			if !result.Next() {
				if err := result.Err(); err != nil {
					return err
				}
				return r.t.discarded("InsertAll")
			}
			reader := r.reader(result)
			defer reader.done()
			if err := reader.one(&stored[i]); err != nil {
				return r.t.scanFailed(err)
			}
			return nil
		})
	}
	err := r.db.SendBatch(ctx, &b).Close()
	if ours, ok := errors.AsType[*failure](err); ok {
		return ours
	}
	return r.t.wrap(pgdbm.Classify(err))
}
