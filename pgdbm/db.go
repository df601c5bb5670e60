package pgdbm

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DB is what application code works with: a schema, and a way to run SQL in it.
// A [*Manager] runs each statement on a connection of the pool; a [*Tx] runs
// them in one transaction. The methods are pgx's own, so whatever accepts a
// subset of them (sqlc's DBTX, scany's Querier) accepts a DB.
//
// Every SQL text may use the templates {{schema}}, {{tables.t}} and
// {{tables.module.t}}; see the package documentation. Errors are classified:
// see [Error].
//
// A Manager is safe for concurrent use, a Tx is not.
type DB interface {
	// Exec runs a statement and returns its command tag.
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)

	// Query runs a statement and returns its rows, which hold a connection
	// until they are closed or read to the end. Most errors appear only in
	// Rows.Err.
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)

	// QueryRow runs a statement and returns its first row, which holds a
	// connection until it is scanned. Scan reports ErrNotFound when there is
	// none.
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row

	// SendBatch sends all queued statements in one round trip. The results
	// hold a connection until they are closed. Templates in b are expanded in
	// place; b can be sent once.
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults

	// CopyFrom inserts rows into a table of the bound schema by the COPY
	// protocol and returns their number. The table's name is unqualified.
	CopyFrom(ctx context.Context, table string, columns []string, src pgx.CopyFromSource) (int64, error)

	// InTx runs fn in a transaction: committed when fn returns nil, rolled
	// back when it returns an error, panics, calls runtime.Goexit, or when ctx
	// ends. fn's error is returned as it is. On a Tx it is a savepoint. Nothing
	// is sent before fn's first statement.
	InTx(ctx context.Context, fn func(*Tx) error) error

	// InTxWith is InTx with options: isolation, read-only, search_path. With
	// opts.Attempts above 1, fn runs again when the transaction ends in
	// ErrRetryable, or in ErrUnavailable before COMMIT was sent: nothing of the
	// attempt is stored then, and whatever else fn changed it must be safe to
	// change again.
	//
	// On a Tx it is a savepoint: the transaction must be what opts ask for,
	// otherwise an error says what to ask for where it begins; Attempts is up to
	// who began it, since only a whole transaction can run again.
	InTxWith(ctx context.Context, opts TxOptions, fn func(*Tx) error) error

	// In returns this DB's schema on the connection of tx: a module joins a
	// transaction that another module began. The result is valid as long as tx.
	In(tx *Tx) DB

	// Schema returns the bound schema, "" when none is bound.
	Schema() string
}

var (
	_ DB = (*Manager)(nil)
	_ DB = (*Tx)(nil)
)
