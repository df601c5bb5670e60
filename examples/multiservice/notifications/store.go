package notifications

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// Store queues notifications and hands them out. It is safe for concurrent use,
// except in a transaction.
type Store struct {
	db            pgdbm.DB
	notifications *repo.Repository[Notification]
}

// NewStore returns a store in db's schema.
func NewStore(db pgdbm.DB) (*Store, error) {
	notifications, err := repo.New[Notification](db, "notifications")
	return &Store{db, notifications}, err
}

// In returns the store in a transaction, whichever module began it.
func (s *Store) In(tx *pgdbm.Tx) *Store {
	return &Store{s.db.In(tx), s.notifications.In(tx)}
}

// Queue stores a message that is to be sent. In a transaction it is sent only
// if that is committed.
func (s *Store) Queue(ctx context.Context, recipient, message string) error {
	return s.notifications.Insert(ctx, &Notification{Recipient: recipient, Message: message})
}

// Pending is what was not sent yet, oldest first.
func (s *Store) Pending() repo.Query[Notification] {
	return s.notifications.Where(sentAt.IsNull()).OrderBy(id.Asc())
}

// Deliver gives up to limit pending notifications to send, oldest first, and
// marks them sent. Any number of workers may call it at the same time, in any
// number of processes: each passes over what another one has in hand.
//
// Those that send refuses stay pending; the error joins its reasons. It holds a
// connection while it works.
func (s *Store) Deliver(ctx context.Context, limit int, send func(context.Context, Notification) error) (sent []Notification, err error) {
	var refused []error
	err = s.db.InTx(ctx, func(tx *pgdbm.Tx) error {
		s := s.In(tx)
		batch, err := s.Pending().Limit(limit).ForUpdate(repo.SkipLocked).All(ctx)
		if err != nil {
			return err
		}
		var ids []int64
		for _, n := range batch {
			if err := send(ctx, n); err != nil {
				refused = append(refused, fmt.Errorf("notification %d: %w", n.ID, err))
				continue
			}
			ids = append(ids, n.ID)
		}
		sent, err = s.notifications.Where(id.In(ids...)).UpdateReturning(ctx, sentAt.SetSQL("now()"))
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(sent, func(a, b Notification) int { return cmp.Compare(a.ID, b.ID) })
	return sent, errors.Join(refused...)
}
