package pgdbm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Commit ends the transaction, or releases the savepoint. A transaction in which
// nothing was sent has nothing to commit.
//
// Whatever Commit returns, the Tx has ended: a second Commit is an error for
// which errors.Is(err, pgx.ErrTxClosed) is true, and a Rollback does nothing. An
// error of class [ErrCommitUnknown] means that COMMIT was sent and no answer came;
// after every other error nothing of the transaction is stored. Where a statement
// had failed and its error was not returned, Commit's error holds it, with its
// class, and pgx.ErrTxCommitRollback.
func (tx *Tx) Commit(ctx context.Context) error {
	level := tx.level
	switch {
	case level.unusable != nil:
		return level.unusable
	case level.managed:
		return errors.New("pgdbm: InTx commits its transaction itself, when its function returns nil")
	case level.parent == nil && tx.conn.lent:
		return errLent
	}
	return tx.commit(ctx)
}

func (tx *Tx) commit(ctx context.Context) error {
	level := tx.level
	if err := level.check(); err != nil { // of InTx as well: its function may have called Rollback, or Begin
		if errors.Is(err, errInner) {
			return errors.Join(errOpenSavepoint, tx.Rollback(ctx))
		}
		return err
	}
	level.end()
	if tx.conn.over(ctx) {
		return errTxOver
	}
	if level.parent == nil {
		return tx.conn.commit(ctx, tx.binding.Schema)
	}
	err := tx.conn.ready(ctx, tx.binding.Schema)
	if err == nil && level.searchPath != "" {
		_, err = tx.conn.exec(ctx, tx.binding.Schema, setSearchPath, []any{level.searchPath})
	}
	if err == nil {
		err = tx.conn.control(ctx, tx.binding.Schema, "release savepoint "+level.name)
	}
	if err != nil {
		return errors.Join(err, tx.conn.rollbackTo(ctx, tx.binding.Schema, level.name))
	}
	return nil
}

var errOpenSavepoint = errors.New("pgdbm: commit: a savepoint of Begin is still open, so the transaction was rolled back; end it first, by Commit or Rollback")

// Rollback undoes what the transaction, or the savepoint, did. After Commit or
// Rollback it does nothing and returns nil, so that it can be deferred.
//
// It works after ctx has ended: the server is then given 5 seconds to answer
// before the connection is closed, which rolls back as well.
func (tx *Tx) Rollback(ctx context.Context) error {
	level := tx.level
	switch {
	case errors.Is(level.unusable, pgx.ErrTxClosed):
		return nil
	case level.unusable != nil:
		return level.unusable
	case level.parent == nil && tx.conn.lent:
		return errLent
	}
	level.end()
	if tx.conn.over(ctx) {
		return nil
	}
	if level.parent == nil {
		return tx.conn.rollback(ctx, tx.binding.Schema)
	}
	return tx.conn.rollbackTo(ctx, tx.binding.Schema, level.name)
}

// Begin sets a savepoint and returns it as a Tx, which must be ended by Commit
// or Rollback before tx is used again. [Tx.InTx] does that by itself.
func (tx *Tx) Begin(ctx context.Context) (*Tx, error) {
	if err := tx.begin(ctx); err != nil {
		return nil, err
	}
	tx.conn.savepoints++
	inner := &txLevel{parent: tx.level, name: "pgdbm_" + strconv.Itoa(tx.conn.savepoints)}
	if err := tx.conn.control(ctx, tx.binding.Schema, "savepoint "+inner.name); err != nil {
		return nil, err
	}
	tx.level.inner = inner
	return &Tx{conn: tx.conn, binding: tx.binding, level: inner}, nil
}

// ready prepares the end of a level that is to be kept: it ends what still reads,
// and says why there is nothing to keep, where that is so.
func (c *txConn) ready(ctx context.Context, schema string) error {
	if err := c.finish(ctx); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return classify(ctx.Err(), schema, "commit")
	case c.failed || c.tx != nil && (c.status() == 'E' || c.cause != nil && c.tx.Conn().IsClosed()):
		return c.hidden(schema)
	}
	return c.check(schema)
}

// hidden is the error of a COMMIT after a statement whose error was kept secret.
func (c *txConn) hidden(schema string) error {
	if c.cause == nil { // pgx itself was used
		return classify(pgx.ErrTxCommitRollback, schema, "commit")
	}
	return &contextError{what: "commit rolled back, because an error was ignored", err: c.cause, also: pgx.ErrTxCommitRollback}
}

func (c *txConn) commit(ctx context.Context, schema string) error {
	defer c.release()
	if err := c.ready(ctx, schema); err != nil {
		return errors.Join(err, c.rollback(ctx, schema))
	}
	if c.tx == nil {
		return nil
	}
	if lost(c.tx.Conn().PgConn()) {
		return errors.Join(classify(errLost, schema, "commit"), c.rollback(ctx, schema))
	}
	return committed(c.tx.Commit(ctx), schema)
}

// lost reports whether the connection is known to be, which after COMMIT is hard
// to tell from one that breaks then.
func lost(conn *pgconn.PgConn) bool {
	if conn.IsClosed() {
		return true
	}
	if f := fitnessOf(conn); f != nil {
		return f.socket.hungUp()
	}
	return newSocket(conn.Conn()).hungUp()
}

var (
	errLost = fmt.Errorf("the connection was lost before COMMIT was sent: %w", net.ErrClosed)
	errBusy = errors.New("conn busy")
)

// committed says what the end of a COMMIT means.
func committed(err error, schema string) error {
	pg, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case answered && !isFinal(pg):
	case answered, err == nil, errors.Is(err, pgx.ErrTxCommitRollback), errors.Is(err, pgx.ErrTxClosed), unsent(err):
		return classify(err, schema, "commit")
	}
	return &Error{
		Class: ErrCommitUnknown, Schema: schema, SQL: "commit", Err: err,
		Hint: "the transaction is stored whole or not at all; read it back before repeating it",
	}
}

// unsent reports whether err shows that a statement was not sent. SafeToRetry
// alone does not: pgx reports a connection that breaks while it waits for an
// answer as one that was closed beforehand.
func unsent(err error) bool {
	return pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed) ||
		strings.HasPrefix(err.Error(), "failed to deallocate cached statement")
}

// isFinal reports whether an error in answer to COMMIT means that nothing was
// stored. The error of a pooler that lost the server says nothing about that, and
// neither does that of a server that crashes. (A server names the routine.)
func isFinal(pg *pgconn.PgError) bool {
	switch {
	case pg.Code == "40003" || pg.Code == "08007": // by their very definition
		return false
	case pg.Routine == "" && strings.HasPrefix(pg.Code, "08"):
		return false
	case pg.Code == "57P01" || pg.Code == "25P03" || pg.Code == "25P04" || pg.Code == "57P05":
		return pg.Routine != "" // the server ended the session before
	}
	return severity(pg) == "ERROR"
}

func severity(pg *pgconn.PgError) string {
	if pg.SeverityUnlocalized != "" {
		return pg.SeverityUnlocalized
	}
	return pg.Severity
}

func (c *txConn) rollback(ctx context.Context, schema string) error {
	defer c.release()
	if c.tx == nil || c.failed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	c.discard(ctx)
	err := c.tx.Rollback(ctx)
	if errors.Is(err, pgx.ErrTxClosed) || c.tx.Conn().IsClosed() { // there is nothing left to roll back
		return nil
	}
	return classify(err, schema, "rollback")
}

// rollbackTo undoes a savepoint, and releases it: it would stay otherwise, and
// those that follow would nest in it.
func (c *txConn) rollbackTo(ctx context.Context, schema, savepoint string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	c.discard(ctx)
	c.role.vague = true
	_, err := c.tx.Exec(ctx, "rollback to savepoint "+savepoint+"; release savepoint "+savepoint)
	if errors.Is(err, pgx.ErrTxClosed) || c.tx.Conn().IsClosed() {
		return nil
	}
	if err == nil {
		c.cause = nil
	}
	return classify(err, schema, "rollback to savepoint")
}
