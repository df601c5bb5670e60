package migrations

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/internal/depsort"
	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Target is a module's migrations on one schema.
type Target struct {
	// Module keys the history: it must stay the same for ever.
	Module string

	// Schema is created when it is missing. A module can have any number of
	// targets with different schemas.
	Schema string

	// Source is what [Load] returned; nil has no migrations.
	Source *Source

	// DependsOn are the modules that must be migrated before, and that
	// {{tables.module.t}} may name. Each must have one target.
	DependsOn []string
}

// target is a Target with what is worked out once.
type target struct {
	Target
	deps    map[string]*target // by module
	tracked string             // quoted and qualified name of the tracking table
	key     int64              // of the advisory lock
}

func (t Target) String() string { return t.Module + "@" + t.Schema }

// files returns the target's migrations.
func (t *target) files() []*file {
	if t.Source == nil {
		return nil
	}
	return t.Source.files
}

// newTargets validates the targets, links their dependencies and returns them
// in the order of migration. All mistakes are reported.
func newTargets(list []Target, table string) ([]*target, error) {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("migrations: "+format, args...)) }
	var all []*target
	byModule := map[string][]*target{}
	seen := map[string]bool{}
	for _, in := range list {
		if !sqltmpl.ValidName(in.Module) {
			wrong("module %q: names are a letter or _ followed by up to 62 letters, digits or _", in.Module)
			continue
		}
		if err := pgdbm.ValidateSchema(in.Schema); err != nil {
			wrong("module %s: %s", in.Module, strings.TrimPrefix(err.Error(), "pgdbm: "))
			continue
		}
		if seen[in.String()] {
			wrong("module %s is given schema %s twice", in.Module, in.Schema)
			continue
		}
		seen[in.String()] = true
		t := &target{
			Target: in, deps: map[string]*target{}, key: lockKey(in.Schema, table),
			tracked: sqltmpl.Quote(in.Schema) + "." + sqltmpl.Quote(table),
		}
		t.DependsOn = slices.Clone(in.DependsOn)
		all = append(all, t)
		byModule[in.Module] = append(byModule[in.Module], t)
	}
	for _, t := range all {
		for _, dep := range t.DependsOn {
			switch found := byModule[dep]; {
			case len(found) == 0:
				wrong("module %s depends on %q, which is not among the targets (have %s)", t.Module, dep, listOf(byModule))
			case len(found) > 1:
				wrong("module %s depends on %s, which has %d schemas; a dependency must have one", t.Module, dep, len(found))
			default:
				t.deps[dep] = found[0]
			}
		}
		errs = append(errs, t.checkReferences()...)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return order(all)
}

// checkReferences finds templates of modules that are no dependencies.
func (t *target) checkReferences() []error {
	var errs []error
	for _, f := range t.files() {
		for _, s := range []*script{f.up, f.down} {
			if s == nil {
				continue
			}
			for _, st := range s.statements {
				for _, r := range st.tmpl.Refs() {
					if r.Module == "" || r.Module == t.Module || slices.Contains(t.DependsOn, r.Module) {
						continue
					}
					pos, line := s.at(st.offset + r.Offset)
					errs = append(errs, &MigrationError{
						Module: t.Module, Schema: t.Schema, File: s.file, Line: pos.Line, Column: pos.Column, Excerpt: line,
						Err: fmt.Errorf("%s names module %q, which is not a declared dependency (have %s); add it to DependsOn",
							r.Text, r.Module, listOf(t.deps)),
					})
				}
			}
		}
	}
	return errs
}

// order sorts dependencies before dependents, and by name where that leaves a
// choice.
func order(all []*target) ([]*target, error) {
	slices.SortFunc(all, func(a, b *target) int { return strings.Compare(a.String(), b.String()) })
	ordered, cycles := depsort.Sort(all, func(t *target) []*target {
		return lo.Map(slices.Sorted(maps.Keys(t.deps)), func(name string, _ int) *target { return t.deps[name] })
	})
	errs := lo.Map(cycles, func(cycle []*target, _ int) error {
		path := lo.Map(cycle, func(t *target, _ int) string { return t.Module })
		return fmt.Errorf("migrations: the modules depend on each other: %s", strings.Join(path, " → "))
	})
	return ordered, errors.Join(errs...)
}

// rendered is a statement as it is sent.
type rendered struct {
	sql     string
	mapping sqltmpl.Mapping
}

// render expands a statement's templates.
func (t *target) render(st statement) (rendered, error) {
	sql, mapping, err := st.tmpl.ExpandMapped(t.resolve)
	return rendered{sql, mapping}, err
}

// renderAll expands all statements of a script.
func (t *target) renderAll(s *script) ([]rendered, error) {
	out := make([]rendered, len(s.statements))
	for i, st := range s.statements {
		var err error
		if out[i], err = t.render(st); err != nil {
			return nil, t.failStatement(s, i, rendered{}, err)
		}
	}
	return out, nil
}

func (t *target) resolve(r sqltmpl.Ref) (string, error) {
	switch {
	case r.Kind == sqltmpl.Schema:
		return sqltmpl.Quote(t.Schema), nil
	case r.Kind == sqltmpl.SchemaLiteral:
		return "'" + t.Schema + "'", nil
	case r.Kind == sqltmpl.Var:
		return variable(t.Source.vars, r)
	case r.Module == "" || r.Module == t.Module:
		return sqltmpl.Quote(t.Schema) + "." + sqltmpl.Quote(r.Name), nil
	default: // New has checked that it is there
		return sqltmpl.Quote(t.deps[r.Module].Schema) + "." + sqltmpl.Quote(r.Name), nil
	}
}
