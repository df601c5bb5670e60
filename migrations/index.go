package migrations

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/sqllex"
)

// indexState is what the catalog says of an index that CREATE INDEX CONCURRENTLY
// is to build.
type indexState struct {
	name    string // quoted and qualified
	invalid bool   // it exists, but a failed build left it unusable
	same    bool   // it exists, is valid, and is what the statement would build
}

func isConcurrently(t sqllex.Token) bool { return t.Is("concurrently") }

// inspectIndex looks up the index of a CREATE INDEX CONCURRENTLY. ok is false for
// other statements.
func (s *session) inspectIndex(ctx context.Context, r rendered) (state indexState, ok bool, err error) {
	toks := significant(r.sql)
	x, ok := concurrentIndex(toks)
	if !ok || x.name == "" {
		return state, false, nil
	}
	got, err := run(ctx, s.conn, `select n.nspname, i.indisvalid, pg_catalog.pg_get_indexdef(i.indexrelid)
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where i.indrelid = to_regclass($1) and c.relname = $2`, x.table.Sanitize(), x.name)
	if err != nil || len(got.rows) == 0 {
		return state, true, err
	}
	row := got.rows[0]
	state.name = pgx.Identifier{row[0], x.name}.Sanitize()
	state.invalid = row[1] != "t"
	if !state.invalid {
		state.same = definition(row[2]) == definition(s.wouldBuild(ctx, row[0], x, toks, r.sql))
	}
	return state, true, nil
}

// wouldBuild returns the definition, as the server writes it, of the index that a
// CREATE INDEX CONCURRENTLY would build: it builds it on an empty copy of the table,
// and rolls that back. It is "" where that fails; then the statement itself says why.
func (s *session) wouldBuild(ctx context.Context, schema string, x index, toks tokens, sql string) string {
	if x.rest >= len(toks.list) {
		return ""
	}
	create := "create index "
	if toks.has(1, "unique") {
		create = "create unique index "
	}
	copied, name := pgx.Identifier{schema, "pgdbm_index_check"}.Sanitize(), pgx.Identifier{schema, "pgdbm_index_check_i"}.Sanitize()
	defer s.rollback(ctx)
	got, _, err := pipeline(ctx, s.conn, []request{
		{sql: beginSQL},
		{sql: "create table " + copied + " (like " + x.table.Sanitize() + ")"},
		{sql: create + "pgdbm_index_check_i on " + copied + " " + sql[toks.list[x.rest].Offset:]},
		{sql: "select pg_catalog.pg_get_indexdef($1::text::regclass)", args: []any{name}, keep: true},
	}, nil)
	if err != nil {
		return ""
	}
	return got[3].rows[0][0]
}

// definition is what pg_get_indexdef says but for the names of index and table.
func definition(indexdef string) string {
	create, rest, _ := strings.Cut(indexdef, " USING ")
	if strings.HasPrefix(create, "CREATE UNIQUE ") {
		return "unique " + rest
	}
	return rest
}

func significant(sql string) tokens {
	var t tokens
	for tok := range sqllex.Tokens(sql) {
		if !tok.Trivia() {
			t.list = append(t.list, tok)
		}
	}
	return t
}
