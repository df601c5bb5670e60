package migrations_test

import (
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/migrations"
)

func TestCheckpointsThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, text, want string }{
		{"4_x.sql", "-- pgdbm:checkpoint 3", `4_x.sql:1:1: the directive checkpoint cannot be "3" (directive); write: -- pgdbm:checkpoint 1-40`},
		{"4_x.sql", "-- pgdbm:checkpoint 3-1", `cannot be "3-1"`},
		{"4_x.sql", "-- pgdbm:checkpoint 0-3", `cannot be "0-3"`},
		{"4_x.sql", "-- pgdbm:checkpoint 1-99999999999999999999", "cannot be"},
		{"4_x.sql", "select 1;\n-- pgdbm:checkpoint 1-3", "behind the first statement"},
		{"4_x.sql", "-- pgdbm:checkpoint 1-4", "the checkpoint covers 1-4, but has version 4 itself (directive); it covers versions below its own"},
		{"4_x.sql", "\n-- pgdbm:checkpoint 1-9", "4_x.sql:2:1: the checkpoint covers 1-9, but has version 4 itself"},
		{"4_x.sql", "-- pgdbm:checkpoint 1-2", "the checkpoint covers 1-2, which leaves out 3_c.sql; it must cover all versions before it"},
		{"4_x.sql", "-- pgdbm:checkpoint 2-3", "the checkpoint covers 2-3, which leaves out 1_a.sql"},
		{"5_x.sql", "-- pgdbm:checkpoint 1-4", "the checkpoint covers 1-4, but there is no version 4 (directive); end the range with the last version that it covers: 1-3"},
		{"4_x.sql", "-- pgdbm:checkpoint 1-3\n-- pgdbm:no-transaction", "a checkpoint cannot be a no-transaction file"},
		{"R_x.sql", "-- pgdbm:checkpoint 1-3", "a repeatable file cannot be a checkpoint"},
		{"3_c.down.sql", "-- pgdbm:checkpoint 1-2", "a down file cannot be a checkpoint"},
	} {
		msg, _ := loadError(t, files("1_a.sql", "", "2_b.sql", "", "3_c.sql", "", c.file, c.text))
		if !strings.Contains(strings.ReplaceAll(msg, " (directive); it must", "; it must"), c.want) {
			t.Errorf("%s %q:\n got %s\nwant %s", c.file, c.text, msg, c.want)
		}
	}
	msg, _ := loadError(t, files("1_a.sql", "", "2_b.sql", "", "3_x.sql", "-- pgdbm:checkpoint 1-2", "4_d.sql", "", "5_y.sql", "-- pgdbm:checkpoint 2-4"))
	if !strings.Contains(msg, "5_y.sql:1:1: the checkpoint covers 2-4, which overlaps with the 1-2 of 3_x.sql (directive); write 1-4") {
		t.Error(msg)
	}
}

func TestCheckpointIsAMigrationOfItsOwnKind(t *testing.T) {
	t.Parallel()
	list := load(t, squashed).Migrations()
	if m := list[3]; m.Kind != migrations.KindCheckpoint || m.Version != 4 || !m.Transactional || m.Statements != 2 {
		t.Errorf("%+v", m)
	}
}
