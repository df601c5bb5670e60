package testkit_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// What a test leaves in its sessions goes, and the database serves the next.
func TestRecyclingAfterSessionState(t *testing.T) {
	t.Parallel()
	recycling(t, []deed{
		{name: "set", sql: []string{"SET search_path = pg_catalog", "SET timezone = 'Asia/Tokyo'", "SET session_replication_role = replica"}, again: true},
		{name: "read only", sql: []string{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"}, again: true},
		{name: "serializable", sql: []string{"SET default_transaction_isolation = serializable", "INSERT INTO a (v) VALUES ('x')"}, again: true},
		{name: "snapshot of statistics", sql: []string{"SET stats_fetch_consistency = snapshot", "SELECT * FROM pg_stat_user_tables", "INSERT INTO a (v) VALUES ('x')"}, again: true},
		{name: "encoding", sql: []string{"SET client_encoding = 'LATIN1'"}, again: true},
		{name: "constraints", sql: []string{"BEGIN", "SET CONSTRAINTS ALL DEFERRED", "COMMIT"}, again: true},
		{name: "setting of an application", sql: []string{"SET app.tenant = 'acme'"}, again: true},
		{name: "setting of an application, for a transaction", sql: []string{"BEGIN", "SELECT set_config('app.tenant', 'acme', true)", "COMMIT"}, again: true},
		{name: "set role", sql: []string{"SET ROLE pg_monitor"}, again: true},
		{name: "session authorization", sql: []string{"SET SESSION AUTHORIZATION pg_monitor"}, again: true},
		{name: "advisory lock", sql: []string{"SELECT pg_advisory_lock(42)", "SELECT pg_advisory_lock_shared(4, 2)", "BEGIN", "SELECT pg_advisory_xact_lock(43)", "COMMIT"}, again: true},
		{name: "listen", sql: []string{"LISTEN ch", "NOTIFY ch"}, again: true},
		{name: "listen no more", sql: []string{"LISTEN ch", "NOTIFY ch", "UNLISTEN ch"}, again: true},
		{name: "notify", sql: []string{"NOTIFY ch"}, again: true},
		{name: "prepare", sql: []string{"PREPARE foo AS SELECT 1"}, again: true},
		{name: "prepare, by the driver", do: func(conn *pgx.Conn) error {
			_, err := conn.Prepare(context.Background(), "bar", "SELECT 1")
			return err
		}, again: true},
		{name: "cursor with hold", sql: []string{"BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "COMMIT"}, again: true},
		{name: "lastval", sql: []string{"SELECT nextval('cached')", "SELECT lastval()"}, again: true},
		{name: "type, in the driver", do: func(conn *pgx.Conn) error {
			mood, err := conn.LoadType(context.Background(), "mood")
			if err == nil {
				conn.TypeMap().RegisterType(mood)
			}
			return err
		}, again: true},
		{name: "type, in the driver, in place of its own", do: func(conn *pgx.Conn) error {
			conn.TypeMap().RegisterType(&pgtype.Type{Name: "int8", OID: pgtype.Int8OID, Codec: pgtype.TextCodec{}})
			return nil
		}, again: true},
		{name: "everything discarded", sql: []string{"DISCARD ALL"}, again: true},
		{name: "own backend ended", sql: []string{"INSERT INTO a (v) VALUES ('own')", "!SELECT pg_terminate_backend(pg_backend_pid())"}, again: true},
		{name: "open transaction", sql: []string{"BEGIN", "INSERT INTO a (v) VALUES ('x')"}, how: released},
		{name: "open transaction, given back", sql: []string{"BEGIN", "INSERT INTO a (v) VALUES ('x')"}, again: true},
		{name: "idle connection", sql: []string{"SELECT 1"}, how: released},
	})
}
