package pgdbm_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// What stands for argument values; no message may hold it.
const (
	secret       = "hunter2secret"
	secretNumber = 8675309
)

// errorTables is what the statements of errorCases need.
const errorTables = `
	create type {{schema}}.mood as enum ('sad', 'ok');
	create domain {{schema}}.percent as int check (value <= 100);
	create table {{tables.items}} (id bigint generated always as identity primary key, name text unique, n int check (n >= 0));
	create table {{tables.refs}} (item bigint references {{tables.items}}, note text);
	create table {{tables.strict}} (name text not null, short varchar(3), num numeric(3, 1), note text);
	create table {{tables.rooms}} (during int4range, exclude using gist (during with &&));
	create table {{tables.items_123456}} (name text constraint foo_654321 unique, n int constraint n_654321 check (n > 0));
	create function {{schema}}.raises(text, int) returns int language plpgsql as
		$$begin raise exception 'no % here, nor %', $1, $2; end$$;
	create function {{schema}}.fails(text, text) returns int language plpgsql as
		$$begin raise exception 'no % here', $2 using errcode = $1; end$$;
	insert into {{tables.items}} (name) values ('` + secret + `');
	insert into {{tables.refs}} values (1);
	insert into {{tables.rooms}} values ('[8675309,8675310)');
	insert into {{tables.items_123456}} values ('` + secret + `')`

// errorCase is a statement that fails.
type errorCase struct {
	sql  string
	args []any
	want pgdbm.Error // the class, and the names
	code string      // SQLSTATE
	text string      // in the message
}

var errorCases = map[string]errorCase{
	"unique":     {insert, []any{secret}, pgdbm.Error{Class: pgdbm.ErrConflict, Schema: "app", Table: "items", Constraint: "items_name_key"}, "23505", `duplicate key value violates unique constraint "items_name_key" (table app.items, SQLSTATE 23505)`},
	"exclusion":  {"insert into {{tables.rooms}} values (int4range($1, $1 + 1))", []any{secretNumber}, pgdbm.Error{Class: pgdbm.ErrConflict, Schema: "app", Table: "rooms", Constraint: "rooms_during_excl"}, "23P01", "conflicting key value"},
	"reference":  {"insert into {{tables.refs}} values ($1, $2)", []any{secretNumber, secret}, pgdbm.Error{Class: pgdbm.ErrReference, Schema: "app", Table: "refs", Constraint: "refs_item_fkey"}, "23503", "violates foreign key constraint"},
	"referenced": {"delete from {{tables.items}} where name = $1", []any{secret}, pgdbm.Error{Class: pgdbm.ErrReference, Schema: "app", Table: "refs", Constraint: "refs_item_fkey"}, "23503", `on table "items" violates foreign key constraint`},
	"not null":   {"insert into {{tables.strict}} (note) values ($1)", []any{secret}, pgdbm.Error{Class: pgdbm.ErrInvalid, Schema: "app", Table: "strict", Column: "name"}, "23502", "(table app.strict, column name, SQLSTATE 23502)"},
	"check":      {"insert into {{tables.items}} (name, n) values ('x', - $1::int)", []any{secretNumber}, pgdbm.Error{Class: pgdbm.ErrInvalid, Schema: "app", Table: "items", Constraint: "items_n_check"}, "23514", "violates check constraint"},
	"domain":     {"select $1::int::{{schema}}.percent", []any{secretNumber}, pgdbm.Error{Class: pgdbm.ErrInvalid, Schema: "app", Constraint: "percent_check"}, "23514", "value for domain app.percent"},
	"six digits": {"insert into {{tables.items_123456}} (name) values ($1)", []any{secret}, pgdbm.Error{Class: pgdbm.ErrConflict, Schema: "app", Table: "items_123456", Constraint: "foo_654321"}, "23505", `"foo_654321"`},
	"the same":   {"insert into {{tables.items_123456}} (n) values (- $1::int)", []any{secretNumber}, pgdbm.Error{Class: pgdbm.ErrInvalid, Schema: "app", Table: "items_123456", Constraint: "n_654321"}, "23514", `"n_654321"`},

	"integer":      {"select $1::text::int", []any{secret}, invalid, "22P02", `invalid input syntax for type integer: "…" (schema app, SQLSTATE 22P02)`},
	"uuid":         {"select $1::text::uuid", []any{secret}, invalid, "22P02", "type uuid"},
	"json":         {"select $1::text::json", []any{`{"a": ` + secret + `}`}, invalid, "22P02", "invalid input syntax for type json"},
	"enum":         {"select $1::text::{{schema}}.mood", []any{secret}, invalid, "22P02", "invalid input value for enum app.mood"},
	"array":        {"select $1::text::int[]", []any{`{"` + secret}, invalid, "22P02", "malformed array literal"},
	"record":       {"select $1::text::{{schema}}.items", []any{secret}, invalid, "22P02", "malformed record literal"},
	"quotes":       {"select $1::text::int", []any{`"` + secret + `" for "` + secret + `"`}, invalid, "22P02", `invalid input syntax for type integer: "…"`},
	"date":         {"select $1::text::date", []any{secret}, invalid, "22007", "invalid input syntax for type date"},
	"day":          {"select $1::text::date", []any{"8675309-13-45"}, invalid, "22008", "date/time field value out of range"},
	"unit":         {"select date_trunc($1::text, now())", []any{secret}, invalid, "22023", "not recognized"},
	"range":        {"select $1::text::int", []any{"86753098675309"}, invalid, "22003", "out of range for type integer"},
	"overflow":     {"insert into {{tables.strict}} (name, num) values ('x', $1::int)", []any{secretNumber}, invalid, "22003", "numeric field overflow"},
	"length":       {"insert into {{tables.strict}} (name, short) values ('x', $1)", []any{secret}, invalid, "22001", "value too long for type character varying(3)"},
	"zero":         {"select $1::int / ($1::int - $1::int)", []any{secretNumber}, invalid, "22012", "division by zero"},
	"logarithm":    {"select ln(- $1::int)", []any{secretNumber}, invalid, "2201E", "cannot take logarithm"},
	"encoding":     {"select convert_from($1::bytea, 'UTF8')", []any{[]byte("\xe6" + secret)}, invalid, "22021", `invalid byte sequence for encoding "…": …`},
	"rows as args": {"select unnest($1::text[])::int", []any{[]string{"1", secret}}, invalid, "22P02", "type integer"},
	"named":        {"select $1::text::int", []any{&pgtype.Text{String: secret, Valid: true}}, invalid, "22P02", "type integer"},

	"table":       {"select * from {{tables.missing}} where $1::text <> ''", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app", Table: "missing"}, "42P01", `relation "app.missing" does not exist (table app.missing, SQLSTATE 42P01); was the module of schema app migrated?`},
	"unqualified": {"select * from items where $1::text <> ''", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app", Table: "items"}, "42P01", `relation "items" does not exist (table app.items, SQLSTATE 42P01); the name is not qualified: write {{tables.items}} for the table of schema app`},
	"elsewhere":   {"select * from other.items where $1::text <> ''", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "other", Table: "items"}, "42P01", "was the module of schema other migrated?"},
	"from clause": {"select x.name from {{tables.items}} where $1::text <> ''", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app"}, "42P01", `missing FROM-clause entry for table "x" (schema app, SQLSTATE 42P01)`},
	"column":      {"select nam from {{tables.items}} where $1::text <> ''", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app", Column: "nam"}, "42703", `column "nam" does not exist (schema app, column nam, SQLSTATE 42703); perhaps you meant to reference the column "items.name"`},
	"of an alias": {"select i.nope from {{tables.items}} i where $1::text <> ''", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app", Column: "nope"}, "42703", "column i.nope does not exist"},
	"of a table":  {"insert into {{tables.items}} (nope) values ($1)", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app", Table: "items", Column: "nope"}, "42703", "(table app.items, column nope, SQLSTATE 42703)"},
	"schema":      {"create table nope.t ()", nil, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "nope"}, "3F000", `schema "nope" does not exist (schema nope, SQLSTATE 3F000); was the module migrated?`},
	"function":    {"select nope($1::text)", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app"}, "42883", "function nope(text) does not exist (schema app, SQLSTATE 42883); no function matches the given name and argument types"},
	"regclass":    {"select $1::text::regclass", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app"}, "42P01", `relation "…" does not exist (schema app, SQLSTATE 42P01)`},
	"regschema":   {"select $1::text::regnamespace", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app"}, "3F000", `schema "…" does not exist`},
	"regtype":     {"select $1::text::regtype", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app"}, "42704", `type "…" does not exist`},
	"role":        {"select pg_has_role($1::name, 'usage')", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app"}, "42704", `role "…" does not exist`},
	"setting":     {"select current_setting($1::text)", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app"}, "42704", `configuration parameter "…"`},
	"database":    {"select pg_database_size($1::name)", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUndefined, Schema: "app"}, "3D000", `database "…" does not exist`},

	"serialization": {"select {{schema}}.fails('40001', $1)", []any{secret}, pgdbm.Error{Class: pgdbm.ErrRetryable, Schema: "app"}, "40001", "transaction must retry: no … here (schema app, SQLSTATE 40001); run the whole transaction again"},
	"deadlock":      {"select {{schema}}.fails('40P01', $1)", []any{secret}, pgdbm.Error{Class: pgdbm.ErrRetryable, Schema: "app"}, "40P01", "lock rows in the same order everywhere"},
	"lost":          {"select {{schema}}.fails('08006', $1)", []any{secret}, pgdbm.Error{Class: pgdbm.ErrUnavailable, Schema: "app"}, "08006", "server unavailable: no … here (schema app, SQLSTATE 08006)"},

	"raised":    {"select {{schema}}.raises($1, $2)", []any{secret, secretNumber}, pgdbm.Error{Schema: "app"}, "P0001", "no … here, nor … (schema app, SQLSTATE P0001)"},
	"character": {"select chr($1)", []any{secretNumber}, pgdbm.Error{Schema: "app"}, "54000", "requested character too large for encoding: …"},
}

var invalid = pgdbm.Error{Class: pgdbm.ErrInvalid, Schema: "app"}

// setupErrors returns a manager of schema app with errorTables.
func setupErrors(t *testing.T, cfg pgdbm.Config) *pgdbm.Manager {
	t.Helper()
	m := bind(t, open(t, cfg), "app")
	exec(t, m, errorTables)
	return m
}
