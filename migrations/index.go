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
	state.same = !state.invalid && definition(toks) == definition(significant(row[2]))
	return state, true, nil
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

// definition is what CREATE INDEX says behind the table's name, and whether the
// index is unique, in the form in which pg_get_indexdef writes it.
func definition(t tokens) string {
	var b strings.Builder
	if t.has(1, "unique") {
		b.WriteString("unique ")
	}
	i := 0
	for i < len(t.list) && !t.has(i, "on") {
		i++
	}
	i++
	if t.has(i, "only") {
		i++
	}
	_, _, i = t.name(i)
	if !t.has(i, "using") {
		b.WriteString("using btree ")
	}
	for ; i < len(t.list); i++ {
		if name := t.list[i].Name(); name != "" {
			b.WriteString(name + " ")
		} else {
			b.WriteString(t.list[i].Text + " ")
		}
	}
	return b.String()
}
