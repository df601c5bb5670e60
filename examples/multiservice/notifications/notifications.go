// Package notifications keeps what customers are to be told until they have
// been. It is a module: its own schema, a store that works in main, in fx and
// in a test, and its endpoints.
package notifications

import (
	"embed"
	"time"

	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/repo"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Module is the data of this service.
var Module = module.Module{Name: "notifications", Migrations: module.Sub(migrations, "migrations")}

// Notification is a message to a customer.
type Notification struct {
	ID        int64      `db:"id,key,auto" json:"id"`
	Recipient string     `db:"recipient" json:"recipient"` // the id of a customer
	Message   string     `db:"message" json:"message"`
	CreatedAt time.Time  `db:"created_at,auto" json:"created_at"`
	SentAt    *time.Time `db:"sent_at" json:"sent_at"` // nil while it is pending
}

var (
	id     = repo.Col(func(n *Notification) *int64 { return &n.ID })
	sentAt = repo.Col(func(n *Notification) **time.Time { return &n.SentAt })
)
