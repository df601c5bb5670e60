package pgdbm_test

import (
	"context"
	"database/sql/driver"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// bomb is an argument whose own method panics.
type bomb struct{}

func (bomb) Value() (driver.Value, error) { panic("boom") }

// Whatever an argument's method does, the connection goes back: the pools have one.
func TestPanicOfAnArgumentKeepsNoConnection(t *testing.T) {
	t.Parallel()
	const sql = "select $1::text"
	batch := func() *pgx.Batch {
		b := &pgx.Batch{}
		b.Queue("select 1")
		b.Queue(sql, bomb{})
		return b
	}
	inTx := func(db pgdbm.DB, first bool, fn func(*pgdbm.Tx)) {
		_ = db.InTx(context.Background(), func(tx *pgdbm.Tx) error {
			if !first {
				exec(t, tx, "select 1")
			}
			fn(tx)
			return nil
		})
	}
	for name, send := range map[string]func(ctx context.Context, db pgdbm.DB){
		"Exec":      func(ctx context.Context, db pgdbm.DB) { _, _ = db.Exec(ctx, sql, bomb{}) },
		"Query":     func(ctx context.Context, db pgdbm.DB) { _, _ = db.Query(ctx, sql, bomb{}) }, //nolint:rowserrcheck,sqlclosecheck // it panics
		"QueryRow":  func(ctx context.Context, db pgdbm.DB) { _ = db.QueryRow(ctx, sql, bomb{}) },
		"options":   func(ctx context.Context, db pgdbm.DB) { _ = db.QueryRow(ctx, sql, pgx.QueryExecModeExec, bomb{}) },
		"SendBatch": func(ctx context.Context, db pgdbm.DB) { _ = db.SendBatch(ctx, batch()) },
		"first in a transaction": func(ctx context.Context, db pgdbm.DB) {
			inTx(db, true, func(tx *pgdbm.Tx) { _ = tx.QueryRow(ctx, sql, bomb{}) })
		},
		"in a transaction": func(ctx context.Context, db pgdbm.DB) {
			inTx(db, false, func(tx *pgdbm.Tx) { _ = tx.QueryRow(ctx, sql, bomb{}) })
		},
		"batch first in a transaction": func(ctx context.Context, db pgdbm.DB) {
			inTx(db, true, func(tx *pgdbm.Tx) { _ = tx.SendBatch(ctx, batch()) })
		},
		"batch in a transaction": func(ctx context.Context, db pgdbm.DB) {
			inTx(db, false, func(tx *pgdbm.Tx) { _ = tx.SendBatch(ctx, batch()) })
		},
		"Exec in a savepoint": func(ctx context.Context, db pgdbm.DB) {
			inTx(db, false, func(tx *pgdbm.Tx) { inTx(tx, true, func(tx *pgdbm.Tx) { _, _ = tx.Exec(ctx, sql, bomb{}) }) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			roles := setupRole(t, testkit.ConnString(t))
			roles.MaxConns = 1
			plain := bind(t, open(t, pgdbm.Config{MaxConns: 1}), "app")
			for kind, db := range map[string]pgdbm.DB{"manager": plain, "role": bindRole(t, open(t, roles), "app"), "replica": plain.Replica("")} {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				func() {
					defer cancel()
					defer func() {
						if p := recover(); p == nil && (name != "options" || kind != "replica") { // which refuses them
							t.Errorf("%s: no panic", kind) // in a batch pgx panics itself about it
						}
					}()
					send(ctx, db)
				}()
				ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				one, err := pgdbm.FetchValue[int](ctx, db, "select 1")
				testkit.NoError(t, err)
				testkit.Equal(t, one, 1)
			}
		})
	}
}
