package testkit_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

const everything = `
CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text UNIQUE);
CREATE TABLE b (id serial PRIMARY KEY, a_id bigint REFERENCES a (id));
CREATE TABLE seeded (id int PRIMARY KEY, v text); INSERT INTO seeded VALUES (1, 'one');
CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY); INSERT INTO numbered DEFAULT VALUES;
CREATE SEQUENCE loose START 7;
CREATE SEQUENCE placed; SELECT setval('placed', 100, false);
CREATE SEQUENCE cached CACHE 20;
CREATE UNLOGGED SEQUENCE unlogged_sequence;
CREATE SEQUENCE empty_table; CREATE TABLE "Odd ""name" (id int DEFAULT nextval('empty_table'));
CREATE TABLE p (id int, d date) PARTITION BY RANGE (d);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2030-01-01') TO ('2040-01-01');
CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM a; CREATE UNIQUE INDEX ON mv (count);
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no delete'; END $$;
CREATE TABLE guarded (id int); CREATE TRIGGER g BEFORE DELETE ON guarded FOR EACH ROW EXECUTE FUNCTION trg();
CREATE TABLE ruled (id int); CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE TABLE gone (id int);
CREATE FUNCTION note_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO gone VALUES (OLD.id); RETURN NULL; END $$;
CREATE TABLE noted (id int); CREATE TRIGGER n AFTER DELETE ON noted FOR EACH ROW EXECUTE FUNCTION note_gone();
CREATE TABLE seen (id int);
CREATE FUNCTION note_seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (NEW.id); RETURN NULL; END $$;
CREATE TABLE source (id int); CREATE TRIGGER s AFTER INSERT ON source FOR EACH ROW EXECUTE FUNCTION note_seen();
CREATE TABLE hidden_rows (id int); ALTER TABLE hidden_rows ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden_rows FORCE ROW LEVEL SECURITY;
CREATE TABLE owned_rows (owner text DEFAULT current_setting('app.tenant', true));
CREATE POLICY own ON owned_rows USING (owner = current_setting('app.tenant'));
CREATE UNLOGGED TABLE ul (id int);
CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);
CREATE TABLE deferred (id int PRIMARY KEY, next int REFERENCES deferred DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE cascaded (id int PRIMARY KEY); CREATE TABLE follows (id int REFERENCES cascaded ON DELETE CASCADE);
CREATE TABLE wide (v text); ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE PROCEDURE addrow() LANGUAGE sql AS $$ INSERT INTO a (v) VALUES ('p') $$;
CREATE SCHEMA other; CREATE TABLE other.a (id int);
`

// fingerprint is all that a test could notice of what an earlier one did: rows,
// sequences, the session, and the version of every row of every catalog.
const fingerprint = `SELECT concat_ws(E'\n',
 'rows', (SELECT string_agg(c.oid::regclass || ' ' || query_to_xml(format('SELECT count(*) AS n, md5(string_agg(t::text, $$,$$)) AS r FROM %s t', c.oid::regclass), false, true, ''), E'\n' ORDER BY c.oid)
  FROM pg_class c WHERE c.oid >= 16384 AND c.relkind IN ('r', 'm')),
 'sequences', (SELECT string_agg(s.seqrelid::regclass || ' ' || query_to_xml(format('SELECT last_value, is_called FROM %s', s.seqrelid::regclass), false, true, ''), E'\n' ORDER BY s.seqrelid) FROM pg_sequence s),
 'catalogs', (SELECT string_agg(c.relname || ' ' || query_to_xml(format('SELECT count(*) AS n, sum(t.xmin::text::bigint) AS x FROM pg_catalog.%I t', c.relname), false, true, ''), E'\n' ORDER BY c.oid)
  FROM pg_class c WHERE c.oid < 16384 AND c.relkind = 'r' AND NOT c.relisshared AND c.relnamespace = 'pg_catalog'::regnamespace
   AND (c.relname <> 'pg_statistic' OR NOT current_setting('autovacuum')::bool)),
 'relations', (SELECT string_agg(c.oid::regclass || ' ' || c::text, E'\n' ORDER BY c.oid) FROM pg_class c WHERE c.oid >= 16384),
 'database', (SELECT concat_ws(' ', datdba, encoding, datconnlimit, dattablespace, datacl, shobj_description(oid, 'pg_database')) FROM pg_database WHERE datname = current_database()),
 (SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()),
 (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()), (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()),
 (SELECT count(*) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()),
 'session', (SELECT string_agg(name || '=' || setting, E'\n' ORDER BY name) FROM pg_settings WHERE context IN ('user', 'superuser') AND name NOT LIKE 'plpgsql.%'),
 current_user, session_user, coalesce(current_setting('app.tenant', true), 'no tenant'),
 (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
 (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),
 (SELECT count(*) FROM pg_cursors WHERE name <> ''), (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()))`

const (
	lent     = iota // the test uses the pool through a fixture
	address         // the test opens a connection of its own and closes it
	leaking         // and does not close it
	released        // a lent connection that is never given back
)

// deed is something that a test does to its database.
type deed struct {
	name  string
	sql   []string // "!" before a statement that fails; $db is the database's name
	do    func(conn *pgx.Conn) error
	again bool // the database serves the next test
	how   int
	role  string // which it leaves in the cluster, which is not isolated
}

// recycling does all that to databases, one test after another. Whether a
// database serves the next test or is dropped: the next test must not notice.
func recycling(t *testing.T, deeds []deed) {
	t.Helper()
	recyclingOn(t, openKit(t, map[string]string{"TEST_DB_VERBOSE": "1"}), deeds)
}

// recyclingOn is recycling on a certain server.
func recyclingOn(t *testing.T, k *testkit.Kit, deeds []deed) {
	t.Helper()
	if !k.Recycles() {
		t.Skip("recycling needs PostgreSQL 15 and a superuser")
	}
	tpl := sqlTemplate(t.Name(), everything)
	first := newProbe(t)
	want := look(t, k.New(first, tpl))
	first.end()
	var dropped []string
	prepares := query[bool](t, k.URL(k.Admin()), "SELECT current_setting('max_prepared_transactions')::int > 0")
	for _, c := range deeds {
		if !prepares && slices.ContainsFunc(c.sql, func(sql string) bool { return contains(sql, "PREPARE TRANSACTION") }) {
			continue // the server forbids it
		}
		p := newProbe(t)
		d := k.New(p, tpl)
		giveBack := c.perform(t, d)
		if c.how == leaking || c.how == released {
			defer giveBack()
		} else {
			giveBack()
		}
		p.end()
		if again := !strings.Contains(p.said(), "not used again"); again != c.again {
			t.Errorf("%s: serves the next test: %t, expected %t\n%s", c.name, again, c.again, p.said())
		}
		if !c.again {
			dropped = append(dropped, d.Name())
		}
		if leaks := strings.Contains(p.said(), "still open at the end"); leaks != (c.how == leaking || c.how == released) {
			t.Errorf("%s: reported as leaking: %t\n%s", c.name, leaks, p.said())
		}
		next := newProbe(t)
		if got := look(t, k.New(next, tpl)); got != want {
			t.Errorf("%s: the next test notices\n%s", c.name, differ(got, want))
		}
		next.end()
		if c.role != "" {
			dropRole(t, k, strings.ReplaceAll(c.role, "$db", d.Name()))
		}
	}
	for _, name := range dropped {
		testkit.Eventually(t, name+" is dropped", func() bool { return !exists(t, k, name) })
	}
}

// perform does the deed and returns what gives the connection back.
func (c deed) perform(t *testing.T, d *testkit.Database) (giveBack func()) {
	t.Helper()
	var conn *pgx.Conn
	if c.how == address || c.how == leaking {
		var err error
		conn, err = pgx.Connect(t.Context(), d.ConnString())
		testkit.NoError(t, err)
		giveBack = func() { _ = conn.Close(context.WithoutCancel(t.Context())) }
	} else {
		l, err := d.Lend().Acquire(t.Context())
		testkit.NoError(t, err)
		conn, giveBack = l.Conn(), l.Release
	}
	for _, sql := range c.sql {
		statement, fails := strings.CutPrefix(strings.ReplaceAll(sql, "$db", d.Name()), "!")
		if _, err := conn.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); (err != nil) != fails {
			t.Errorf("%s: %s: %v", c.name, statement, err)
		}
	}
	if c.do != nil {
		if err := c.do(conn); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	return giveBack
}

// look takes the fingerprint, on a lent connection.
func look(t *testing.T, d *testkit.Database) (print string) {
	t.Helper()
	l, err := d.Lend().Acquire(t.Context())
	testkit.NoError(t, err)
	defer l.Release()
	conn := l.Conn()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n, _ := conn.WaitForNotification(ended); n != nil {
		print += "a notification on " + n.Channel + "\n"
	}
	var last int64
	err = conn.QueryRow(t.Context(), "SELECT lastval()", pgx.QueryExecModeSimpleProtocol).Scan(&last)
	if pgErr := new(pgconn.PgError); !asPgError(err, &pgErr) || pgErr.Code != "55000" {
		print += fmt.Sprintf("lastval is %d, %v\n", last, err)
	}
	var rest string
	testkit.NoError(t, conn.QueryRow(t.Context(), fingerprint, pgx.QueryExecModeSimpleProtocol).Scan(&rest))
	return print + rest
}

// differ returns the lines of one text that are not in the other.
func differ(got, want string) string {
	var b strings.Builder
	for _, side := range []struct{ name, text, other string }{{"got ", got, want}, {"want", want, got}} {
		for line := range strings.Lines(side.text) {
			if !strings.Contains(side.other, line) {
				b.WriteString(side.name + "  " + line)
			}
		}
	}
	return b.String()
}
