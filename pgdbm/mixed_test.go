package pgdbm_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Many clients share two connections of the server and work in six schemas,
// whose tables all look the same. Each row says which schema it belongs to.
func TestManyClientsOnTwoConnections(t *testing.T) {
	t.Parallel()
	for name, migrate := range map[string]bool{"": false, " while a migration adds a column": true} {
		w := newMixed(t)
		begin := time.Now()
		w.run(t, 5000, migrate)
		t.Logf("%d operations%s in %s: %d errors, %d rows of the wrong schema",
			w.done.Load(), name, time.Since(begin).Round(time.Millisecond), w.failed.Load(), w.wrong.Load())
		if w.done.Load() != 5000 || w.failed.Load() > 0 || w.wrong.Load() > 0 {
			t.Error("all of them should have worked")
		}
	}
}

// mixed is a load of all kinds of statements.
type mixed struct {
	managers []*pgdbm.Manager

	done, failed, wrong atomic.Int64
}

func newMixed(t *testing.T) *mixed {
	t.Helper()
	b, direct := bouncer(t, "2")
	setup, w := open(t, pgdbm.Config{ConnString: direct}), &mixed{}
	pool := open(t, pgdbm.Config{ConnString: b.ConnString(), MaxConns: 8})
	for i := range 6 {
		m := bind(t, setup, fmt.Sprintf("shop%d", i))
		exec(t, m, "create table {{tables.items}} (id bigint generated always as identity primary key, owner text not null, n int not null)")
		exec(t, m, "insert into {{tables.items}} (owner, n) select $1, g from generate_series(1, 5) g", m.Schema())
		w.managers = append(w.managers, bind(t, pool, m.Schema()))
	}
	return w
}

// run does n operations with 8 clients; halfway the tables get a column, one
// schema after another.
func (w *mixed) run(t *testing.T, n int64, migrate bool) {
	t.Helper()
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 8 {
		wg.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				m := w.managers[rand.N(len(w.managers))]
				if migrate && i > n/2 && (i-n/2)%50 == 0 && (i-n/2)/50 <= int64(len(w.managers)) {
					m = w.managers[(i-n/2)/50-1]
					exec(t, m, "alter table {{tables.items}} add column added text")
				}
				kind := rand.N(len(operations))
				if err := operations[kind](t.Context(), w, m); err != nil {
					w.failed.Add(1)
					t.Errorf("operation %d in %s: %v", kind, m.Schema(), err)
				}
				w.done.Add(1)
			}
		})
	}
	wg.Wait()
}

// check counts the rows that do not belong to db's schema.
func (w *mixed) check(db pgdbm.DB, owners []string, err error) error {
	for _, owner := range owners {
		if owner != db.Schema() {
			w.wrong.Add(1)
		}
	}
	return err
}

func (w *mixed) checkAll(db pgdbm.DB, rows []map[string]any, err error) error {
	owners := make([]string, len(rows))
	for i, row := range rows {
		owners[i], _ = row["owner"].(string)
	}
	return w.check(db, owners, err)
}

const addItem = "insert into {{tables.items}} (owner, n) values ($1, $2)"

var operations = []func(context.Context, *mixed, *pgdbm.Manager) error{
	func(ctx context.Context, w *mixed, m *pgdbm.Manager) error { // a read
		owners, err := pgdbm.FetchAll[string](ctx, m, "select owner from {{tables.items}} where n <= $1 limit 20", 5)
		return w.check(m, owners, err)
	},
	func(ctx context.Context, w *mixed, m *pgdbm.Manager) error { // what a migration changes
		rows, err := pgdbm.FetchAll[map[string]any](ctx, m, "select * from {{tables.items}} where n = $1 limit 20", 3)
		return w.checkAll(m, rows, err)
	},
	func(ctx context.Context, w *mixed, m *pgdbm.Manager) error { // a write
		return second(m.Exec(ctx, addItem, m.Schema(), 6))
	},
	func(ctx context.Context, w *mixed, m *pgdbm.Manager) error { // a write that reads back
		rows, err := pgdbm.FetchAll[map[string]any](ctx, m, addItem+" returning *", m.Schema(), 7)
		return w.checkAll(m, rows, err)
	},
	func(ctx context.Context, w *mixed, m *pgdbm.Manager) error { // a transaction
		return m.InTxWith(ctx, pgdbm.TxOptions{Attempts: 5}, func(tx *pgdbm.Tx) error {
			if _, err := tx.Exec(ctx, addItem, m.Schema(), 8); err != nil {
				return err
			}
			rows, err := pgdbm.FetchAll[map[string]any](ctx, tx, "select * from {{tables.items}} where n = $1 limit 20", 8)
			return w.checkAll(tx, rows, err)
		})
	},
	func(ctx context.Context, w *mixed, m *pgdbm.Manager) error { // a transaction across two schemas
		other := w.managers[rand.N(len(w.managers))]
		return m.InTx(ctx, func(tx *pgdbm.Tx) error {
			for _, db := range []pgdbm.DB{tx, other.In(tx)} {
				if _, err := db.Exec(ctx, addItem, db.Schema(), 9); err != nil {
					return err
				}
				owners, err := pgdbm.FetchAll[string](ctx, db, "select owner from {{tables.items}} where n = $1 limit 20", 9)
				if err := w.check(db, owners, err); err != nil {
					return err
				}
			}
			return nil
		})
	},
	func(ctx context.Context, w *mixed, m *pgdbm.Manager) error { // SQL that does not qualify its names
		return m.InTxWith(ctx, pgdbm.TxOptions{SearchPath: true}, func(tx *pgdbm.Tx) error {
			owners, err := pgdbm.FetchAll[string](ctx, tx, "select owner from items where n <= $1 limit 20", 5)
			return w.check(tx, owners, err)
		})
	},
	func(ctx context.Context, w *mixed, m *pgdbm.Manager) error { // a batch
		var owners []string
		b := &pgx.Batch{}
		b.Queue(addItem, m.Schema(), 10)
		b.Queue("select owner from {{tables.items}} where n = $1 limit 20", 10).Query(func(rows pgx.Rows) (err error) {
			owners, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		err := m.SendBatch(ctx, b).Close()
		return w.check(m, owners, err)
	},
	func(ctx context.Context, w *mixed, m *pgdbm.Manager) error { // COPY
		_, err := m.CopyFrom(ctx, "items", []string{"owner", "n"}, pgx.CopyFromRows([][]any{{m.Schema(), 11}, {m.Schema(), 12}}))
		return err
	},
	func(ctx context.Context, w *mixed, m *pgdbm.Manager) error { // a change
		return second(m.Exec(ctx, "update {{tables.items}} set n = n where id = $1 and owner = $2", 1+rand.N(5), m.Schema()))
	},
}
