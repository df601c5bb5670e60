package module

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

// resolve closes the modules over their dependencies and orders them:
// dependencies first, otherwise by name. It reports everything wrong at once.
func resolve(registered []Module) ([]Module, error) {
	r := &resolver{byName: map[string]Module{}, explicit: map[string]bool{}}
	for _, m := range registered {
		if r.explicit[m.Name] {
			r.wrong("%q is registered twice; mount it a second time with As(name)", m.Name)
			continue
		}
		r.explicit[m.Name] = true
		r.byName[m.Name] = m
	}
	for _, m := range registered {
		r.imply(m)
	}
	r.validate()
	order, cycles := depsort.Sort(r.names(), func(name string) []string { return sortedNames(r.byName[name].DependsOn) })
	for _, cycle := range cycles {
		r.wrong("dependency cycle: %s", strings.Join(cycle, " → "))
	}
	return lo.Map(order, func(name string, _ int) Module { return r.byName[name] }), errors.Join(r.errs...)
}

type resolver struct {
	byName   map[string]Module
	explicit map[string]bool // registered, as opposed to implied by a dependency
	errs     []error
}

func (r *resolver) wrong(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("module: "+format, args...))
}

func (r *resolver) names() []string {
	return slices.Sorted(maps.Keys(r.byName))
}

// imply adds the dependencies of m. A registered module beats an implied one of
// its name; two implied ones must agree on the schema.
func (r *resolver) imply(m Module) {
	for _, dep := range m.DependsOn {
		known, ok := r.byName[dep.Name]
		if !ok {
			r.byName[dep.Name] = dep
			r.imply(dep)
			continue
		}
		if !r.explicit[dep.Name] && known.schema() != dep.schema() {
			r.wrong("%q depends on %q in schema %q, another module on the same in schema %q; register %q to decide",
				m.Name, dep.Name, dep.schema(), known.schema(), dep.Name)
		}
	}
}

func (r *resolver) validate() {
	owner := map[string]string{} // of a schema
	for _, name := range r.names() {
		m := r.byName[name]
		if !sqltmpl.ValidName(m.Name) {
			r.wrong("name %q: a letter or _ followed by up to 62 letters, digits or _", m.Name)
			continue
		}
		if err := pgdbm.ValidateSchema(m.schema()); err != nil {
			r.wrong("%q: %s", m.Name, strings.TrimPrefix(err.Error(), "pgdbm: "))
		}
		if other, taken := owner[m.schema()]; taken {
			r.wrong("%q and %q both claim schema %q; give one of them another with WithSchema", other, m.Name, m.schema())
		}
		owner[m.schema()] = m.Name
	}
}

// sortedNames returns the modules' names in order, each once.
func sortedNames(modules []Module) []string {
	names := lo.Uniq(lo.Map(modules, func(m Module, _ int) string { return m.Name }))
	slices.Sort(names)
	return names
}
