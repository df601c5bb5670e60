package migrations_test

import (
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/migrations"
)

// Of a schema that began with a checkpoint within another one, what the inner one made must not lose its record.
func TestDownOfACheckpointWithinAnotherOne(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	texts := []string{
		"6_six.sql", "-- pgdbm:checkpoint 1-5\ncreate table {{tables.one}} (n int)",
		"9_nine.sql", "create table {{tables.nine}} (n int)", "9_nine.down.sql", "drop table {{tables.nine}}",
		"10_ten.sql", "-- pgdbm:checkpoint 1-9\ncreate table {{tables.one}} (n int); create table {{tables.nine}} (n int)",
	}
	m := migrator(t, pool, files(texts...), migrations.Config{})
	testkit.Equal(t, up(t, m), "10_ten.sql")
	report, err := m.Down(t.Context(), "app", 5)
	testkit.ErrorContains(t, err, "the schema began with checkpoint 6 and never had version 5; go down to 0 or stay at 6")
	testkit.Equal(t, applied(report), "")
	_, err = m.Down(t.Context(), "app", 0)
	testkit.ErrorContains(t, err, "6_six has no down file")
	testkit.NoError(t, m.Verify(t.Context()))
	_, err = m.Down(t.Context(), "app", 6)
	testkit.NoError(t, err)
	testkit.Equal(t, up(t, m), "9_nine.sql")
	m = migrator(t, pool, files(append(texts, "6_six.down.sql", "drop table {{tables.one}}")...), migrations.Config{})
	report, err = m.Down(t.Context(), "app", 0)
	testkit.NoError(t, err)
	testkit.Equal(t, applied(report), "10_ten (its row) 9_nine.down.sql 6_six.down.sql")
	testkit.Equal(t, up(t, m), "10_ten.sql")
}
