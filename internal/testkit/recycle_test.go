package testkit_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

const everything = `
CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text UNIQUE);
CREATE TABLE b (id serial PRIMARY KEY, a_id bigint REFERENCES a (id));
CREATE TABLE seeded (id int PRIMARY KEY, v text); INSERT INTO seeded VALUES (1, 'one');
CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY); INSERT INTO numbered DEFAULT VALUES;
CREATE SEQUENCE loose START 7;
CREATE SEQUENCE placed; SELECT setval('placed', 100, false);
CREATE SEQUENCE empty_table; CREATE TABLE "Odd ""name" (id int DEFAULT nextval('empty_table'));
CREATE TABLE p (id int, d date) PARTITION BY RANGE (d);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM a;
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no delete'; END $$;
CREATE TABLE guarded (id int); CREATE TRIGGER g BEFORE DELETE ON guarded FOR EACH ROW EXECUTE FUNCTION trg();
CREATE TABLE ruled (id int); CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE TABLE hidden_rows (id int); ALTER TABLE hidden_rows ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden_rows FORCE ROW LEVEL SECURITY;
CREATE UNLOGGED TABLE ul (id int);
CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);
CREATE PROCEDURE addrow() LANGUAGE sql AS $$ INSERT INTO a (v) VALUES ('p') $$;
CREATE SCHEMA other; CREATE TABLE other.a (id int);
`

// fingerprint is all that a test could notice of what an earlier one did.
const fingerprint = `SELECT concat_ws('|',
 (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT string_agg(seeded::text, ',') FROM seeded), (SELECT count(*) FROM numbered),
 (SELECT count(*) FROM p), (SELECT count(*) FROM guarded), (SELECT count(*) FROM ruled), (SELECT count(*) FROM hidden_rows),
 (SELECT count(*) FROM ul), (SELECT count(*) FROM parent), (SELECT count(*) FROM "Odd ""name"), (SELECT count(*) FROM other.a),
 (SELECT last_value || '/' || is_called FROM loose), (SELECT last_value || '/' || is_called FROM placed),
 (SELECT last_value || '/' || is_called FROM a_id_seq), (SELECT last_value || '/' || is_called FROM b_id_seq),
 (SELECT last_value || '/' || is_called FROM numbered_id_seq),
 current_setting('search_path'), current_setting('timezone'), current_setting('role'), current_setting('work_mem'),
 current_setting('track_counts'), current_setting('session_replication_role'), current_user, session_user,
 (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
 (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_prepared_statements WHERE name = 'foo'),
 (SELECT count(*) FROM pg_cursors WHERE name = 'c'), (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc),
 (SELECT count(*) FROM pg_largeobject), (SELECT count(*) FROM pg_extension), (SELECT count(*) FROM pg_description),
 (SELECT datacl::text FROM pg_database WHERE datname = current_database()),
 (SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()),
 (SELECT relacl::text FROM pg_class WHERE relname = 'a' AND relnamespace = 'public'::regnamespace),
 (SELECT string_agg(prosrc, '') FROM pg_proc WHERE proname IN ('addrow', 'trg')), (SELECT count(*) FROM mv))`

// Each case does something to a database. Whether that one serves the next test
// or a new one does: the next test must not notice.
func TestRecycling(t *testing.T) {
	t.Parallel()
	k := openKit(t, map[string]string{"TEST_DB_VERBOSE": "1"})
	if version := query[int](t, k.URL(k.Admin()), "SELECT current_setting('server_version_num')::int"); version < 150000 {
		t.Skip("recycling needs PostgreSQL 15")
	}
	tpl := sqlTemplate(t.Name(), everything)
	const (
		lent     = iota // the test uses the pool through a fixture
		address         // the test opens a connection of its own and closes it
		leaking         // and does not close it
		released        // a lent connection that is never given back
	)
	cases := []struct {
		name  string
		sql   []string // "!" before a statement that fails
		again bool     // the database serves the next test
		how   int
	}{
		{name: "nothing", again: true},
		{name: "select", sql: []string{"SELECT * FROM a"}, again: true},
		{name: "insert", sql: []string{"INSERT INTO a (v) VALUES ('x')", "INSERT INTO b (a_id) SELECT id FROM a"}, again: true},
		{name: "rolled back insert", sql: []string{"BEGIN", "INSERT INTO a (v) VALUES ('x')", "ROLLBACK"}, again: true},
		{name: "failed insert", sql: []string{"!INSERT INTO seeded VALUES (1, 'dup')"}},
		{name: "nextval", sql: []string{"SELECT nextval('loose')"}, again: true},
		{name: "setval", sql: []string{"SELECT setval('loose', 5000)"}, again: true},
		{name: "setval, not called", sql: []string{"SELECT setval('loose', 5000, false)"}, again: true},
		{name: "setval of a placed one", sql: []string{"SELECT nextval('placed')"}, again: true},
		{name: "seeded table, rolled back", sql: []string{"BEGIN", "INSERT INTO numbered DEFAULT VALUES", "ROLLBACK"}},
		{name: "partition", sql: []string{"INSERT INTO p VALUES (1, '2025-01-01')"}, again: true},
		{name: "guarded by a trigger", sql: []string{"INSERT INTO guarded VALUES (1)"}, again: true},
		{name: "guarded by a rule", sql: []string{"INSERT INTO ruled VALUES (1)"}, again: true},
		{name: "row level security", sql: []string{"INSERT INTO hidden_rows VALUES (1)"}, again: true},
		{name: "unlogged", sql: []string{"INSERT INTO ul VALUES (1)"}, again: true},
		{name: "inherited", sql: []string{"INSERT INTO child VALUES (1)"}, again: true},
		{name: "odd name", sql: []string{`INSERT INTO "Odd ""name" DEFAULT VALUES`}, again: true},
		{name: "same name in another schema", sql: []string{"INSERT INTO other.a VALUES (1)"}, again: true},
		{name: "procedure", sql: []string{"CALL addrow()"}, again: true},
		{name: "do block", sql: []string{"DO $$ BEGIN INSERT INTO a (v) VALUES ('q'); END $$"}, again: true},
		{name: "create table", sql: []string{"CREATE TABLE z (id int)"}},
		{name: "create and drop", sql: []string{"CREATE TABLE z (id int)", "DROP TABLE z"}},
		{name: "create, rolled back", sql: []string{"BEGIN", "CREATE TABLE z (id int)", "ROLLBACK"}},
		{name: "alter", sql: []string{"ALTER TABLE a ADD COLUMN w int"}},
		{name: "alter sequence", sql: []string{"ALTER SEQUENCE loose INCREMENT 5"}},
		{name: "temporary table", sql: []string{"CREATE TEMP TABLE tt (id int)"}},
		{name: "truncate", sql: []string{"INSERT INTO a (v) VALUES ('x')", "TRUNCATE a CASCADE"}},
		{name: "truncate, restart identity", sql: []string{"TRUNCATE a RESTART IDENTITY CASCADE"}},
		{name: "seeded update", sql: []string{"UPDATE seeded SET v = 'changed'"}},
		{name: "set", sql: []string{"SET search_path = pg_catalog", "SET timezone = 'Asia/Tokyo'", "SET session_replication_role = replica"}, again: true},
		{name: "set role", sql: []string{"SET ROLE pg_monitor"}, again: true},
		{name: "session authorization", sql: []string{"SET SESSION AUTHORIZATION pg_monitor"}, again: true},
		{name: "advisory lock", sql: []string{"SELECT pg_advisory_lock(42)"}, again: true},
		{name: "listen", sql: []string{"LISTEN ch", "NOTIFY ch"}, again: true},
		{name: "prepare", sql: []string{"PREPARE foo AS SELECT 1"}, again: true},
		{name: "cursor with hold", sql: []string{"BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "COMMIT"}, again: true},
		{name: "alter database", sql: []string{"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''8MB''', current_database()); END $$"}},
		{name: "alter role in database", sql: []string{"DO $$ BEGIN EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET work_mem = ''8MB''', current_database()); END $$"}},
		{name: "grant on database", sql: []string{"DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO pg_monitor', current_database()); END $$"}},
		{name: "comment on database", sql: []string{"DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS ''x''', current_database()); END $$"}},
		{name: "extension", sql: []string{"DROP EXTENSION plpgsql CASCADE"}},
		{name: "function", sql: []string{"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"}},
		{name: "replace procedure", sql: []string{"CREATE OR REPLACE PROCEDURE addrow() LANGUAGE sql AS $$ SELECT 1 $$"}},
		{name: "comment", sql: []string{"COMMENT ON TABLE a IS 'x'"}},
		{name: "grant", sql: []string{"GRANT SELECT ON a TO public"}},
		{name: "default privileges", sql: []string{"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO public"}},
		{name: "schema", sql: []string{"CREATE SCHEMA s"}},
		{name: "analyze", sql: []string{"INSERT INTO a (v) VALUES ('x')", "ANALYZE a"}},
		{name: "reindex", sql: []string{"REINDEX TABLE a"}},
		{name: "refresh", sql: []string{"INSERT INTO a (v) VALUES ('x')", "REFRESH MATERIALIZED VIEW mv"}},
		{name: "large object", sql: []string{"SELECT lo_from_bytea(0, 'abc')"}},
		{name: "reset of statistics", sql: []string{"INSERT INTO a (v) VALUES ('x')", "SELECT pg_stat_force_next_flush()", "SELECT pg_stat_reset()"}},
		{name: "reset of a table's statistics", sql: []string{"INSERT INTO a (v) VALUES ('x')", "SELECT pg_stat_force_next_flush()", "SELECT pg_stat_reset_single_table_counters('a'::regclass)"}},
		{name: "vacuum", sql: []string{"INSERT INTO a (v) VALUES ('x')", "VACUUM a"}, again: true},
		{name: "vacuum full", sql: []string{"INSERT INTO a (v) VALUES ('x')", "VACUUM FULL a"}},
		{name: "disabled trigger", sql: []string{"ALTER TABLE guarded DISABLE TRIGGER g"}},
		{name: "open transaction", sql: []string{"BEGIN", "INSERT INTO a (v) VALUES ('x')"}, how: released},
		{name: "prepared transaction", sql: []string{"BEGIN", "INSERT INTO a (v) VALUES ('x')", "PREPARE TRANSACTION 'pgdbm'"}},
		{name: "not counted", sql: []string{"SET track_counts = off", "INSERT INTO a (v) VALUES ('hidden')"}},
		{name: "not counted, table unseen so far", sql: []string{"SET track_counts = off", "INSERT INTO ul VALUES (1)", "RESET track_counts"}},
		{name: "own backend killed", sql: []string{"INSERT INTO a (v) VALUES ('own')", "!SELECT pg_terminate_backend(pg_backend_pid())"}, again: true},
		{name: "large table", sql: []string{"INSERT INTO b (a_id) SELECT NULL FROM generate_series(1, 500000)"}},
		{name: "address: insert", sql: []string{"INSERT INTO a (v) VALUES ('ext')"}, how: address, again: true},
		{name: "address: create", sql: []string{"CREATE TABLE ext (id int)"}, how: address},
		{name: "address: set and lock", sql: []string{"SET work_mem = '8MB'", "SELECT pg_advisory_lock(1)"}, how: address, again: true},
		{name: "address: alter database", sql: []string{"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 50', current_database()); END $$"}, how: address},
		{name: "address: terminated", sql: []string{"INSERT INTO a (v) VALUES ('ext')", "!SELECT pg_terminate_backend(pg_backend_pid())"}, how: address, again: true},
		{name: "address: leaked", sql: []string{"INSERT INTO a (v) VALUES ('ext')"}, how: leaking},
	}
	first := newProbe(t)
	want := look(t, k.New(first, tpl))
	first.end()
	for _, c := range cases {
		p := newProbe(t)
		d := k.New(p, tpl)
		if got := look(t, d); got != want {
			t.Fatalf("%s: not as new at the start\ngot  %s\nwant %s", c.name, got, want)
		}
		var conn *pgx.Conn
		var giveBack func()
		if c.how == address || c.how == leaking {
			var err error
			conn, err = pgx.Connect(t.Context(), d.ConnString())
			testkit.NoError(t, err)
			giveBack = func() { _ = conn.Close(context.WithoutCancel(t.Context())) }
		} else {
			lent, err := d.Lend().Acquire(t.Context())
			testkit.NoError(t, err)
			conn, giveBack = lent.Conn(), lent.Release
		}
		for _, sql := range c.sql {
			statement, fails := strings.CutPrefix(sql, "!")
			if _, err := conn.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); (err != nil) != fails {
				t.Fatalf("%s: %s: %v", c.name, statement, err)
			}
		}
		if c.how == leaking || c.how == released {
			defer giveBack()
		} else {
			giveBack()
		}
		p.end()
		if again := !strings.Contains(p.said(), "not used again"); again != c.again {
			t.Errorf("%s: serves the next test: %t, expected %t\n%s", c.name, again, c.again, p.said())
		}
		if leaks := strings.Contains(p.said(), "still open"); leaks != (c.how == leaking || c.how == released) {
			t.Errorf("%s: reported as leaking: %t\n%s", c.name, leaks, p.said())
		}
		next := newProbe(t)
		if got := look(t, k.New(next, tpl)); got != want {
			t.Errorf("%s: the next test notices\ngot  %s\nwant %s", c.name, got, want)
		}
		next.end()
	}
}

// look takes the fingerprint, on a lent connection.
func look(t *testing.T, d *testkit.Database) (print string) {
	t.Helper()
	testkit.NoError(t, d.Lend().QueryRow(t.Context(), fingerprint, pgx.QueryExecModeSimpleProtocol).Scan(&print))
	return print
}
