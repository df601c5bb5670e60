package pgdbm

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

const (
	maxPayload    = 7999 // bytes of a notification's payload: PostgreSQL's limit
	maxIdentifier = 63   // PostgreSQL's NAMEDATALEN - 1
)

// Notify sends a notification to whoever listens on a channel of db's schema; see
// [Manager.Listen]. In a transaction it is sent when that is committed, and equal
// ones are sent once. A trigger of the schema app sends the same with
// pg_notify('app.channel', payload).
//
// A payload may have 7,999 bytes; a longer one is [ErrInvalid]. The usual one is a
// key: what it stands for is read from its table.
func Notify(ctx context.Context, db DB, channel, payload string) error {
	if db.Schema() != "" && strings.Contains(channel, ".") {
		return fmt.Errorf("pgdbm: Notify: channel %q: notify on a channel of the bound schema, without a dot", channel)
	}
	name, err := (&Binding{Schema: db.Schema()}).channel(channel)
	if err != nil {
		return within("Notify", err)
	}
	if len(payload) > maxPayload {
		return within("Notify", &Error{
			Class: ErrInvalid, Schema: db.Schema(),
			Hint: fmt.Sprintf("the payload has %d bytes, of which %d fit; store it and send its key", len(payload), maxPayload),
		})
	}
	_, err = db.Exec(ctx, "select pg_notify($1, $2)", name, payload)
	return err
}

// channel returns the server's name of a channel. It is named as a table is: on
// its own in the bound schema, after its module's name in that module's. Without
// a bound schema it is the server's name already.
func (b *Binding) channel(name string) (string, error) {
	full := name
	if b.Schema != "" {
		module, own, found := strings.Cut(name, ".")
		if !found {
			module, own = "", name
		}
		if !sqltmpl.ValidName(own) || found && !sqltmpl.ValidName(module) {
			return "", fmt.Errorf("pgdbm: channel %q: a name is a letter or _ followed by letters, digits or _, and a module's name with a dot may stand before it", name)
		}
		schema, ok := b.find(sqltmpl.Ref{Kind: sqltmpl.Table, Module: module, Name: own})
		if !ok {
			return "", b.undeclared(fmt.Sprintf("channel %q", name), module, func(module string) string { return module + "." + own })
		}
		full = own
		if schema != "" {
			full = schema + "." + own
		}
	}
	if full == "" || len(full) > maxIdentifier || strings.ContainsRune(full, 0) {
		return "", fmt.Errorf("pgdbm: channel %q: the server's name %q has %d bytes, of which 1 to %d are possible", name, full, len(full), maxIdentifier)
	}
	return full, nil
}
