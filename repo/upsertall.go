package repo

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// UpsertAll stores rows, or updates those with the same values in the columns of
// a unique index, as [Repository.Upsert] does for one: all or none. It returns
// their number and reads nothing back.
//
// Two rows for one place are [pgdbm.ErrConflict], as is a soft-deleted row in
// the way. Everything is one statement with one array for each column; rows that
// leave different auto columns to the database are one each, in a transaction, and
// of two such rows for one place the second updates what the first one stored.
func (r *Repository[T]) UpsertAll(ctx context.Context, rows []T, on ...Target[T]) (int64, error) {
	n, err := r.storeAll(ctx, rows, true, "UpsertAll", func(w *statement) { r.writeUpdateThere(w, on) },
		func(n int64) error {
			switch {
			case n == int64(len(rows)):
				return nil
			case r.t.meta.soft != nil:
				return r.t.absent(r.db, pgdbm.ErrConflict, softInTheWay)
			}
			return r.t.discarded("UpsertAll")
		})
	return n, err
}

// InsertAllMissing stores those of the rows that are not there yet, as
// [Repository.InsertMissing] does for one, and returns their number. It reads
// nothing back: InsertMissing tells which one was stored.
func (r *Repository[T]) InsertAllMissing(ctx context.Context, rows []T, on ...Target[T]) (int64, error) {
	return r.storeAll(ctx, rows, false, "InsertAllMissing", func(w *statement) { r.writeUnlessThere(w, on) },
		func(int64) error { return nil })
}

// storeAll stores rows as arrays; conflict writes what happens to those that are
// there already, and check may refuse the number of those that were stored, if
// all of them are to be.
func (r *Repository[T]) storeAll(ctx context.Context, rows []T, all bool, method string, conflict func(*statement), check func(int64) error) (int64, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	rel, err := r.relation(ctx)
	if err != nil {
		return 0, err
	}
	chunks, err := r.chunks(rows, rel, len(rows))
	if err != nil {
		return 0, r.outdated(r.t.wrap(err))
	}
	var n int64
	err = r.atomically(ctx, len(chunks) > 1 || all && (rel.discards || r.t.meta.soft != nil), func(r *Repository[T]) error {
		for _, c := range chunks {
			stored, err := r.storeChunk(ctx, c, method, conflict)
			if err != nil {
				return err
			}
			n += stored
		}
		return check(n)
	})
	if err != nil {
		return 0, r.outdated(err)
	}
	return n, nil
}

func (r *Repository[T]) storeChunk(ctx context.Context, c chunk, method string, conflict func(*statement)) (int64, error) {
	w := r.t.statement(verbUpsertAll)
	c.write(w)
	conflict(w)
	text, args, err := w.build(r.t)
	if err != nil {
		return 0, err
	}
	tag, err := r.db.Exec(ctx, text, args...)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "21000" {
		return 0, &failure{
			fmt.Sprintf("repo: %s: %s: two of the rows are for the same place in the unique index; keep one of them", r.t.name, method),
			&pgdbm.Error{Class: pgdbm.ErrConflict, Schema: r.db.Schema(), Table: r.t.name, SQL: text, Err: err},
		}
	}
	return tag.RowsAffected(), r.t.wrap(err)
}
