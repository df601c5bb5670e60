package pgdbm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unique"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/spell"
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

	// ExecMode is how the manager's statements, batches and COPY are run; 0 is the
	// pool's way. A mode as the first argument of a statement wins. It is for fleets
	// of more schemas than a connection keeps statements of, see
	// [Config.StatementCache]: in pgx.QueryExecModeExec every statement takes one
	// round trip. Behind a transaction pooler cache_statement is cache_describe.
	// pgx.QueryExecModeDescribeExec is refused, and on a borrowed pool every mode.
	//
	// In pgx.QueryExecModeExec and SimpleProtocol the server does not say what the
	// parameters are: the Go type alone decides what is sent. Maps, structs, and
	// slices of those are sent as JSON, unless they have a text of their own
	// (driver.Valuer, fmt.Stringer); other slices as arrays. So a slice of scalars
	// for a jsonb column must be json.RawMessage, as must []byte that holds JSON,
	// and []byte for a text column must be a string: as []byte it would be stored in
	// hexadecimal. A struct for a composite type needs RegisterDefaultPgType in
	// [Config.AfterConnect].
	ExecMode pgx.QueryExecMode

	counters *counters // of its statements; nil: not counted
	role     *role     // that its statements run as; nil for that of the connection
	scope    string    // the same for bindings whose templates mean the same
	schema   unique.Handle[string]
}

// clone returns a copy that nobody else can change.
func (b *Binding) clone() *Binding {
	c := &Binding{Module: b.Module, Schema: b.Schema, Modules: maps.Clone(b.Modules), ExecMode: b.ExecMode, scope: b.Schema, schema: unique.Make(b.Schema)}
	if b.Modules != nil || b.Module != "" { // names hold no dots and no equal signs
		parts := []string{b.Module, b.Schema}
		for _, name := range slices.Sorted(maps.Keys(b.Modules)) {
			parts = append(parts, name+"="+b.Modules[name])
		}
		c.scope = strings.Join(parts, ".")
		if b.Modules == nil {
			c.scope += ".="
		}
	}
	return c
}

// validate reports every name that cannot be one.
func (b *Binding) validate() error {
	schemas := slices.Sorted(maps.Values(b.Modules))
	var errs []error
	for _, schema := range append([]string{b.Schema}, schemas...) {
		if schema != "" {
			errs = append(errs, ValidateSchema(schema))
		}
	}
	modules := slices.Sorted(maps.Keys(b.Modules))
	if b.Module != "" {
		modules = append(modules, b.Module)
	}
	for _, module := range modules {
		if !sqltmpl.ValidName(module) {
			errs = append(errs, fmt.Errorf("pgdbm: module %q: a name is a letter or _ followed by up to 62 letters, digits or _", module))
		}
	}
	return errors.Join(errs...)
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

// schemaOf returns the schema that a template lies in, "" for none.
func (b *Binding) schemaOf(ref sqltmpl.Ref) (string, error) {
	if schema, ok := b.find(ref); ok {
		return schema, nil
	}
	return "", b.undeclared(fmt.Sprintf("template %s at offset %d", ref.Text, ref.Offset), ref.Module,
		func(module string) string { return "{{tables." + module + "." + ref.Name + "}}" })
}

// find is schemaOf; it does not find the schemas of modules that are no dependencies.
func (b *Binding) find(ref sqltmpl.Ref) (schema string, ok bool) {
	switch {
	case ref.Kind == sqltmpl.Schema && b.Schema == "":
		return "public", true
	case ref.Module == "", ref.Module == b.Module:
		return b.Schema, true
	case b.Modules == nil:
		return ref.Module, true
	}
	schema, ok = b.Modules[ref.Module]
	return schema, ok
}

// undeclared is the error of what names a module that is no dependency. named
// says what to write for another module.
func (b *Binding) undeclared(what, module string, named func(module string) string) error {
	declared := slices.Sorted(maps.Keys(b.Modules))
	has := "it declares none"
	if len(declared) > 0 {
		has = "it declares " + strings.Join(declared, ", ")
	}
	hint := "add it to DependsOn"
	for _, name := range append(declared, b.Module) {
		if spell.Distance(strings.ToLower(module), strings.ToLower(name)) <= min(2, len(name)/2) {
			hint = "did you mean " + named(name) + "?"
			break
		}
	}
	owner := fmt.Sprintf("module %q", b.Module)
	if b.Module == "" {
		owner = "the manager of schema " + b.Schema
	}
	return fmt.Errorf("pgdbm: %s: %s does not depend on %q (%s); %s", what, owner, module, has, hint)
}
