package pgdbm

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// role is the database role that a module's statements run as; see
// [Config.ModuleRoles]. It is set for one transaction at a time, so that nothing
// of it stays on a connection.
type role struct {
	name  string
	args  []any  // of setRole
	local string // the same inside a transaction; it needs no snapshot, as a query would

	module, schema string
	reads          map[string]string // the declared dependencies: module to schema
	known          *moduleRoles
}

// The statements that change the role of a transaction, also of the implicit one
// of a batch. None of them is anybody's: they are not counted.
const (
	setRole     = "select set_config('role', $1, true)"
	ownRole     = "set local role to default" // that of a session which has not changed it
	keepRole    = "select set_config('pgdbm.role', current_setting('role'), true); "
	restoreRole = "select set_config('role', current_setting('pgdbm.role'), true)"
	localRole   = `set local role "`
)

// switchesRole reports whether sql is one of ours that change the role.
func switchesRole(sql string) bool {
	return strings.HasPrefix(sql, localRole) || strings.HasPrefix(sql, keepRole) || sql == setRole || sql == ownRole || sql == restoreRole
}

const ownRoleKey = "pgdbm.role" // in a connection's custom data

// ownRoleOf returns the statement that brings back the role of a session.
func ownRoleOf(conn *pgx.Conn) string {
	if sql, ok := conn.PgConn().CustomData()[ownRoleKey].(string); ok {
		return sql
	}
	return ownRole
}

// noteRole notes the role that the hooks of a new connection took, which is not
// the default.
func (p *Pool) noteRole(ctx context.Context, conn *pgx.Conn) error {
	if p.roles == nil || len(p.cfg.OnConnect) == 0 && p.cfg.AfterConnect == nil {
		return nil
	}
	var name string
	err := conn.QueryRow(ctx, "select current_setting('role')", pgx.QueryExecModeExec).Scan(&name)
	if err == nil && name != "none" {
		conn.PgConn().CustomData()[ownRoleKey] = "set local role " + pgx.Identifier{name}.Sanitize()
	}
	return classify(err, "", "")
}

// moduleRoles is what a pool with [Config.ModuleRoles] knows of its modules.
type moduleRoles struct {
	prefix string

	mu      sync.Mutex
	modules map[string]string // by schema
}

// newModuleRoles returns nil when modules have no roles.
func newModuleRoles(prefix string) *moduleRoles {
	if prefix == "" {
		return nil
	}
	return &moduleRoles{prefix: prefix, modules: map[string]string{}}
}

// of returns the role of a binding, nil for none: a manager of no module has
// none.
func (k *moduleRoles) of(b *Binding) (*role, error) {
	if k == nil || b.Module == "" {
		return nil, nil
	}
	name := k.prefix + b.Schema
	switch {
	case b.Schema == "":
		return nil, fmt.Errorf("pgdbm: module %q: with Config.ModuleRoles a module needs a schema: its role is named after it", b.Module)
	case name == "none": // which SET ROLE takes for no role at all
		return nil, fmt.Errorf("pgdbm: module %q: its role cannot be called %q: change Config.ModuleRoles or the schema", b.Module, name)
	case len(name) > maxIdentifier:
		return nil, fmt.Errorf("pgdbm: module %q: its role %q is longer than %d bytes: shorten Config.ModuleRoles or the schema", b.Module, name, maxIdentifier)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.modules[b.Schema] = b.Module
	for module, schema := range b.Modules {
		k.modules[schema] = module
	}
	return &role{
		name: name, args: []any{name}, local: localRole + name + `"`,
		module: b.Module, schema: b.Schema, reads: maps.Clone(b.Modules), known: k,
	}, nil
}

// moduleOf returns the module whose schema it is, "" for none.
func (k *moduleRoles) moduleOf(schema string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.modules[schema]
}

func (c Config) validateRoles(wrong *mistakes) {
	switch {
	case c.ModuleRoles == "":
	case !sqltmpl.ValidName(c.ModuleRoles):
		wrong.add("ModuleRoles is %q: use a letter or _ followed by letters, digits or _, such as app_", c.ModuleRoles)
	case strings.HasPrefix(c.ModuleRoles, "pg_"):
		wrong.add("ModuleRoles is %q: names that begin with pg_ belong to PostgreSQL", c.ModuleRoles)
	}
}

// Role returns the database role that m's statements run as, "" for that of the
// connection; see [Config.ModuleRoles].
func (m *Manager) Role() string {
	if m.binding.role == nil {
		return ""
	}
	return m.binding.role.name
}

// asLogin returns m without its role.
func (m *Manager) asLogin() *Manager {
	if m.binding.role == nil {
		return m
	}
	b := *m.binding
	b.role = nil
	return &Manager{pool: m.pool, binding: &b}
}
