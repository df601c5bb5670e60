package repo_test

import (
	"fmt"
	"slices"
	"testing"

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
			db := openMode(t, mode, relations)
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
		})
	}
}
