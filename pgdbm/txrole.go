package pgdbm

import (
	"cmp"
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// txRole is the role that a transaction's statements run as.
type txRole struct {
	name string // "" for that of the session
	// vague: name may not be true any more, so that the role is sent again.
	vague bool
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
// the transaction has. In an adopted transaction every statement does, since
// what its owner sends in between runs as before.
func (c *txConn) turns() bool {
	switch {
	case c.pool.roles == nil:
		return false
	case c.lent:
		return c.speaks() != nil
	case c.role.vague:
		return true
	}
	name := ""
	if r := c.speaks(); r != nil {
		name = r.name
	}
	return name != c.role.name
}

// turn returns what must be sent before and after a statement, for it to run as
// who sends it.
func (c *txConn) turn() (before, after []*pgx.QueuedQuery) {
	r := c.speaks()
	switch {
	case c.lent:
		return []*pgx.QueuedQuery{{SQL: keepRole}, {SQL: r.local}}, []*pgx.QueuedQuery{{SQL: restoreRole}}
	case r == nil:
		c.role.name, c.role.vague = "", false
		return []*pgx.QueuedQuery{{SQL: ownRole}}, nil
	default:
		c.role.name, c.role.vague = r.name, false
		return []*pgx.QueuedQuery{{SQL: r.local}}, nil
	}
}

// take makes the transaction's role that of who speaks, in a round trip of its
// own: a statement that travels with the change would be prepared before it, by a
// role that may not know its schema. The returned function ends that where it must
// end, nil where it need not.
func (c *txConn) take(ctx context.Context, schema string) (restore func() error, err error) {
	if !c.turns() {
		return nil, nil
	}
	before, after := c.turn()
	if err := c.sendNow(ctx, schema, before); err != nil || len(after) == 0 {
		return nil, err
	}
	return func() error {
		if c.status() != 'T' { // the role goes with what was aborted
			return nil
		}
		return c.sendNow(ctx, schema, after)
	}, nil
}

func (c *txConn) sendNow(ctx context.Context, schema string, queued []*pgx.QueuedQuery) error {
	var err error
	if len(queued) == 1 { // with nothing to be prepared
		_, err = c.tx.Exec(ctx, queued[0].SQL)
	} else {
		err = c.tx.SendBatch(ctx, &pgx.Batch{QueuedQueries: queued}).Close()
	}
	return c.fail(&statement{ctx: ctx, schema: schema, sql: "set role"}, err)
}

// execTurned runs a statement, or several of one text, after a change of role.
func (c *txConn) execTurned(ctx context.Context, schema, sql string, args []any) (pgconn.CommandTag, error) {
	restore, err := c.take(ctx, schema)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := c.execPlain(ctx, schema, sql, args)
	if err == nil && restore != nil {
		err = restore()
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
	case "ROLLBACK", "SET", "RESET", "DISCARD ALL":
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
