package migrations_test

import (
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/migrations"
)

// A file of goose, dbmate or tern holds both directions. To run the second with
// the first would destroy what the first makes.
func TestFilesWithBothDirections(t *testing.T) {
	t.Parallel()
	const body = "create function f() returns int language plpgsql as $$ begin return 1; end $$;\n"
	for name, text := range map[string]string{
		"goose":             "-- +goose Up\ncreate table t (n int);\n-- +goose StatementBegin\n" + body + "-- +goose StatementEnd\n\n-- +goose Down\ndrop function f;\ndrop table t;\n",
		"goose, other case": "-- a comment\n\n--+goose UP\ncreate table t (n int);\n" + body + "-- +goose down\n-- +goose StatementBegin\ndrop function f;\ndrop table t;\n-- +goose StatementEnd\n",
		"dbmate":            "-- migrate:up\ncreate table t (n int);\n" + body + "\n-- migrate:down\ndrop function f; drop table t\n",
		"dbmate, options":   "\n-- about\n-- migrate:up transaction:true\ncreate table t (n int);\n" + body + "--migrate:down foo:bar\r\ndrop function f; drop table t\n",
		"tern":              "create table t (n int);\n" + body + "\n---- create above / drop below ----\n\ndrop function f; drop table t;\n",
		"indented":          "-- migrate:up\ncreate table t (n int);\n" + body + "\n  -- migrate:down\ndrop function f; drop table t\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := setup(t)
			m := migrator(t, pool, files("1_a.sql", text), migrations.Config{})
			up(t, m)
			if !value[bool](t, pool, "select to_regclass('app.t') is not null and to_regproc('app.f') is not null") {
				t.Fatal("the table or the function is not there")
			}
			report, err := m.Down(t.Context(), "app", 0)
			if err != nil || applied(report) != "1_a.sql" || report.Applied[0].Statements != 2 {
				t.Fatalf("%+v, %v", report, err)
			}
			if value[bool](t, pool, "select to_regclass('app.t') is not null or to_regproc('app.f') is not null") {
				t.Error("the table or the function is still there")
			}
			// The part that was recorded undoes it as well.
			up(t, m)
			empty := migrator(t, pool, files(), migrations.Config{})
			if report, err := empty.Down(t.Context(), "app", 0); err != nil || len(report.Applied) != 1 {
				t.Fatalf("by the record: %v, %v", report, err)
			}
		})
	}
}

func TestPartsOfOneFile(t *testing.T) {
	t.Parallel()
	src := load(t, files(
		"1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\ncreate index concurrently i on t (n);\n-- +goose Down\ndrop index concurrently i;",
		"2_b.sql", "-- migrate:up transaction:false\ncreate index concurrently i on t (n);\n-- migrate:down\ndrop index i;",
		"3_c.sql", "---- tern: disable-tx ----\ncreate index concurrently i on t (n);\n---- create above / drop below ----\n---- tern: disable-tx ----\ndrop index concurrently i;",
		"4_d.sql", "-- migrate:up\nselect 1;\n-- migrate:down\n",
		"5_e.sql", "-- a table of +goose\nselect '-- +goose Down';",
		"6_f.sql", "-- pgdbm:out-of-order\n-- migrate:up\nselect 1;\n-- migrate:down\nselect 2;",
	))
	var got []string
	for _, m := range src.Migrations() {
		tx := "tx"
		if !m.Transactional {
			tx = "no tx"
		}
		got = append(got, m.File+" "+tx+" "+m.DownFile)
	}
	want := "1_a.sql no tx 1_a.sql, 2_b.sql no tx 2_b.sql, 3_c.sql no tx 3_c.sql, 4_d.sql tx , 5_e.sql tx , 6_f.sql tx 6_f.sql"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	if _, err := migrations.Load(files("1_a.sql", "-- migrate:up\ncreate unique index concurrently i on t (n);\n-- migrate:down\n"), migrations.LoadOptions{}); err == nil ||
		!strings.Contains(err.Error(), "1_a.sql:2:1: CREATE UNIQUE INDEX CONCURRENTLY cannot run in a transaction") {
		t.Errorf("a finding in the first part: %v", err)
	}
	if _, err := migrations.Load(files("1_a.sql", "-- migrate:up\nselect 1;\n-- migrate:down\ncommit;\n"), migrations.LoadOptions{}); err == nil || !strings.Contains(err.Error(), "1_a.sql:4:1: COMMIT controls") {
		t.Errorf("a finding in the second part: %v", err)
	}
}

func TestAnnotationsThatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"-- +goose Up\nselect 1;\n-- migrate:down\nselect 2":                                     "1_a.sql:3:1: the file has annotations of goose and of dbmate",
		"-- migrate:up\nselect 1;\n-- migrate:down\n-- migrate:up\nselect 2;\n-- migrate:down\n": "1_a.sql:4:1: a second part that is to be applied (annotation); give each its own file",
		"create type t as enum ();\n-- migrate:up\nselect 1":                                     "1_a.sql:2:1: there are statements before the part that is to be applied",
		"-- +goose Up\nselect 1;\n-- +goose Down\nselect 2;\n-- +goose Down\nselect 3;":          "1_a.sql:5:1: a second part that undoes",
		"-- +goose Down\nselect 2;\n-- +goose Up\nselect 1;":                                     "1_a.sql:1:1: the part that undoes comes before the one that is to be applied",
		"select 2;\n-- migrate:down\nselect 1;":                                                  "1_a.sql:2:1: the part that undoes comes before",
		"-- +goose ENVSUB ON\n-- +goose Up\nselect '${X}';":                                      "1_a.sql:1:1: the annotation +goose envsub on is not supported",
		"-- +goose Up\nselect '\n  -- +goose Down\n';":                                           "1_a.sql:3:3: an annotation inside of a string or comment",
	} {
		_, err := migrations.Load(files("1_a.sql", text), migrations.LoadOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: no %q in\n%v", text, want, err)
		}
	}
	for _, pairs := range [][]string{
		{"R_a.sql", "-- migrate:up\nselect 1;\n-- migrate:down\nselect 2", "R_a.sql: a repeatable migration cannot be undone"},
		{"1_a.sql", "-- migrate:up\nselect 1;\n-- migrate:down\nselect 2", "1_a.down.sql", "select 1", "1_a.down.sql: undoes the same migration as 1_a.sql"},
		{"1_a.sql", "", "1_a.down.sql", "-- migrate:up\nselect 1;\n-- migrate:down\nselect 2", "1_a.down.sql: a down file has both directions"},
	} {
		want := pairs[len(pairs)-1]
		_, err := migrations.Load(files(pairs[:len(pairs)-1]...), migrations.LoadOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

// Places in the second part are places in the file.
func TestAnErrorInThePartThatUndoes(t *testing.T) {
	t.Parallel()
	m := migrator(t, setup(t), files("1_a.sql", "-- migrate:up\nselect 1;\n-- é\n-- migrate:down\nselect 'é', nothing;"), migrations.Config{})
	up(t, m)
	_, err := m.Down(t.Context(), "app", 0)
	if err == nil || !strings.Contains(err.Error(), "1_a.sql:5:13: ") || !strings.HasSuffix(err.Error(), "    select 'é', nothing;\n                ^") {
		t.Errorf("%v", err)
	}
}

// NO TRANSACTION is said of a whole file of goose's. The part that undoes runs in a
// transaction all the same, with the row that goes, where its statements can.
func TestNoTransactionFilesOfGooseAreUndone(t *testing.T) {
	t.Parallel()
	pool := setup(t)
	const head = "-- +goose NO TRANSACTION\n-- +goose Up\ncreate table t (n int);\ncreate index concurrently i on t (n);\n-- +goose Down\n"
	m := migrator(t, pool, files("1_a.sql", head+"drop index i;\ndrop table t;"), migrations.Config{})
	up(t, m)
	if _, err := m.Down(t.Context(), "app", 0); err != nil || value[bool](t, pool, "select to_regclass('app.t') is not null") {
		t.Errorf("%v", err)
	}
	m = migrator(t, pool, files("1_a.sql", head+"drop index concurrently i;\ndrop table t;"), migrations.Config{})
	up(t, m)
	if _, err := m.Down(t.Context(), "app", 0); err == nil || !strings.Contains(err.Error(), "1_a.sql: a down file cannot be a no-transaction one; drop without CONCURRENTLY") {
		t.Errorf("%v", err)
	}
}
