package pgdbm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// Binding says what the templates of a manager's SQL mean. It is how package
// module makes managers; for a single schema [Pool.Manager] is enough.
type Binding struct {
	// Module is the module's name, for messages and {{tables.<Module>.t}}.
	Module string

	// Schema is the bound schema; "" binds none.
	Schema string

	// Modules are the declared dependencies: module name to schema. Nil lets
	// {{tables.x.t}} name any schema literally; empty forbids it altogether.
	Modules map[string]string

	counters *counters // of its statements; nil: not counted
}

// clone returns a copy that nobody else can change.
func (b *Binding) clone() *Binding {
	return &Binding{Module: b.Module, Schema: b.Schema, Modules: maps.Clone(b.Modules)}
}

func (b *Binding) validate() error {
	for _, name := range slices.Concat([]string{b.Schema, b.Module}, slices.Collect(maps.Values(b.Modules))) {
		if name == "" {
			continue
		}
		if err := ValidateSchema(name); err != nil {
			return err
		}
	}
	return nil
}

// ValidateSchema reports whether name can be bound: a letter or underscore
// followed by up to 62 letters, digits or underscores, not beginning with
// "pg_", which PostgreSQL keeps for itself.
func ValidateSchema(name string) error {
	if !sqltmpl.ValidName(name) {
		return fmt.Errorf("pgdbm: schema %q: a name is a letter or _ followed by up to 62 letters, digits or _", name)
	}
	if strings.HasPrefix(name, "pg_") {
		return fmt.Errorf("pgdbm: schema %q: names that begin with pg_ belong to PostgreSQL", name)
	}
	return nil
}

// qualify returns a table's quoted name, with its schema where one is bound.
func (b *Binding) qualify(table string) string {
	if b.Schema == "" {
		return sqltmpl.Quote(table)
	}
	return sqltmpl.Quote(b.Schema) + "." + sqltmpl.Quote(table)
}

// identifier is qualify for pgx, of a name that was not checked yet.
func (b *Binding) identifier(table string) (pgx.Identifier, error) {
	if !sqltmpl.ValidName(table) {
		return nil, fmt.Errorf("pgdbm: table %q: name an unqualified table of the bound schema", table)
	}
	if b.Schema == "" {
		return pgx.Identifier{table}, nil
	}
	return pgx.Identifier{b.Schema, table}, nil
}

// resolve returns what a template stands for.
func (b *Binding) resolve(ref sqltmpl.Ref) (string, error) {
	if ref.Kind == sqltmpl.Schema {
		if b.Schema == "" {
			return sqltmpl.Quote("public"), nil
		}
		return sqltmpl.Quote(b.Schema), nil
	}
	if ref.Module == "" {
		return b.qualify(ref.Name), nil
	}
	schema, err := b.schemaOf(ref)
	if err != nil {
		return "", err
	}
	return sqltmpl.Quote(schema) + "." + sqltmpl.Quote(ref.Name), nil
}

// schemaOf returns the schema that the module of ref lives in.
func (b *Binding) schemaOf(ref sqltmpl.Ref) (string, error) {
	if b.Modules == nil {
		return ref.Module, nil
	}
	if ref.Module == b.Module {
		return b.Schema, nil
	}
	if schema, ok := b.Modules[ref.Module]; ok {
		return schema, nil
	}
	has := "it declares none"
	if len(b.Modules) > 0 {
		has = "it declares " + strings.Join(slices.Sorted(maps.Keys(b.Modules)), ", ")
	}
	return "", fmt.Errorf("pgdbm: %s at offset %d: module %q does not depend on %q (%s); add it to DependsOn",
		ref.Text, ref.Offset, b.Module, ref.Module, has)
}

// expander expands templates and remembers the result: a text is parsed once,
// and expanded once for each binding that uses it.
type expander struct {
	parsed   cache[string, *sqltmpl.Template]
	expanded cache[expansion, string]
}

type expansion struct {
	binding *Binding
	sql     string
}

// Bounds of the caches, in texts, and the longest text that is remembered, in
// bytes. Application code has hundreds of texts; what exceeds these is
// generated text that is not worth remembering.
const (
	maxParsed   = 4096
	maxExpanded = 16384
	maxText     = 16 << 10
)

func newExpander() *expander {
	return &expander{
		parsed:   cache[string, *sqltmpl.Template]{limit: maxParsed},
		expanded: cache[expansion, string]{limit: maxExpanded},
	}
}

func (x *expander) expand(b *Binding, sql string) (string, error) {
	if !strings.Contains(sql, "{{") {
		return sql, nil
	}
	key := expansion{b, sql}
	if text, ok := x.expanded.get(key); ok {
		return text, nil
	}
	tpl, ok := x.parsed.get(sql)
	if !ok {
		var err error
		if tpl, err = sqltmpl.Parse(sql, sqltmpl.Query); err != nil {
			return "", fmt.Errorf("pgdbm: %w", err)
		}
	}
	text, err := tpl.Expand(b.resolve)
	if err != nil {
		return "", err
	}
	if len(sql) <= maxText {
		x.parsed.put(sql, tpl)
		x.expanded.put(key, text)
	}
	return text, nil
}
