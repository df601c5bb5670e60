package repo_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

func TestVerifyFindsNothing(t *testing.T) {
	t.Parallel()
	db := open(t, userTable, postTable, `create domain {{schema}}.name as text not null default 'x';
		create table {{tables.odds}} (
			a int, b {{schema}}.name, c text[] not null, d inet not null, e date, f timestamp not null, g bigint not null,
			h numeric, i {{schema}}.mood[] not null, j bytea, k interval not null, l int generated always as identity, m uuid,
			n text not null default '', p varchar(3)[] not null, unique (b, a)
		);
		create view {{tables.some}} as select id, email from {{tables.users}}`)
	type odd struct {
		A int            `db:"a,key"`
		B string         `db:"b,key"`
		C []string       `db:"c"`
		D netip.Addr     `db:"d"`
		E *time.Time     `db:"e"`
		F time.Time      `db:"f"`
		G int32          `db:"g"`
		H pgtype.Numeric `db:"h"`
		I []mood         `db:"i"`
		J []byte         `db:"j"`
		K time.Duration  `db:"k"`
		L *int           `db:"l,auto"`
		M *string        `db:"m"`
		P []string       `db:"p"`
	}
	type some struct {
		ID    int64  `db:"id,key"`
		Email string `db:"email"`
	}
	run(t, db, `alter table {{tables.odds}} alter a set not null`)
	for name, err := range map[string]error{
		"users": newRepo[user](t, db, "users").Verify(t.Context()),
		"posts": newRepo[post](t, db, "posts").Verify(t.Context()),
		"odds":  newRepo[odd](t, db, "odds").Verify(t.Context()),
		"view":  newRepo[some](t, db, "some").Verify(t.Context()),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyFindsEverything(t *testing.T) {
	t.Parallel()
	db := open(t, `create type {{schema}}.mood as enum ('ok');
		create table {{tables.docs}} (
			id bigint not null, email text, mood {{schema}}.mood not null, doc bytea not null, at timestamptz not null,
			twice int not null generated always as (1 + 1) stored, owner text not null, note text not null default '', number int not null
		);
		create unique index on {{tables.docs}} (id) where number > 0;
		create unique index on {{tables.docs}} (id, number)`)
	type doc struct {
		ID     int64          `db:"id,key"`
		Email  string         `db:"email"`
		Mood   int            `db:"mood"`
		Doc    map[string]any `db:"doc,json"`
		At     int64          `db:"at"`
		Twice  int            `db:"twice"`
		Number time.Time      `db:"number"`
		Titel  string         `db:"titel"`
		Notes  string         `db:"notes"`
	}
	err := newRepo[doc](t, db, "docs").Verify(t.Context())
	wantError(t, err, "repo: docs: repo_test.doc does not fit the table: ",
		`column "email": it can be NULL, which field Email string cannot hold; use *string, or declare the column NOT NULL`,
		`column "mood": its type app.mood does not go with field Mood int`,
		`column "doc": its type bytea does not go with field Doc map[string]interface {}`,
		`column "at": its type timestamp with time zone does not go with field At int64`,
		`column "twice": the database generates it; tag field Twice auto`,
		`column "number": its type integer does not go with field Number time.Time`,
		`the table has no column "titel" (field Titel)`,
		`the table has no column "notes" (field Notes); did you mean "note"?`,
		`column "owner" is NOT NULL without a default, and no field has it: Insert will fail; add the field or the default`,
		`no unique index makes the key unique (1 column (id int64)): Get and Update may reach several rows`)
	if n := strings.Count(err.Error(), "\n") + 1; n != 10 {
		t.Errorf("%d complaints: %v", n, err)
	}
	if err := newRepo[doc](t, db, "missing").Verify(t.Context()); !errors.Is(err, pgdbm.ErrUndefined) {
		t.Errorf("got %v, want ErrUndefined", err)
	}
	run(t, db, `create unique index on {{tables.docs}} (id)`)
	if err := newRepo[doc](t, db, "docs").Verify(t.Context()); err == nil || strings.Contains(err.Error(), "unique index") {
		t.Errorf("got %v", err)
	}
}

// Options need columns of their kind, and fields that Insert leaves out need a default.
func TestVerifyKnowsWhatOptionsNeed(t *testing.T) {
	t.Parallel()
	type row struct {
		ID      int        `db:"id,key,auto"`
		Deleted *int64     `db:"deleted,softdelete"`
		Touched int64      `db:"touched,touch"`
		Made    time.Time  `db:"made,generated"`
		Free    *time.Time `db:"free,auto"`
	}
	type other struct {
		ID      int        `db:"id,key"`
		Deleted *time.Time `db:"deleted,softdelete"`
	}
	db := open(t, `create table {{tables.rows}} (id int primary key, deleted bigint, touched bigint not null, made timestamptz not null, free timestamptz);
		create table {{tables.others}} (id int primary key, deleted timestamptz not null)`)
	err := newRepo[row](t, db, "rows").Verify(t.Context())
	wantError(t, err, `column "id": it is NOT NULL without a default, and Insert leaves field ID out when it is zero; declare the default, or drop the option auto`,
		`column "made": it is NOT NULL without a default, and Insert leaves field Made out; declare the default, or drop the option generated`,
		`column "deleted": its type bigint cannot take now(), which the option softdelete stores; use timestamptz`,
		`column "touched": its type bigint cannot take now(), which the option touch stores; use timestamptz`)
	if n := strings.Count(err.Error(), "\n") + 1; n != 4 {
		t.Errorf("%d complaints: %v", n, err)
	}
	wantError(t, newRepo[other](t, db, "others").Verify(t.Context()),
		`column "deleted": it is NOT NULL, and NULL is what the option softdelete stores in a live row; drop the constraint`)
}

// What a trigger may fill in, domains of domains and foreign tables are no mistakes.
func TestVerifyOfUnusualTables(t *testing.T) {
	t.Parallel()
	type row struct {
		ID   int    `db:"id,key,auto"`
		Name string `db:"name"`
		Mood mood   `db:"mood"`
	}
	db := open(t, `create type {{schema}}.mood as enum ('ok');
		create domain {{schema}}.some as text not null;
		create domain {{schema}}.name as {{schema}}.some check (value <> '');
		create domain {{schema}}.feeling as {{schema}}.mood not null;
		create table {{tables.rows}} (id int primary key, name {{schema}}.name, mood {{schema}}.feeling, search tsvector not null);
		create foreign data wrapper nowhere;
		create server nowhere foreign data wrapper nowhere;
		create foreign table {{tables.far}} (id int not null default 1, name text not null, mood {{schema}}.mood not null) server nowhere`)
	run(t, db, `create function {{schema}}.fill() returns trigger language plpgsql as 'begin new.id = 1; new.search = to_tsvector(new.name); return new; end'`)
	run(t, db, `create trigger fill before insert or update on {{tables.rows}} for each row execute function {{schema}}.fill()`)
	for _, table := range []string{"rows", "far"} {
		if err := newRepo[row](t, db, table).Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", table, err)
		}
	}
	type wrong struct {
		ID   int `db:"id,key,auto"`
		Name int `db:"name"`
		Mood int `db:"mood"`
	}
	wantError(t, newRepo[wrong](t, db, "rows").Verify(t.Context()), `column "mood": its type app.feeling does not go with field Mood int`)
}
