package pgdbm_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// However a value travels, one that cannot be encoded stays out of the message.
func TestValuesStayOutOfEncodingErrors(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	odd := struct{ S string }{secret}
	batch := &pgx.Batch{}
	batch.Queue("select $1::int", odd)
	_, copied := m.CopyFrom(ctx, "items", []string{"n"}, pgx.CopyFromRows([][]any{{odd}}))
	_, copiedText := m.CopyFrom(ctx, "items", []string{"n"}, pgx.CopyFromRows([][]any{{secret}}))
	for how, err := range map[string]error{
		"cache statement": second(m.Exec(ctx, "select $1::int", pgx.QueryExecModeCacheStatement, odd)),
		"cache describe":  second(m.Exec(ctx, "select $1::int", pgx.QueryExecModeCacheDescribe, odd)),
		"exec":            second(m.Exec(ctx, "select $1::int", pgx.QueryExecModeExec, odd)),
		"simple":          second(m.Exec(ctx, "select $1::int", pgx.QueryExecModeSimpleProtocol, odd)),
		"array":           second(m.Exec(ctx, "select $1::int[]", []any{odd})),
		"composite":       second(m.Exec(ctx, "select $1::{{schema}}.items", pgtype.CompositeFields{1, secret, 2})),
		"map":             second(m.Exec(ctx, "select $1::int", map[string]string{"a": secret})),
		"bytes":           second(m.Exec(ctx, "select $1::int", []byte(secret))),
		"number":          second(m.Exec(ctx, "select $1::int2", secretNumber)),
		"second":          second(m.Exec(ctx, "select $1::int, $2::int2", 1, secretNumber)),
		"valuer":          second(m.Exec(ctx, "select $1::int", valuer{})),
		"batch":           m.SendBatch(ctx, batch).Close(),
		"copy":            copied,
		"copy of text":    copiedText,
	} {
		if !errors.Is(err, pgdbm.ErrInvalid) {
			t.Errorf("%s: %v", how, err)
		}
		if how == "second" {
			testkit.ErrorContains(t, err, "pgdbm: invalid value: argument $2 cannot be encoded as int2")
		}
		valueFree(t, how, err)
	}
	whole(t, m)
}

// valuer is a value that does not want to be stored.
type valuer struct{}

func (valuer) Value() (any, error) { return nil, errors.New("not " + secret) }

// Nor do messages show what rows hold.
func TestValuesStayOutOfScanErrors(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	for _, c := range []struct {
		sql    string
		target any
		text   string
	}{
		{"select '" + secret + "'::text as name", new(int), `(col: name): cannot scan text (OID 25) in text format into *int`},
		{"select null::int as n", new(int), "cannot scan NULL into *int; scan a column that can be NULL into a pointer"},
		{"select 8675309 as n", new(int8), "… is greater than maximum value for int8"},
		{"select 8675309::numeric as n", new(int16), "maximum value for int16"},
		{"select 8675309.5::float8 as n", new(int), "cannot losslessly convert … to int64"},
		{"select '\"" + secret + "\"'::json as j", new(map[string]int), "json: cannot unmarshal string"},
		{"select '8675309'::json as j", new(int8), "cannot unmarshal number … into Go value of type int8"},
		{"select '10.86.75.30/9'::inet as a", new(netip.Addr), "cannot scan … to netip.Addr"},
		{"select 'infinity'::date as d", new(time.Time), "cannot scan … into *time.Time"},
		{"select '" + secret + "' as s", new(choosy), `no such color: "…"`},
	} {
		for where, run := range within {
			if where == "hidden" {
				continue // a target that does not fit is nothing to the server
			}
			err := run(ctx, m, func(db pgdbm.DB) error { return db.QueryRow(ctx, c.sql).Scan(c.target) })
			testkit.ErrorContains(t, err, "pgdbm: can't scan into dest[0]", c.text)
			valueFree(t, c.sql+", "+where, err)
			if strings.Contains(err.Error(), "86.75") {
				t.Errorf("a value in %v", err)
			}
		}
	}
	whole(t, m)
}

// choosy is a target that takes nothing.
type choosy struct{}

func (*choosy) Scan(src any) error { return fmt.Errorf("no such color: %q", src) }

// Arguments are found in messages whatever they are made of.
func TestValuesOfArguments(t *testing.T) {
	t.Parallel()
	m := setup(t)
	ctx := t.Context()
	text := secret
	type named string
	type inner struct{ S *string }
	for i, arg := range []any{
		secret, &text, []byte(secret), named(secret),
		sql.NullString{String: secret, Valid: true},
		pgtype.Text{String: secret, Valid: true},
		sql.Null[string]{V: secret, Valid: true},
	} {
		err := second(m.Exec(ctx, "select $1::text::regclass", pgx.QueryExecModeCacheDescribe, arg))
		testkit.ErrorContains(t, err, `relation "…" does not exist`)
		valueFree(t, fmt.Sprint(i), err)
	}
	err := second(m.Exec(ctx, "select @name::text::regclass", pgx.NamedArgs{"name": secret}))
	testkit.ErrorContains(t, err, `relation "…" does not exist`)
	pg := &pgconn.PgError{Code: "42P01", Message: `relation "` + secret + `" does not exist`}
	for i, arg := range []any{
		[]any{map[string]any{"a": []inner{{&text}}}},
		[]string{secret},
		json.RawMessage(secret),
		stringer{},
		new(stringer{}),
		uuid{1, 2, 3},
		slices.Concat(make([]any, 50000), []any{secret}),
		[]any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{secret}}}}}}}}, // too deep: all quotes go
	} {
		valueFree(t, fmt.Sprint(i), pgdbm.ClassifyWith(pg, arg))
	}
	for _, arg := range []any{netip.Addr{}, time.Now(), new(time.Now()), (*stringer)(nil), nil, &struct{ X any }{}, [0]int{}, slices.Repeat([]byte{'x'}, 1<<20), func() {}, 1 + 2i, panics{}} {
		testkit.ErrorContains(t, pgdbm.ClassifyWith(pg, arg), secret) // which is no argument then
	}
	for message, want := range map[string]string{ // what is no value stays
		`relation "a.items" does not exist`:                       `relation "a.items" does not exist`,
		`operator does not exist: text = integer`:                 `operator does not exist: text = integer`,
		`column "id" of relation "items" does not exist`:          `column "id" of relation "…" does not exist`,
		`syntax error at or near "'items'"`:                       `syntax error at or near "…"`,
		`requested character too large for encoding: 1114112`:     `requested character too large for encoding: …`,
		`cannot pass more than 100 arguments to a function`:       `cannot pass more than 100 arguments to a function`,
		`index row size 11141124 exceeds btree version 4 maximum`: `index row size 11141124 exceeds btree version 4 maximum`,
	} {
		err := pgdbm.ClassifyWith(&pgconn.PgError{Code: "42P01", Message: message}, "items", "text", "does", 1114112, "no", 4)
		testkit.ErrorContains(t, err, ": "+want+" (")
	}
	raised := &pgconn.PgError{Code: "P0001", Message: "order 7 of ann is closed, annual limit 17", Routine: "exec_stmt_raise"}
	testkit.ErrorContains(t, pgdbm.ClassifyWith(raised, 7, "ann"), "pgdbm: order … of … is closed, annual limit 17")
}

type stringer struct{}

func (stringer) String() string { return secret }

type uuid [16]byte

func (uuid) String() string { return secret }

type panics struct{}

func (panics) String() string { panic("boom") }

// Servers speak many languages, and quote in as many ways.
func TestValuesInOtherLanguages(t *testing.T) {
	t.Parallel()
	for _, message := range []string{
		"ungültige Eingabesyntax für Typ integer: »" + secret + "«",
		"syntaxe en entrée invalide pour le type integer : « " + secret + " »",
		`integer型の入力構文が不正です: "` + secret + `"`,
		"无效的类型 integer 输入语法: “" + secret + "”",
	} {
		err := pgdbm.Classify(&pgconn.PgError{Code: "22P02", Message: message})
		valueFree(t, message, err)
		testkit.ErrorContains(t, err, "integer", "…")
	}
}

// The server's error holds values in its other fields, and stays within reach.
func TestPrintingAnErrorShowsNoValues(t *testing.T) {
	t.Parallel()
	m := setupErrors(t, pgdbm.Config{})
	err := second(m.Exec(t.Context(), insert, secret))
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || !strings.Contains(pg.Detail, secret) {
		t.Fatalf("the server's error: %+v", pg)
	}
	valueFree(t, "the error itself", err)
	valueFree(t, "wrapped", fmt.Errorf("adding: %w", err))
	var out strings.Builder
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Error("failed", "err", err, slog.Group("more", "err", err), "in", []error{err})
	}
	if strings.Contains(out.String(), secret) {
		t.Errorf("log: %s", &out)
	}
}
