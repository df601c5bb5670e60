package notifications_test

import (
	"context"
	"errors"
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
	"github.com/pgdbm/pgdbm-go/examples/multiservice/notifications"
	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

// setup returns a store with messages to A, B, C and D on a database of the
// test's own.
func setup(t *testing.T) (pgdbm.DB, *notifications.Store) {
	t.Helper()
	db := pgdbmtest.New(t, pgdbmtest.WithModules(notifications.Module))
	store, err := notifications.NewStore(db)
	check.NoError(t, err)
	for _, recipient := range []string{"A", "B", "C", "D"} {
		check.NoError(t, store.Queue(t.Context(), recipient, "hello"))
	}
	return db, store
}

func recipients(rows []notifications.Notification) (out []string) {
	for _, n := range rows {
		out = append(out, n.Recipient)
	}
	return out
}

func pending(t *testing.T, store *notifications.Store) []string {
	t.Helper()
	rows, err := store.Pending().All(t.Context())
	check.NoError(t, err)
	return recipients(rows)
}

func accept(context.Context, notifications.Notification) error { return nil }

func TestMigrationsHaveNoFindings(t *testing.T) {
	t.Parallel()
	source, err := migrations.Load(notifications.Module.Migrations, migrations.LoadOptions{})
	check.NoError(t, err)
	check.Equal(t, len(source.Lint()), 0)
}

func TestDeliverSendsTheOldestOnce(t *testing.T) {
	t.Parallel()
	_, store := setup(t)
	sent, err := store.Deliver(t.Context(), 3, accept)
	check.NoError(t, err)
	check.Equal(t, recipients(sent), []string{"A", "B", "C"})
	if sent[0].SentAt == nil {
		t.Error("not marked as sent")
	}
	check.Equal(t, pending(t, store), []string{"D"})
}

func TestWhatIsRefusedStaysPending(t *testing.T) {
	t.Parallel()
	_, store := setup(t)
	full := errors.New("mailbox full")
	sent, err := store.Deliver(t.Context(), 100, func(_ context.Context, n notifications.Notification) error {
		if n.Recipient == "B" {
			return full
		}
		return nil
	})
	check.ErrorIs(t, err, full)
	check.ErrorContains(t, err, "notification 2: mailbox full")
	check.Equal(t, recipients(sent), []string{"A", "C", "D"})
	check.Equal(t, pending(t, store), []string{"B"})
}

func TestWorkersPassOverEachOther(t *testing.T) {
	t.Parallel()
	_, store := setup(t)
	var others []notifications.Notification
	first := true
	sent, err := store.Deliver(t.Context(), 2, func(ctx context.Context, _ notifications.Notification) (err error) {
		if first { // while A and B are in hand
			first = false
			others, err = store.Deliver(ctx, 100, accept)
		}
		return err
	})
	check.NoError(t, err)
	check.Equal(t, recipients(sent), []string{"A", "B"})
	check.Equal(t, recipients(others), []string{"C", "D"})
}

func TestWhatIsRolledBackIsNeverSent(t *testing.T) {
	t.Parallel()
	db, store := setup(t)
	undo := errors.New("undo")
	err := db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
		check.NoError(t, store.In(tx).Queue(t.Context(), "E", "never"))
		return undo
	})
	check.ErrorIs(t, err, undo)
	check.Equal(t, pending(t, store), []string{"A", "B", "C", "D"})
}
