package testkit_test

import (
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// Whatever tries to get round the proof: the next test does not notice.
func TestRecyclingAfterTricks(t *testing.T) {
	t.Parallel()
	recycling(t, []deed{
		{name: "reset of statistics", sql: []string{"INSERT INTO a (v) VALUES ('x')", "SELECT pg_stat_force_next_flush()", "SELECT pg_stat_reset()"}},
		{name: "reset of a table's statistics", sql: []string{"INSERT INTO a (v) VALUES ('x')", "SELECT pg_stat_force_next_flush()", "SELECT pg_stat_reset_single_table_counters('a'::regclass)"}},
		{name: "reset of a catalog's statistics", sql: []string{"CREATE TABLE z ()", "SELECT pg_stat_force_next_flush()", "SELECT pg_stat_reset_single_table_counters(c) FROM unnest('{pg_class,pg_type,pg_depend,pg_attribute}'::regclass[]) c"}},
		{name: "not counted", sql: []string{"SET track_counts = off", "INSERT INTO a (v) VALUES ('hidden')"}},
		{name: "not counted, table unseen so far", sql: []string{"SET track_counts = off", "INSERT INTO ul VALUES (1)", "RESET track_counts"}},
		{name: "prepared transaction", sql: []string{"BEGIN", "INSERT INTO a (v) VALUES ('x')", "PREPARE TRANSACTION '$db'"}},
		{name: "alter database", sql: []string{"ALTER DATABASE $db SET work_mem = '8MB'"}},
		{name: "alter database, undone", sql: []string{"ALTER DATABASE $db SET work_mem = '8MB'", "ALTER DATABASE $db RESET ALL"}, again: true},
		{name: "alter role in database", sql: []string{"ALTER ROLE CURRENT_USER IN DATABASE $db SET work_mem = '8MB'"}},
		{name: "grant on database", sql: []string{"GRANT CREATE ON DATABASE $db TO pg_monitor"}},
		{name: "owner of database", sql: []string{"ALTER DATABASE $db OWNER TO pg_monitor"}},
		{name: "comment on database", sql: []string{"COMMENT ON DATABASE $db IS 'x'"}},
		{name: "role, which the cluster keeps", sql: []string{"CREATE ROLE $db"}, role: "$db", again: true},
		{name: "role with privileges", sql: []string{"CREATE ROLE $db", "GRANT SELECT ON a TO $db"}, role: "$db"},
		{name: "address: insert", sql: []string{"INSERT INTO a (v) VALUES ('ext')"}, how: address, again: true},
		{name: "address: create", sql: []string{"CREATE TABLE ext (id int)"}, how: address},
		{name: "address: set and lock", sql: []string{"SET work_mem = '8MB'", "SELECT pg_advisory_lock(1)"}, how: address, again: true},
		{name: "address: alter database", sql: []string{"ALTER DATABASE $db CONNECTION LIMIT 50"}, how: address},
		{name: "address: prepared transaction", sql: []string{"BEGIN", "INSERT INTO a (v) VALUES ('x')", "PREPARE TRANSACTION '$db'"}, how: address},
		{name: "address: ended", sql: []string{"INSERT INTO a (v) VALUES ('ext')", "!SELECT pg_terminate_backend(pg_backend_pid())"}, how: address, again: true},
		{name: "address: create, ended", sql: []string{"CREATE TABLE z ()", "!SELECT pg_terminate_backend(pg_backend_pid())"}, how: address},
		{name: "address: leaked", sql: []string{"INSERT INTO a (v) VALUES ('ext')"}, how: leaking},
		{name: "address: leaked in a transaction", sql: []string{"BEGIN", "CREATE TABLE z ()"}, how: leaking},
	})
}

// A server where replication slots can be made, which is not the embedded one's
// default.
func TestRecyclingAfterReplicationSlots(t *testing.T) {
	t.Parallel()
	srv, err := embedded.Start(t.Context(), embedded.Config{Dir: stateDir(t), Settings: map[string]string{"wal_level": "logical"}})
	testkit.NoError(t, err)
	defer srv.Close(t.Context()) //nolint:errcheck // only its lease ends
	k := openKit(t, map[string]string{"TEST_DATABASE_URL": srv.ConnString("postgres"), "TEST_DB_VERBOSE": "1"})
	recyclingOn(t, k, []deed{
		{name: "logical replication slot", sql: []string{"SELECT pg_create_logical_replication_slot('$db', 'pgoutput')"}},
		{name: "temporary slot", sql: []string{"SELECT pg_create_logical_replication_slot('$db', 'pgoutput', true)"}},
		{name: "dropped slot", sql: []string{"SELECT pg_create_logical_replication_slot('$db', 'pgoutput')", "SELECT pg_drop_replication_slot('$db')"}, again: true},
		{name: "logical message", sql: []string{"SELECT pg_logical_emit_message(true, 'pgdbm', 'x')"}, again: true},
	})
}
