package repo_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
	"github.com/pgdbm/pgdbm-go/repo"
)

// What is not quite a table: a partitioned one, of whose partitions some have their
// columns in another order, and a view that can be written.
const relations = `
	create table {{tables.plain}} (id int primary key, name text);
	create view {{tables.seen}} as select name, id from {{tables.plain}};
	create table {{tables.parts}} (id int primary key, name text) partition by range (id);
	create table {{tables.parts_1}} (gone int, name text, id int not null);
	alter table {{tables.parts_1}} drop column gone;
	alter table {{tables.parts}} attach partition {{tables.parts_1}} for values from (0) to (1000);
	create table {{tables.parts_2}} (name text, id int not null);
	alter table {{tables.parts}} attach partition {{tables.parts_2}} for values from (1000) to (2000)`

type named struct {
	ID   int     `db:"id,key"`
	Name *string `db:"name"`
}

func TestUpsertTellsInsertedFromUpdated(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			upsertTells(t, openMode(t, mode, relations))
		})
	}
	t.Run("PgBouncer", func(t *testing.T) {
		t.Parallel()
		direct := testkit.ConnString(t)
		pooler := testkit.StartPgBouncer(t, direct, nil)
		upsertTells(t, openWith(t, pgdbm.Config{ConnString: pooler.ConnString(), DirectConnString: direct}, relations))
	})
}

func upsertTells(t *testing.T, db *pgdbm.Manager) {
	t.Helper()
	for _, name := range []string{"plain", "seen", "parts"} {
		rows := newRepo[named](t, db, name)
		upsert := func(r *repo.Repository[named], id int, want bool) {
			t.Helper()
			row := named{id, new(fmt.Sprint(want))}
			inserted, err := r.Upsert(t.Context(), &row)
			if check(t, err); inserted != want || *row.Name != fmt.Sprint(want) {
				t.Errorf("%s: row %d is inserted: %t, %s", name, id, inserted, *row.Name)
			}
		}
		upsert(rows, 1, true)
		upsert(rows, 1, false)
		check(t, db.InTx(t.Context(), func(tx *pgdbm.Tx) error {
			rows := rows.In(tx)
			there := []int{1}
			for _, id := range []int{1, 1, 2, 1, 2, 1002, 1001, 1002} {
				upsert(rows, id, !slices.Contains(there, id))
				there = append(there, id)
			}
			return nil
		}))
		_, err := rows.Where(repo.And[named]()).Purge(t.Context())
		check(t, err)
	}
}

// Rows that a trigger discards are an error, and then none is stored.
func TestAllOrNoneWhereATriggerDiscardsRows(t *testing.T) {
	t.Parallel()
	db := open(t, relations)
	run(t, db, `create function {{schema}}.discard() returns trigger language plpgsql as 'begin return case when new.id % 5 <> 3 then new end; end'`)
	for table, on := range map[string]string{"plain": "plain", "seen": "plain", "parts": "parts_1"} { // of a partition alone, too
		run(t, db, `create or replace trigger discard before insert on {{tables.`+on+`}} for each row execute function {{schema}}.discard()`)
		rows := newRepo[named](t, db, table)
		for _, n := range []int{4, 50, 6000} {
			if n > 2000 && table == "parts" {
				continue // it has no place for them
			}
			list := make([]named, n)
			for i := range list {
				list[i] = named{ID: i + 1, Name: new("x")}
			}
			err := rows.InsertAll(t.Context(), list)
			wantError(t, err, "InsertAll: the database did not store every row; a trigger or rule discards some")
			wantOnce(t, err, "repo: ")
			_, err = rows.UpsertAll(t.Context(), list)
			wantError(t, err, "UpsertAll: the database did not store every row; a trigger or rule discards some")
			wantOnce(t, err, "repo: ")
			if some, err := rows.Where().Exists(t.Context()); err != nil || some {
				t.Errorf("%s: some of %d rows are stored: %v", table, n, err)
			}
		}
		if m, err := rows.InsertAllMissing(t.Context(), []named{{ID: 1}, {ID: 3}}); err != nil || m != 1 {
			t.Errorf("%s: %d rows, %v", table, m, err)
		}
		_, err := rows.Where(repo.And[named]()).Purge(t.Context())
		check(t, err)
	}
}

// A trigger that came later is noticed once it discards something.
func TestAllOrNoneOnceATriggerDiscardedRows(t *testing.T) {
	t.Parallel()
	db := open(t, relations)
	rows := newRepo[named](t, db, "plain")
	check(t, rows.InsertAll(t.Context(), []named{{ID: 1}, {ID: 2}}))
	run(t, db, `create function {{schema}}.discard() returns trigger language plpgsql as 'begin return case when new.id % 5 <> 3 then new end; end'`)
	run(t, db, `create trigger discard before insert on {{tables.plain}} for each row execute function {{schema}}.discard()`)
	wantError(t, rows.InsertAll(t.Context(), []named{{ID: 3}, {ID: 4}}), "did not store every row")
	wantError(t, rows.InsertAll(t.Context(), []named{{ID: 13}, {ID: 14}}), "did not store every row")
	if some, err := rows.Where(repo.SQL[named]("id > 10")).Exists(t.Context()); err != nil || some {
		t.Errorf("some rows are stored: %v", err)
	}
}

func wantOnce(tb testing.TB, err error, part string) {
	tb.Helper()
	if n := strings.Count(fmt.Sprint(err), part); n != 1 {
		tb.Errorf("%d times %q in %v", n, part, err)
	}
}

// A migration changes the types of columns under a running program.
func TestBulkWritesAfterAChangeOfTypes(t *testing.T) {
	t.Parallel()
	type measure struct {
		ID    int     `db:"id,key"`
		Count int64   `db:"count"`
		Value float64 `db:"value"`
		Mood  mood    `db:"mood"`
	}
	db := open(t, `create table {{tables.measures}} (id int primary key, count int not null, value real not null, mood text not null)`)
	measures := newRepo[measure](t, db, "measures")
	rows := make([]measure, 20)
	fill := func() []measure {
		for i := range rows {
			rows[i] = measure{i, 1 << 40, 1.0 / 3, "ok"}
		}
		return rows
	}
	if _, err := measures.UpsertAll(t.Context(), fill()); !errors.Is(err, pgdbm.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	rows[0].Count = 5
	if _, err := measures.UpsertAll(t.Context(), rows[:1]); err != nil {
		t.Error(err)
	}
	run(t, db, `alter table {{tables.measures}} alter count type bigint, alter value type float8`)
	_, err := measures.UpsertAll(t.Context(), fill())
	check(t, err)
	got, err := measures.Get(t.Context(), 7)
	if check(t, err); got != rows[7] {
		t.Errorf("got %+v", got)
	}
	run(t, db, `create type {{schema}}.mood as enum ('ok');
		alter table {{tables.measures}} alter mood type {{schema}}.mood using mood::{{schema}}.mood`)
	if _, err := measures.UpsertAll(t.Context(), rows); err == nil {
		t.Error("text is an enum")
	}
	if _, err := measures.UpsertAll(t.Context(), rows); err != nil {
		t.Errorf("the old type is remembered: %v", err)
	}
}

// What the catalog says is remembered: the search path of the transaction that asked
// has no place in it.
func TestBulkWritesWhateverTheSearchPath(t *testing.T) {
	t.Parallel()
	type feeling struct {
		ID   int    `db:"id,key"`
		Now  mood   `db:"now"`
		Then []mood `db:"then"`
		Size string `db:"size"`
	}
	db := open(t, `create type {{schema}}.mood as enum ('ok');
		create domain {{schema}}."Size" as text;
		create table {{tables.feelings}} (id int primary key, now {{schema}}.mood not null, "then" {{schema}}.mood[], size {{schema}}."Size" not null)`)
	run(t, db, `create type public.mood as enum ('not this one')`)
	feelings := newRepo[feeling](t, db, "feelings")
	rows := make20(feeling{0, "ok", []mood{"ok"}, "S"})
	for i := range rows {
		rows[i].ID = i
	}
	check(t, db.InTxWith(t.Context(), pgdbm.TxOptions{SearchPath: true}, func(tx *pgdbm.Tx) error {
		return feelings.In(tx).InsertAll(t.Context(), rows)
	}))
	_, err := feelings.UpsertAll(t.Context(), rows)
	check(t, err)
}
