package pgdbm

import (
	"cmp"
	"context"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// txRole is the role that a transaction's statements run as.
type txRole struct {
	name string // "" for that of the session
	// vague: name may not be true any more, so that the role is sent again.
	vague bool
	// shared: somebody has pgx's transaction, who may change it at any time, if
	// only by going back to a savepoint. It is sent with every statement.
	shared bool
}

// speaks returns the role of who sends the next statement, nil for that of the
// session.
func (c *txConn) speaks() *role {
	if b := cmp.Or(c.speaker, c.holder); b != nil {
		return b.role
	}
	return nil
}

// turns reports whether the next statement needs another role than the one that
// the transaction has. In an adopted transaction every statement does: what its
// owner sends in between is to run as it always did.
func (c *txConn) turns() bool {
	switch {
	case c.pool.roles == nil:
		return false
	case c.lent:
		return c.speaks() != nil
	case c.role.vague, c.role.shared:
		return true
	}
	name := ""
	if r := c.speaks(); r != nil {
		name = r.name
	}
	return name != c.role.name
}

// turn returns the statement that makes the role that of who speaks.
func (c *txConn) turn() string {
	c.role = txRole{shared: c.role.shared}
	r := c.speaks()
	if r == nil {
		return ownRoleOf(c.conn.Conn())
	}
	c.role.name = r.name
	return r.local
}

// take makes the role that of who speaks, where it is another, before sql is
// sent. In an adopted transaction restore is called after it, else it is nil.
//
// That is a round trip: a statement that traveled with the change would be
// prepared before it, by a role that may not know its schema.
func (c *txConn) take(ctx context.Context, schema, sql string) (restore func() error, err error) {
	switch {
	case !c.turns():
		return nil, nil
	case !c.lent:
		return nil, c.change(ctx, schema, c.turn())
	case savepoint(sql): // which would bring our role back later
		return nil, nil
	}
	if err := c.change(ctx, schema, keepRole+c.speaks().local); err != nil {
		return nil, err
	}
	return func() error {
		if c.tx.Conn().IsClosed() || c.status() != 'T' { // the role goes with what was aborted
			return nil
		}
		// Whatever became of ctx: the transaction goes on without it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		return c.change(ctx, schema, restoreRole)
	}, nil
}

func (c *txConn) change(ctx context.Context, schema, sql string) error {
	_, err := c.tx.Exec(ctx, sql)
	return c.fail(&statement{ctx: ctx, schema: schema, sql: sql}, err)
}

// execTurned runs a statement, or several of one text, after a change of role.
func (c *txConn) execTurned(ctx context.Context, schema, sql string, args []any) (pgconn.CommandTag, error) {
	restore, err := c.take(ctx, schema, sql)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := c.execPlain(ctx, schema, sql, args)
	if restore != nil {
		err = cmp.Or(err, restore())
	}
	return tag, err
}

// control runs a statement that ends or sets a savepoint. It runs as whoever was
// last: an adopted transaction would go back to our role with the savepoint
// otherwise.
func (c *txConn) control(ctx context.Context, schema, sql string) error {
	if err := c.check(schema); err != nil {
		return err
	}
	_, err := c.tx.Exec(ctx, sql)
	return c.fail(&statement{ctx: ctx, schema: schema, sql: sql}, err)
}

// saw notes the tag of a statement of somebody's who may have changed the role.
func (c *txConn) saw(tag pgconn.CommandTag) {
	if c.pool.roles == nil {
		return
	}
	switch tag.String() {
	case "COMMIT", "ROLLBACK", "SET", "RESET": // COMMIT AND CHAIN goes on
		c.role.vague = true
	}
}

// savepoint reports whether sql sets or ends a savepoint by itself.
func savepoint(sql string) bool {
	for t := range sqllex.Tokens(sql) {
		if t.Trivia() {
			continue
		}
		switch strings.ToLower(t.Text) {
		case "savepoint", "release", "rollback":
			return true
		}
		return false
	}
	return false
}
