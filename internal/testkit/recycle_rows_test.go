package testkit_test

import "testing"

// What ordinary tests do: rows come and go, and the database serves the next.
func TestRecyclingAfterRows(t *testing.T) {
	t.Parallel()
	recycling(t, []deed{
		{name: "nothing", again: true},
		{name: "select", sql: []string{"SELECT * FROM a"}, again: true},
		{name: "insert", sql: []string{"INSERT INTO a (v) VALUES ('x')", "INSERT INTO b (a_id) SELECT id FROM a"}, again: true},
		{name: "insert, update, delete", sql: []string{"INSERT INTO a (v) VALUES ('x')", "UPDATE a SET v = 'y'", "DELETE FROM a"}, again: true},
		{name: "rolled back insert", sql: []string{"BEGIN", "INSERT INTO a (v) VALUES ('x')", "ROLLBACK"}, again: true},
		{name: "rolled back to a savepoint", sql: []string{"BEGIN", "SAVEPOINT s", "INSERT INTO a (v) VALUES ('x')", "ROLLBACK TO s", "COMMIT"}, again: true},
		{name: "failed insert", sql: []string{"!INSERT INTO b (a_id) VALUES (4711)"}, again: true},
		{name: "failed insert into a seeded table", sql: []string{"!INSERT INTO seeded VALUES (1, 'dup')"}},
		{name: "copy", sql: []string{"COPY a (v) FROM PROGRAM 'echo hi'"}, again: true},
		{name: "merge", sql: []string{"MERGE INTO parent USING (VALUES (1)) AS v (id) ON v.id = parent.id WHEN NOT MATCHED THEN INSERT VALUES (v.id)"}, again: true},
		{name: "nextval", sql: []string{"SELECT nextval('loose')"}, again: true},
		{name: "nextval, cached", sql: []string{"SELECT nextval('cached')"}, again: true},
		{name: "nextval, unlogged", sql: []string{"SELECT nextval('unlogged_sequence')"}, again: true},
		{name: "nextval of a seeded table", sql: []string{"SELECT nextval('numbered_id_seq')"}, again: true},
		{name: "setval", sql: []string{"SELECT setval('loose', 5000)"}, again: true},
		{name: "setval, rolled back", sql: []string{"BEGIN", "SELECT setval('loose', 5000)", "ROLLBACK"}, again: true},
		{name: "setval, not called", sql: []string{"SELECT setval('loose', 5000, false)"}, again: true},
		{name: "nextval of a placed one", sql: []string{"SELECT nextval('placed')"}, again: true},
		{name: "seeded table, rolled back", sql: []string{"BEGIN", "INSERT INTO numbered DEFAULT VALUES", "ROLLBACK"}},
		{name: "seeded table, updated", sql: []string{"UPDATE seeded SET v = 'changed'"}},
		{name: "seeded table, emptied", sql: []string{"DELETE FROM seeded"}},
		{name: "seeded table, locked", sql: []string{"BEGIN", "SELECT * FROM seeded FOR UPDATE", "COMMIT"}, again: true},
		{name: "partition", sql: []string{"INSERT INTO p VALUES (1, '2025-01-01')"}, again: true},
		{name: "moved between partitions", sql: []string{"INSERT INTO p VALUES (1, '2025-01-01')", "UPDATE p SET d = '2035-01-01'"}, again: true},
		{name: "guarded by a trigger", sql: []string{"INSERT INTO guarded VALUES (1)"}, again: true},
		{name: "guarded by a rule", sql: []string{"INSERT INTO ruled VALUES (1)"}, again: true},
		{name: "a trigger on delete writes", sql: []string{"INSERT INTO noted VALUES (1)"}, again: true},
		{name: "a trigger on insert writes", sql: []string{"INSERT INTO source VALUES (1)"}, again: true},
		{name: "row level security", sql: []string{"INSERT INTO hidden_rows VALUES (1)"}, again: true},
		{name: "unlogged", sql: []string{"INSERT INTO ul VALUES (1)"}, again: true},
		{name: "inherited", sql: []string{"INSERT INTO child VALUES (1)", "INSERT INTO parent VALUES (2)"}, again: true},
		{name: "deferred constraint", sql: []string{"BEGIN", "INSERT INTO deferred VALUES (1, 2)", "INSERT INTO deferred VALUES (2, 1)", "COMMIT"}, again: true},
		{name: "deferred constraint, violated", sql: []string{"BEGIN", "INSERT INTO deferred VALUES (1, 3)", "!COMMIT"}, again: true},
		{name: "cascade", sql: []string{"INSERT INTO cascaded VALUES (1), (2)", "INSERT INTO follows VALUES (1), (2)", "DELETE FROM cascaded WHERE id = 1"}, again: true},
		{name: "out of line", sql: []string{"INSERT INTO wide VALUES (repeat('long', 10000))"}, again: true},
		{name: "odd name", sql: []string{`INSERT INTO "Odd ""name" DEFAULT VALUES`}, again: true},
		{name: "same name in another schema", sql: []string{"INSERT INTO other.a VALUES (1)"}, again: true},
		{name: "procedure", sql: []string{"CALL addrow()"}, again: true},
		{name: "do block", sql: []string{"DO $$ BEGIN INSERT INTO a (v) VALUES ('q'); END $$"}, again: true},
		{name: "prepared transaction, committed", sql: []string{"BEGIN", "INSERT INTO a (v) VALUES ('x')", "PREPARE TRANSACTION '$db'", "COMMIT PREPARED '$db'"}, again: true},
		{name: "prepared transaction, rolled back", sql: []string{"BEGIN", "INSERT INTO a (v) VALUES ('x')", "PREPARE TRANSACTION '$db'", "ROLLBACK PREPARED '$db'"}, again: true},
		{name: "large table", sql: []string{"INSERT INTO b (a_id) SELECT NULL FROM generate_series(1, 500000)"}},
	})
}
