package migrations

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Tool names a migration tool whose tracking table [Migrator.Adopt] can read.
type Tool string

// The tools.
const (
	ToolPgdbm         Tool = "pgdbm" // the Python library
	ToolGoose         Tool = "goose"
	ToolGolangMigrate Tool = "golang-migrate"
	ToolTern          Tool = "tern"
	ToolDbmate        Tool = "dbmate"
	ToolFlyway        Tool = "flyway"
)

// tool is how a tool keeps its records.
type tool struct {
	table   string                                 // the default name
	columns []string                               // that its table has, and no other tool's
	only    string                                 // type of the one column "version"; "" when there are others
	query   string                                 // %s is the table
	read    func(rows [][]string) (history, error) // nil: readPgdbm, which must know the module
}

// is reports whether a table with these columns is the tool's.
func (x tool) is(columns map[string]string) bool {
	if x.only != "" {
		return len(columns) == 1 && x.only == columns["version"]
	}
	return !slices.ContainsFunc(x.columns, func(c string) bool { return columns[c] == "" })
}

// history is what a tool's table says.
type history struct {
	table    string    // for messages
	rows     []foreign // applied and not undone, in the order of application
	below    int64     // files up to here count as applied, whether rows has them or not
	warnings []string
}

// foreign is a migration that another tool has applied. What it does not record
// is "".
type foreign struct {
	version int64
	label   string // the tool's own name of it
	name    string // the file's, where that is a part of the key
	sum     string // SHA-256 of the file's text without white space around it
	at      string // when, as a timestamptz
	millis  string // how long it took
	by      string // the role
}

// stamp renders a timestamp for foreign.at, whatever the session's DateStyle. One
// without a zone is taken to be in the session's.
func stamp(column string) string {
	return "coalesce(to_char(" + column + `::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '')`
}

// tools is read-only.
var tools = map[Tool]tool{
	ToolPgdbm: {
		table: "schema_migrations", columns: []string{"filename", "checksum", "module_name", "applied_at"},
		query: "select filename, checksum, coalesce(module_name, ''), " + stamp("applied_at") +
			", coalesce(execution_time_ms::text, ''), coalesce(applied_by, '') from %s order by id",
		read: nil, // readPgdbm also looks at the modules
	},
	ToolGoose: {
		table: "goose_db_version", columns: []string{"version_id", "is_applied"},
		query: "select version_id, is_applied, " + stamp("tstamp") + " from %s order by id", read: readGoose,
	},
	ToolGolangMigrate: {
		table: "schema_migrations", columns: []string{"version", "dirty"},
		query: "select version, dirty from %s", read: readGolangMigrate,
	},
	ToolTern: {
		table: "schema_version", only: "integer",
		query: "select version from %s", read: readTern,
	},
	ToolDbmate: {
		table: "schema_migrations", only: "character varying",
		query: "select version from %s", read: readDbmate,
	},
	ToolFlyway: {
		table: "flyway_schema_history", columns: []string{"installed_rank", "version", "type", "success"},
		query: `select coalesce(version, ''), type, script, success, ` + stamp("installed_on") +
			`, execution_time, installed_by from %s order by installed_rank`,
		read: readFlyway,
	},
}

// foreignHistory reads a tool's table.
func (s *session) foreignHistory(ctx context.Context, t *target, from Adoption) (history, error) {
	table, err := s.foreignTable(ctx, t, from)
	if err != nil {
		return history{}, err
	}
	name := strings.Join(table, ".")
	x := tools[from.Tool]
	got, err := run(ctx, s.conn, fmt.Sprintf(x.query, table.Sanitize()))
	if err != nil {
		return history{}, during("reading "+name, err)
	}
	read := x.read
	if read == nil {
		read = func(rows [][]string) (history, error) { return readPgdbm(rows, from.Module, t) }
	}
	h, err := read(got.rows)
	h.table = name
	if err != nil {
		return h, t.fail(fmt.Errorf("Adopt: %s: %w", name, err))
	}
	return h, nil
}

const foreignTables = `select n.nspname, c.relname, string_agg(a.attname || '=' || pg_catalog.format_type(a.atttypid, null), ',' order by a.attnum)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relname = $1 and c.relkind in ('r', 'p', 'v') and n.nspname not like 'pg\_%'
group by n.nspname, c.relname
order by n.nspname <> $2, n.nspname <> 'public', n.nspname`

// foreignTable finds a tool's table: in the given schema, else in the target's,
// else in public.
func (s *session) foreignTable(ctx context.Context, t *target, from Adoption) (pgx.Identifier, error) {
	x := tools[from.Tool]
	schemas := []string{t.Schema, "public"}
	table := from.Table
	if schema, rest, qualified := strings.Cut(table, "."); qualified {
		schemas, table = []string{schema}, rest
	}
	if table == "" {
		table = x.table
	}
	got, err := run(ctx, s.conn, foreignTables, table, t.Schema)
	if err != nil {
		return nil, during("looking for "+table, err)
	}
	var others, elsewhere []string
	for _, row := range got.rows {
		columns := map[string]string{}
		for c := range strings.SplitSeq(row[2], ",") {
			column, typ, _ := strings.Cut(c, "=")
			columns[column] = typ
		}
		name := row[0] + "." + row[1]
		switch {
		case !x.is(columns) && slices.Contains(schemas, row[0]):
			others = append(others, name+" "+looksLike(columns))
		case x.is(columns) && slices.Contains(schemas, row[0]):
			return pgx.Identifier{row[0], row[1]}, nil
		case x.is(columns):
			elsewhere = append(elsewhere, name)
		}
	}
	message := fmt.Sprintf("there is no table %s of %s in schema %s", table, from.Tool, strings.Join(slices.Compact(schemas), " or "))
	if len(others) > 0 {
		message += "; " + strings.Join(others, "; ")
	}
	if len(elsewhere) > 0 {
		message += "; name it in Adoption.Table if it is " + strings.Join(elsewhere, " or ")
	}
	return nil, t.fail(fmt.Errorf("Adopt: %w: %s", pgdbm.ErrUndefined, message))
}

// looksLike says whose table one with these columns is.
func looksLike(columns map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(tools)) {
		if tools[name].is(columns) {
			return "looks like " + string(name) + "'s"
		}
	}
	return "has other columns (" + listOf(columns) + ")"
}

func toolNames() string {
	var names []string
	for name := range tools {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
