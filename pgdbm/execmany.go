package pgdbm

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ExecMany runs one statement for every set of arguments in a single round trip
// and returns the number of rows affected. On a [Manager] all of it happens or
// nothing.
func ExecMany(ctx context.Context, db DB, sql string, argSets [][]any) (int64, error) {
	if len(argSets) == 0 {
		return 0, nil
	}
	var (
		b        pgx.Batch
		affected int64
	)
	for _, args := range argSets {
		b.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
			affected += tag.RowsAffected()
			return nil
		})
	}
	if err := db.SendBatch(ctx, &b).Close(); err != nil {
		return 0, err
	}
	return affected, nil
}
