package pgdbm_test

import (
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestExecReturningID(t *testing.T) {
	t.Parallel()
	m := setupOne(t)
	exec(t, m, `create table {{tables.items}} (id bigint generated always as identity primary key, name text unique, "returning" int default 7, n int)`)
	ctx := t.Context()
	for _, c := range []struct {
		sql  string
		want int64
	}{
		{"insert into {{tables.items}} (name) values ('a')", 1},
		{"insert into {{tables.items}} (name) values ('b');", 2},
		{"insert into {{tables.items}} (name) values ('c') -- returning n", 3},
		{"insert into {{tables.items}} (name) values ('d') /* returning n */ ; -- the end", 4},
		{"insert into {{tables.items}} (name) values ('e')\nreturning id", 5},
		{"INSERT INTO {{tables.items}} (name) VALUES ('f') RETURNING \"returning\", id", 7},
		{"insert into {{tables.items}} (name) values (' returning n ')", 7},
		{"insert into {{tables.items}} (name) values ($$ RETURNING n $$)", 8},
		{`insert into {{tables.items}} ("returning") values (1)`, 9},
		{"insert into {{tables.items}} as i (name, n) select i.returning, 1 from (select 'g' as returning) i", 10},
		{"insert into {{tables.items}} (name) select 'h' as returning", 11},
		{"with x as (insert into {{tables.items}} (name) values ('i') returning n) insert into {{tables.items}} (n) select n from x", 13},
		{"with x as (select 1 as n), insert as (select 2) insert into {{tables.items}} (n) select x.n from x, insert", 14},
		{"with recursive r (n) as (select 1 union all select n + 1 from r where n < 1) search depth first by n set update update {{tables.items}} i set n = 2 from r where i.n = 2 - r.n and i.id = 10", 10},
		{"with update (n) as (select 1), y as not materialized (select 1) update {{tables.items}} i set n = 3 from update where i.id = 10", 10},
		{"update {{tables.items}} set n = 5 where name = 'a'", 1},
		{"update {{tables.items}} set n = 5 where name = 'a' returning n + 1", 6},
		{"insert into {{tables.items}} (name, n) values ('a', 8) on conflict (name) do update set n = excluded.n returning n", 8},
		{"insert into {{tables.items}} (name, n) values ('a', 9) on conflict (name) do update set n = excluded.n", 1},
		{"with gone as (select 2 as key) delete from {{tables.items}} i using gone where i.id = gone.key", 2},
		{"delete from {{tables.items}} where id = 3", 3},
	} {
		if got, err := pgdbm.ExecReturningID[int64](ctx, m, c.sql); err != nil || got != c.want {
			t.Errorf("%s: %d, %v; want %d", c.sql, got, err, c.want)
		}
	}
	name, err := pgdbm.ExecReturningID[string](ctx, m, "insert into {{tables.items}} (name) values ($1) returning name, id", "z")
	if err != nil || name != "z" {
		t.Errorf("%s, %v", name, err)
	}
	null, err := pgdbm.ExecReturningID[*string](ctx, m, "insert into {{tables.items}} (n) values (1) returning name")
	if err != nil || null != nil {
		t.Errorf("%v, %v", null, err)
	}
	testkit.NoError(t, m.InTx(ctx, func(tx *pgdbm.Tx) error {
		_, err := pgdbm.ExecReturningID[int64](ctx, tx, "insert into {{tables.items}} (name) values ('tx')")
		return err
	}))
	whole(t, m)
}

func TestExecReturningIDErrors(t *testing.T) {
	t.Parallel()
	m := setupOne(t)
	exec(t, m, "create table {{tables.items}} (id bigint generated always as identity primary key, name text unique)")
	exec(t, m, "create table {{tables.keyless}} (name text)")
	exec(t, m, "insert into {{tables.items}} (name) values ('a'), ('b')")
	const other = "pgdbm: ExecReturningID is for INSERT, UPDATE, DELETE and MERGE; use FetchValue"
	for _, c := range []struct {
		sql, want string
		is        error
	}{
		{"insert into {{tables.items}} (name) values ('a') on conflict do nothing", "no rows", pgdbm.ErrNotFound},
		{"update {{tables.items}} set name = 'x' where id = 99", "no rows", pgdbm.ErrNotFound},
		{"insert into {{tables.items}} (name) values ('a')", "conflict: ", pgdbm.ErrConflict},
		{"insert into {{tables.keyless}} (name) values ('a')", `column "id" does not exist`, pgdbm.ErrUndefined},
		{"update {{tables.items}} set name = name", "the statement changed more than one row; use FetchAll, with RETURNING", nil},
		{"insert into {{tables.items}} (name) values ('x'); insert into {{tables.items}} (name) values ('y')", "the text has 2 statements; run one at a time", nil},
		{" -- nothing ; here", "the text has 0 statements", nil},
		{"", "the text has 0 statements", nil},
		{"insert into {{tables.items}} (name) values ('x", "pgdbm: ExecReturningID: offset 44: the string is never closed", nil},
		{"select 1", other, nil},
		{"with x as (insert into {{tables.items}} (name) values ('x') returning id) select id from x", other, nil},
		{"values (1)", other, nil},
		{"with x as (select 1) table x", other, nil},
		{"with", other, nil},
		{"truncate {{tables.items}}", other, nil},
		{"insert into {{tabels.items}} (name) values ('x')", "did you mean {{tables.items}}?", nil},
	} {
		id, err := pgdbm.ExecReturningID[int64](t.Context(), m, c.sql)
		testkit.ErrorContains(t, err, c.want)
		if c.is != nil {
			testkit.ErrorIs(t, err, c.is)
		}
		if id != 0 || strings.Count(err.Error(), "pgdbm: ") != 1 {
			t.Errorf("%s: %d, %v", c.sql, id, err)
		}
	}
	if got := names(t, m); len(got) != 2 {
		t.Errorf("stored: %v", got)
	}
	whole(t, m)
}

// FuzzReturning takes any text: what is returned is the statement, with RETURNING
// once.
func FuzzReturning(f *testing.F) {
	for _, s := range []string{
		"insert into {{tables.t}} values (1)", "insert into t values ('returning') -- returning", "with x as (select 1) update t set a = 1;",
		"with", "with x", "delete from t returning id", "insert into t select 1 as returning", "merge into t using u on a = b when matched then delete",
		"/* */ ;", "insert", "update update set update = update", "insert into t values (')", "delete from t where (a", "delete from t where a)",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		text, err := pgdbm.Returning(sql)
		if err != nil {
			return
		}
		statement, added := strings.CutSuffix(text, " returning id")
		if !strings.HasPrefix(sql, statement) && !strings.HasPrefix(sql, text) {
			t.Fatalf("%q became %q", sql, text)
		}
		if last := strings.ToLower(statement); strings.HasSuffix(last, ".") || strings.HasSuffix(last, "as") {
			return // what is not SQL needs no RETURNING
		}
		again, err := pgdbm.Returning(text)
		if err != nil || again != text {
			t.Fatalf("%q became %q, which becomes %q, %v (added: %t)", sql, text, again, err, added)
		}
	})
}

func BenchmarkReturning(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pgdbm.Returning("insert into {{tables.users}} (email, name, age, created_at) values ($1, $2, $3, now())"); err != nil {
			b.Fatal(err)
		}
	}
}
