package testkit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// format changes when templates of an older version of this package must not be
// used any more.
const format = "1"

// Template says what a test's database contains at first.
type Template struct {
	// Key identifies the contents: everything that Build depends on goes into
	// it, for templates outlive the process. Empty, with a nil Build, is an
	// empty database.
	Key string

	// Build fills the database at connString, once for all tests and
	// processes. It closes all its connections. Nil leaves it empty.
	Build func(ctx context.Context, connString string) error

	// Fresh asks for a database that no other test has used, where a recycled
	// one, proved to be as new, will not do.
	Fresh bool
}

// template is a [Template] on a server, and the databases made from it.
type template struct {
	kit   *kit
	name  string
	hash  int32
	build func(ctx context.Context, connString string) error

	mu    sync.Mutex // while it is made sure that the template exists
	done  bool
	fails error // what Build failed with

	free  stock
	known known
}

// template returns the template of that key, which is built when it is first
// used.
func (k *kit) template(t Template) *template {
	// Locks are those of one database: who works from another has other templates.
	sum := sha256.Sum256([]byte(format + "\x00" + k.server.admin + "\x00" + t.Key))
	name := "pgdbm_tpl_" + hex.EncodeToString(sum[:10])
	k.mu.Lock()
	defer k.mu.Unlock()
	if tpl, ok := k.templates[name]; ok {
		return tpl
	}
	tpl := &template{kit: k, name: name, hash: int32(binary.BigEndian.Uint32(sum[:])), build: t.Build}
	k.templates[name] = tpl
	return tpl
}

// ready makes sure that the template exists. What Build fails with is
// remembered: building again for every test would fail the same way, slowly.
func (t *template) ready(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done || t.fails != nil {
		return t.fails
	}
	if err := t.ensure(ctx); err != nil {
		return err
	}
	t.done = true
	go t.kit.prune(context.WithoutCancel(ctx), t.name)
	return nil
}

// forget makes ready look again.
func (t *template) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = false
}

// ensure builds the template unless some process has done so. All of it runs
// on one connection, under the template's lock.
func (t *template) ensure(ctx context.Context) error {
	if err := t.kit.lease.use(ctx, t.hash); err != nil {
		return err
	}
	conn, err := t.kit.admin.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("pgdbmtest: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1::int4, $2::int4)", lockTemplate, t.hash); err != nil {
		return fmt.Errorf("pgdbmtest: template: %w", err)
	}
	defer func() {
		_, err := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1::int4, $2::int4)", lockTemplate, t.hash)
		if err != nil { // the lock goes with its connection
			_ = conn.Conn().Close(context.WithoutCancel(ctx))
		}
	}()
	note, done, err := t.look(ctx, conn)
	if err != nil {
		return fmt.Errorf("pgdbmtest: template: %w", err)
	}
	if !done {
		if note, err = t.make(ctx, conn, note != ""); err != nil {
			return err
		}
	}
	t.used(ctx, conn, note)
	return nil
}

// look reports whether the template is there and complete, and what was noted
// about it: when its statistics were reset, if it has rows in unlogged tables. A
// crash of the server empties these, and forgets the reset.
func (t *template) look(ctx context.Context, conn *pgxpool.Conn) (note string, done bool, err error) {
	const query = `SELECT coalesce(substring(shobj_description(oid, 'pg_database') from 'unlogged since .*'), ''),
		'unlogged since ' || coalesce(extract(epoch from pg_stat_get_db_stat_reset_time(oid))::text, '')
		FROM pg_database WHERE datname = $1 AND datistemplate`
	var now string
	err = conn.QueryRow(ctx, query, t.name).Scan(&note, &now)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	return note, note == "" || note == now, err
}

// make builds the template and returns what is to be noted about it. Being marked
// as one is the proof that it is complete; what a killed process left half made
// is not.
func (t *template) make(ctx context.Context, conn *pgxpool.Conn, spoilt bool) (note string, err error) {
	if spoilt {
		if _, err := conn.Exec(ctx, "ALTER DATABASE "+t.name+" IS_TEMPLATE false"); err != nil {
			return "", fmt.Errorf("pgdbmtest: template: %w", err)
		}
	}
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+t.name+" WITH (FORCE)"); err != nil {
		return "", fmt.Errorf("pgdbmtest: template: %w", err)
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+t.name+" TEMPLATE template0"+t.kit.strategy()); err != nil {
		return "", fmt.Errorf("pgdbmtest: template: %w", err)
	}
	if note, err = t.fill(ctx, conn); err != nil {
		return "", err
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+t.name+" IS_TEMPLATE true ALLOW_CONNECTIONS false"); err != nil {
		return "", fmt.Errorf("pgdbmtest: template: %w", err)
	}
	return note, nil
}

// fill runs Build. What that fails with is remembered.
func (t *template) fill(ctx context.Context, conn *pgxpool.Conn) (note string, err error) {
	if t.build != nil {
		err = t.build(ctx, t.kit.server.connString(t.name))
	}
	if err != nil {
		_, dropErr := conn.Exec(context.WithoutCancel(ctx), "DROP DATABASE IF EXISTS "+t.name+" WITH (FORCE)")
		if !conn.Conn().IsClosed() { // else it was the server that failed
			t.fails = err
		}
		return "", errors.Join(err, dropErr)
	}
	if note, err = t.unlogged(ctx); err != nil {
		return "", fmt.Errorf("pgdbmtest: template: %w", err)
	}
	if err := left(ctx, conn, t.name, 5*time.Second); err != nil {
		t.fails = fmt.Errorf("pgdbmtest: template: Build has left connections open: %w", err)
		return "", t.fails
	}
	return note, nil
}

// unlogged returns what is to be noted about a template with rows in unlogged
// tables. Only a superuser can tell a crash from another end of the server. That
// somebody connects makes the server's file of catalogs, which every clone has
// then: 6 ms less for its first connection.
func (t *template) unlogged(ctx context.Context) (note string, err error) {
	if !t.kit.super || t.kit.version < 150000 {
		return "", nil
	}
	conn, err := pgx.Connect(ctx, t.kit.server.connString(t.name))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	var rows bool
	const query = "SELECT EXISTS (SELECT FROM pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'm', 'S') AND pg_relation_size(oid) > 0)"
	if err := conn.QueryRow(ctx, query).Scan(&rows); err != nil || !rows {
		return "", err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_stat_reset()"); err != nil {
		return "", err
	}
	const since = `SELECT 'unlogged since ' || extract(epoch from pg_stat_get_db_stat_reset_time(oid))::text FROM pg_database WHERE datname = current_database()`
	err = conn.QueryRow(ctx, since).Scan(&note)
	return note, err
}

// used notes when the template was used last, for prune.
func (t *template) used(ctx context.Context, conn *pgxpool.Conn, note string) {
	comment := "COMMENT ON DATABASE " + t.name + " IS 'last used " + time.Now().UTC().Format(time.RFC3339) + " " + note + "'"
	_, _ = conn.Exec(ctx, comment) // two processes may note it at once: either will do
}

// strategy is the cheapest way to clone: copying files where the two checkpoints
// that it takes cost nothing.
func (k *kit) strategy() string {
	if k.version >= 150000 && !k.synced {
		return " STRATEGY file_copy"
	}
	return ""
}

// clone creates a database from the template and connects to it.
func (t *template) clone(ctx context.Context) (*slot, error) {
	if err := t.kit.lease.hold(ctx); err != nil {
		return nil, err
	}
	s := &slot{tpl: t, name: t.kit.newName()}
	err := t.copyTo(ctx, s.name)
	if err == nil {
		err = s.open(ctx)
	}
	if err != nil {
		t.kit.drops.add(s) //nolint:contextcheck // in the background
		return nil, fmt.Errorf("pgdbmtest: clone: %w", err)
	}
	return s, nil
}

// copyTo creates the database. Somebody who looks at the template just now (a
// monitoring tool, another version of this package) is waited for.
func (t *template) copyTo(ctx context.Context, name string) error {
	for try := 0; ; try++ {
		_, err := t.kit.admin.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+t.name+t.kit.strategy(), pgx.QueryExecModeExec)
		pgErr, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || pgErr.Code != "55006" || try == 3 {
			return err
		}
	}
}

// left waits until no session uses the database.
func left(ctx context.Context, conn *pgxpool.Conn, name string, within time.Duration) error {
	deadline := time.Now().Add(within)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		var sessions int
		err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", name).Scan(&sessions)
		if err != nil {
			return err
		}
		if sessions == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d sessions are still on %s", sessions, name)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
