package pgdbm

import "unique"

// WithSchema returns a manager that is bound to another schema and otherwise like
// m: of the same module, with the same dependencies and the same mode, counted
// together with it. It copies a few words, so there can be one for every tenant of a
// fleet.
func (m *Manager) WithSchema(schema string) (*Manager, error) {
	if err := ValidateSchema(schema); err != nil {
		return nil, err
	}
	sibling := &struct { // in one piece
		manager Manager
		binding Binding
	}{*m, *m.binding}
	b := &sibling.binding
	b.Schema, b.scope, b.schema = schema, m.binding.scopeIn(schema), unique.Make(schema)
	if b.Module == "" {
		b.counters = m.pool.monitor.countersOf(b)
	}
	sibling.manager.binding = b
	return &sibling.manager, nil
}

// scopeIn is the scope that a clone of b has in another schema.
func (b *Binding) scopeIn(schema string) string {
	if b.scope == b.Schema && b.Module == "" {
		return schema
	}
	begin := len(b.Module) + len(".")
	return b.scope[:begin] + schema + b.scope[begin+len(b.Schema):]
}
