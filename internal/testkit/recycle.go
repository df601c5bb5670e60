package testkit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Verified recycling: a database serves another test if the server's statistics
// prove that since it was as new nothing but rows of ordinary tables has
// changed, and then those rows are deleted. Whatever cannot be proved, and every
// error, means that the database is dropped.
//
// What the proof rests on: every change of a schema, a function, a grant, a type
// and so on inserts, updates or deletes rows of a system catalog. The server
// counts those, even when they are rolled back, twice: for the relation and for
// its database. So as long as the database's count is the sum of those of the
// template's own relations, no catalog was written, and there are no other
// relations. Counters that were reset show a new reset time; a session flushes
// its counters when it ends or when it is told to, and sessions that are not
// ours are not accepted.
//
// What it cannot see are objects of the whole cluster (roles and their settings,
// tablespaces), a superuser who turned track_counts off in a session of his own,
// and in a session that goes on a setting of the application's own (SET app.x)
// that nothing in the database reads.

// baseline identifies the state of a database that is as new.
type baseline struct {
	oid   uint32
	xmin  string     // of its row in pg_database
	reset *time.Time // of its statistics
}

// forget ends all that a session may carry over to the next test.
const forget = "RESET ALL; SET SESSION AUTHORIZATION DEFAULT; UNLISTEN *; SELECT pg_advisory_unlock_all(); CLOSE ALL; " +
	"DISCARD TEMP; DISCARD SEQUENCES; SELECT pg_stat_force_next_flush()"

const largeTable = 16 << 20 // bytes; a new clone is cheaper than emptying more

// note makes the present state the one to return to, with all counters at zero.
func (s *slot) note(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range []string{"SELECT pg_stat_force_next_flush()", "SELECT pg_stat_reset()"} {
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("baseline: %w", err)
		}
	}
	const query = "SELECT oid, xmin::text, pg_stat_get_db_stat_reset_time(oid) FROM pg_database WHERE datname = current_database()"
	if err := conn.QueryRow(ctx, query, pgx.QueryExecModeSimpleProtocol).Scan(&s.state.oid, &s.state.xmin, &s.state.reset); err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	return nil
}

// reopen gives a database whose address or pool was in a test's hands a new
// name and a new pool: whoever still knows the old ones reaches nothing.
func (s *slot) reopen(ctx context.Context) error {
	const query = "SELECT xmin::text, EXISTS (SELECT FROM pg_prepared_xacts WHERE database = datname) FROM pg_database WHERE datname = $1"
	var xmin string
	var prepared bool
	if err := s.tpl.kit.admin.QueryRow(ctx, query, s.name).Scan(&xmin, &prepared); err != nil {
		return err
	}
	switch {
	case xmin != s.state.xmin:
		return errors.New("the database itself was altered")
	case prepared: // renaming waits 5 s for them, in vain
		return errors.New("prepared transactions are left")
	}
	if err := s.rename(ctx, s.tpl.kit.newName()); err != nil {
		return err
	}
	if err := s.tpl.kit.admin.QueryRow(ctx, query, s.name).Scan(&s.state.xmin, nil); err != nil {
		return err
	}
	return s.connect(ctx)
}

// recycle makes the database as new, or returns why it does not.
func (s *slot) recycle(ctx context.Context) error {
	conns, err := s.sessions(ctx)
	defer func() {
		for _, c := range conns {
			c.Release()
		}
	}()
	if err != nil {
		return err
	}
	conn := conns[0].Conn()
	if err := s.prove(ctx, conn, len(conns)); err != nil {
		return err
	}
	return s.empty(ctx, conn)
}

// sessions returns the pool's connections, each as new, and at least one. Those
// that listened go, for they may have notifications that nobody has read, and
// those that made a setting of their own: it cannot be unmade.
func (s *slot) sessions(ctx context.Context) (kept []*pgxpool.Conn, err error) {
	idle := s.pool.AcquireAllIdle(ctx)
	if len(idle) == 0 {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		idle = append(idle, conn)
	}
	for _, c := range idle {
		conn := c.Conn()
		reusable := false
		if err == nil && len(kept) < keepIdle && !s.facts.stateful {
			reusable, err = clean(ctx, conn, s.facts.settings)
		}
		if reusable {
			kept = append(kept, c)
			continue
		}
		_ = conn.Close(ctx) // the pool notices
		c.Release()
	}
	if err == nil && len(kept) == 0 {
		var conn *pgxpool.Conn
		if conn, err = s.pool.Acquire(ctx); err == nil {
			kept = append(kept, conn)
		}
	}
	return kept, err
}

// clean makes a session as new. It reports false for one that is to be closed,
// which is as good.
func clean(ctx context.Context, conn *pgx.Conn, settings []string) (bool, error) {
	if conn.PgConn().TxStatus() != 'I' {
		return false, errors.New("a transaction was left open")
	}
	if conn.PgConn().ParameterStatus("client_encoding") != "UTF8" { // pgx refuses to go on
		return false, nil
	}
	*conn.TypeMap() = *pgtype.NewMap() // without the types that a test has registered
	clear(conn.PgConn().CustomData())
	if err := conn.DeallocateAll(ctx); err != nil {
		return false, err
	}
	results, err := conn.PgConn().Exec(ctx, state(settings)+forget).ReadAll()
	if err != nil {
		return false, err
	}
	marked, counts := string(results[0].Rows[0][0]) == "t", string(results[0].Rows[0][1]) == "t"
	if !counts {
		return false, errors.New("track_counts was turned off")
	}
	return !marked && !notified(ctx, conn), nil
}

// state returns what is asked of a session before it forgets: whether it listens
// or has one of the settings, and whether it counts.
func state(settings []string) string {
	var b strings.Builder
	b.WriteString("SELECT EXISTS (SELECT FROM pg_listening_channels())")
	for _, name := range settings {
		b.WriteString(" OR current_setting('" + strings.ReplaceAll(name, "'", "''") + "', true) IS NOT NULL")
	}
	b.WriteString(", current_setting('track_counts')::bool; ")
	return b.String()
}

// notified reports whether the driver holds a notification that nobody has read.
func notified(ctx context.Context, conn *pgx.Conn) bool {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	n, _ := conn.WaitForNotification(ended) // it waits for nothing
	return n != nil
}

// outside returns what must be as it was about a database, as seen from another:
// sessions, prepared transactions and replication slots, settings, comments,
// labels and subscriptions, its row, the reset time of its statistics. A session
// that is not there any more has flushed its counters.
const outside = `SELECT pg_stat_get_db_numbackends(d.oid),
 (SELECT count(*) FROM pg_prepared_xact() WHERE dbid = d.oid) + (SELECT count(*) FROM pg_get_replication_slots() WHERE datoid = d.oid),
 (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = d.oid) + (SELECT count(*) FROM pg_subscription WHERE subdbid = d.oid)
  + (SELECT count(*) FROM pg_shdescription WHERE objoid = d.oid AND classoid = 'pg_database'::regclass)
  + (SELECT count(*) FROM pg_shseclabel WHERE objoid = d.oid AND classoid = 'pg_database'::regclass),
 d.xmin::text, pg_stat_get_db_stat_reset_time(d.oid)
 FROM pg_database d WHERE d.oid = $1`

// proof returns the query for what only the database itself knows: how many rows
// were written that are none of the template's tables'; how often those were
// vacuumed or analyzed, which writes to pg_class without being counted; then for
// each table how many rows were written, and its size.
func (f *facts) proof(database uint32) string {
	oids := make([]string, len(f.tables))
	for i, t := range f.tables {
		oids[i] = strconv.FormatUint(uint64(t.oid), 10)
	}
	tables, others := "unnest('{"+strings.Join(oids, ",")+"}'::oid[]) t", "unnest('{"+f.others+"}'::oid[]) t"
	const written = "pg_stat_get_tuples_inserted(t) + pg_stat_get_tuples_updated(t) + pg_stat_get_tuples_deleted(t)"
	const upkeep = "pg_stat_get_vacuum_count(t) + pg_stat_get_analyze_count(t) + pg_stat_get_autovacuum_count(t) + pg_stat_get_autoanalyze_count(t)"
	return fmt.Sprintf(`SELECT pg_stat_get_db_tuples_inserted(%[1]d) + pg_stat_get_db_tuples_updated(%[1]d) + pg_stat_get_db_tuples_deleted(%[1]d)
 - (SELECT coalesce(sum(%[2]s), 0)::bigint FROM %[4]s),
 (SELECT coalesce(sum(u), 0)::bigint FROM (SELECT %[5]s AS u FROM %[3]s UNION ALL SELECT %[5]s FROM %[4]s) s),
 array(SELECT %[2]s FROM %[3]s), array(SELECT pg_relation_size(t) FROM %[3]s)`, database, written, tables, others, upkeep)
}

// prove returns an error unless nothing but rows has changed. It notes which
// tables have rows that a test has made.
func (s *slot) prove(ctx context.Context, conn *pgx.Conn, own int) error {
	if err := s.proveOutside(ctx, own); err != nil {
		return err
	}
	var catalogs, upkeep int64
	var written, sizes []int64
	err := conn.QueryRow(ctx, s.facts.proof(s.state.oid), pgx.QueryExecModeSimpleProtocol).Scan(&catalogs, &upkeep, &written, &sizes)
	if err != nil {
		return err
	}
	for i, t := range s.facts.tables {
		catalogs -= written[i]
		switch {
		case written[i] != 0 && t.seeded:
			return fmt.Errorf("rows of %s are the template's", t.name)
		case written[i] == 0 && !t.seeded && sizes[i] > 0:
			return fmt.Errorf("%s has grown without being counted", t.name)
		case written[i] != 0 && sizes[i] > largeTable:
			return fmt.Errorf("%s is larger than %d MiB", t.name, largeTable>>20)
		case written[i] != 0 && !slices.Contains(s.touched, t.name):
			s.touched = append(s.touched, t.name)
		}
	}
	switch {
	case catalogs != 0:
		return fmt.Errorf("the schema was changed (%d catalog rows)", catalogs)
	case upkeep != 0:
		return errors.New("tables were vacuumed or analyzed")
	}
	return nil
}

func (s *slot) proveOutside(ctx context.Context, own int) error {
	var sessions, transactions, settings int
	var now baseline
	for deadline := time.Now().Add(time.Second); ; { // one that was closed a moment ago may still be on its way out
		err := s.tpl.kit.admin.QueryRow(ctx, outside, s.state.oid).Scan(&sessions, &transactions, &settings, &now.xmin, &now.reset)
		if err != nil {
			return err
		}
		if sessions <= own || time.Now().After(deadline) {
			break
		}
		wait(ctx, time.Millisecond)
	}
	switch {
	case sessions != own:
		return fmt.Errorf("%w: %d sessions, %d of them ours", errLeak, sessions, own)
	case transactions != 0:
		return errors.New("prepared transactions or replication slots are left")
	case settings != 0 || now.xmin != s.state.xmin:
		return errors.New("the database itself was altered")
	case now.reset == nil || s.state.reset == nil || !now.reset.Equal(*s.state.reset):
		return errors.New("its statistics were reset")
	}
	return nil
}

// empty deletes all rows that tests have made and puts the sequences back.
func (s *slot) empty(ctx context.Context, conn *pgx.Conn) error {
	if len(s.touched) == 0 && s.facts.reset == "" {
		return nil
	}
	var b strings.Builder
	b.WriteString("SET session_replication_role = replica;") // no triggers, no foreign keys
	for _, name := range s.touched {                         // every table that ever had rows, whatever the counters say
		b.WriteString("DELETE FROM ONLY " + name + ";")
	}
	b.WriteString(s.facts.reset)
	b.WriteString("SET session_replication_role = DEFAULT;")
	_, err := conn.Exec(ctx, b.String(), pgx.QueryExecModeSimpleProtocol)
	return err
}
