package migrations

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// goTx is the transaction that a Go migration gets. It refuses to be ended, and
// to be used when it has ended all the same: what followed would be committed
// statement by statement.
type goTx struct {
	pgx.Tx
	over      *atomic.Bool // the function has returned
	savepoint bool
}

// check reports why sql cannot be sent.
func (g *goTx) check(sql string) error {
	switch {
	case g.over.Load():
		return fmt.Errorf("migrations: the db of a Go migration must not be used after its function has returned: %w", pgx.ErrTxClosed)
	case g.Conn().PgConn().TxStatus() == 'I' && !g.Conn().PgConn().IsClosed():
		return fmt.Errorf("migrations: %w: it was ended before; nothing runs outside of it", ErrTxControl)
	}
	pieces, _ := sqllex.Split(sql) // the server reports what is never closed
	for _, p := range pieces {
		if verb := controlsTx(significant(p.Text)); verb != "" {
			return refused(verb)
		}
	}
	return nil
}

func refused(verb string) error {
	return fmt.Errorf("migrations: %w: %s is left to the run, which ends the transaction when the function returns", ErrTxControl, verb)
}

// Begin sets a savepoint.
func (g *goTx) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := g.check(""); err != nil {
		return nil, err
	}
	inner, err := g.Tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &goTx{Tx: inner, over: g.over, savepoint: true}, nil
}

// Commit releases a savepoint; the transaction itself stays open.
func (g *goTx) Commit(ctx context.Context) error {
	if !g.savepoint {
		return refused("Commit")
	}
	return g.Tx.Commit(ctx)
}

// Rollback rolls back to a savepoint; the transaction itself stays open.
func (g *goTx) Rollback(ctx context.Context) error {
	if !g.savepoint {
		return refused("Rollback")
	}
	return g.Tx.Rollback(ctx)
}

func (g *goTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := g.check(sql); err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := g.Tx.Exec(ctx, sql, args...)
	if err == nil && changesSchema(sql) {
		err = g.Conn().DeallocateAll(ctx) // a remembered statement would fail after its table has changed
	}
	return tag, err
}

func (g *goTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := g.check(sql); err != nil {
		return pgx.FailedBatchResults(&pgx.Batch{}, err).Query()
	}
	return g.Tx.Query(ctx, sql, args...)
}

func (g *goTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := g.check(sql); err != nil {
		return pgx.FailedBatchResults(&pgx.Batch{}, err).QueryRow()
	}
	return g.Tx.QueryRow(ctx, sql, args...)
}

func (g *goTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	for _, q := range b.QueuedQueries {
		if err := g.check(q.SQL); err != nil {
			return pgx.FailedBatchResults(b, err)
		}
	}
	return g.Tx.SendBatch(ctx, b)
}

func (g *goTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	if err := g.check(""); err != nil {
		return 0, err
	}
	return g.Tx.CopyFrom(ctx, table, columns, src)
}

func (g *goTx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if err := g.check(sql); err != nil {
		return nil, err
	}
	return g.Tx.Prepare(ctx, name, sql)
}

// plain are the verbs of statements that change no tables.
var plain = []string{
	"select", "insert", "update", "delete", "merge", "with", "values", "table", "copy", "lock",
	"savepoint", "release", "rollback", "set", "show", "execute", "fetch", "move", "close", "notify", "explain",
}

// changesSchema reports whether sql may change tables.
func changesSchema(sql string) bool {
	pieces, _ := sqllex.Split(sql)
	return slices.ContainsFunc(pieces, func(p sqllex.Statement) bool {
		return !slices.Contains(plain, significant(p.Text).verb(1))
	})
}

// controlsTx returns the verb of a statement that ends the transaction, or begins
// or prepares one; "" of others.
func controlsTx(t tokens) string {
	verb := t.verb(1)
	switch verb {
	case "begin", "commit", "end", "abort":
	case "start", "prepare":
		if !t.has(1, "transaction") {
			return ""
		}
	case "rollback":
		for _, tok := range t.list[:min(4, len(t.list))] { // ROLLBACK [WORK|TRANSACTION] TO [SAVEPOINT] x
			if tok.Is("to") {
				return ""
			}
		}
	default:
		return ""
	}
	return strings.ToUpper(verb)
}
