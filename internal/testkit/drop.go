package testkit

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxDrops is how many databases may wait to be dropped. Whoever adds one more
// drops it himself: tests must not make databases faster than they go.
const maxDrops = 16

// dropper drops databases in the background, one at a time, so that hardly any
// test waits for it. What is left when the process ends the next one sweeps.
type dropper struct {
	kit *kit

	mu      sync.Mutex
	queue   []*slot
	running bool
}

func (d *dropper) add(s *slot) {
	d.mu.Lock()
	full := len(d.queue) >= maxDrops
	if !full {
		d.queue = append(d.queue, s)
		if !d.running {
			d.running = true
			go d.run()
		}
	}
	d.mu.Unlock()
	if full {
		d.drop(s)
	}
}

func (d *dropper) run() {
	for {
		d.mu.Lock()
		if len(d.queue) == 0 {
			d.running = false
			d.mu.Unlock()
			return
		}
		s := d.queue[0]
		d.queue = d.queue[1:]
		d.mu.Unlock()
		d.drop(s)
	}
}

func (d *dropper) drop(s *slot) {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	s.close(ctx)
	_ = d.kit.drop(ctx, s.name) // the next sweep tries again
}

// drop removes a database, whatever is going on in it. It waits a little for
// the sessions to leave: DROP DATABASE itself waits in steps of 100 ms.
func (k *kit) drop(ctx context.Context, name string) error {
	conn, err := k.admin.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := left(ctx, conn, name, 200*time.Millisecond); err != nil {
		if err := k.evict(ctx, conn, name); err != nil {
			return err
		}
	}
	if err := k.release(ctx, conn, name); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)", pgx.QueryExecModeExec)
	return err
}

// evict ends all sessions on a database.
func (k *kit) evict(ctx context.Context, conn *pgxpool.Conn, name string) error {
	_, err := conn.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
	if err != nil {
		return err
	}
	return left(ctx, conn, name, 5*time.Second)
}

// release removes what would forbid to drop the database: replication slots,
// prepared transactions and subscriptions. The last two go only from inside.
func (k *kit) release(ctx context.Context, conn *pgxpool.Conn, name string) error {
	if _, err := conn.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1", name); err != nil {
		return err
	}
	_, err := k.within(ctx, conn, name, prepared+" UNION ALL "+subscriptions)
	return err
}

const (
	prepared      = "SELECT 'ROLLBACK PREPARED ' || quote_literal(gid) FROM pg_prepared_xacts WHERE database = $1"
	subscriptions = `SELECT format('ALTER SUBSCRIPTION %1$I DISABLE; ALTER SUBSCRIPTION %1$I SET (slot_name = NONE); DROP SUBSCRIPTION %1$I', subname)
		FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = $1)`
)

// within runs in the database what a query with its name returns, and says how
// many statements those were.
func (k *kit) within(ctx context.Context, conn *pgxpool.Conn, name, query string) (int, error) {
	rows, err := conn.Query(ctx, query, name)
	if err != nil {
		return 0, err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(statements) == 0 {
		return 0, err
	}
	inside, err := pgx.Connect(ctx, k.server.connString(name))
	if err != nil {
		return 0, err
	}
	defer inside.Close(ctx) //nolint:errcheck // nothing is lost with it
	for _, statement := range statements {
		if _, err := inside.Exec(ctx, statement); err != nil {
			return 0, err
		}
	}
	return len(statements), nil
}
