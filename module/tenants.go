package module

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// TenantConfig says which schemas a module's tenants have.
type TenantConfig struct {
	// Prefix is what the schemas begin with; the tenant's id follows. It keeps ids
	// that customers choose away from everybody else's schemas: give one unless the
	// schemas exist already and are called as the tenants are. Default: none.
	Prefix string

	// ExecMode is how the statements of the tenants' managers are run; see
	// [pgdbm.Binding]. Fleets of more tenants than a connection keeps statements of
	// want pgx.QueryExecModeExec, or a larger [pgdbm.Config].StatementCache.
	ExecMode pgx.QueryExecMode
}

// Tenants is a module on any number of schemas, one for each tenant. It is safe
// for concurrent use, holds no connection between calls, and is not closed.
type Tenants struct {
	schemas *migrations.Tenants
	like    *pgdbm.Manager // every tenant's
}

// Tenants puts a module on the schemas of tenants instead of one of its own: m is
// not among the modules of the set. What m depends on must be: its tables are
// shared by all tenants, and [Set.Migrate] brings them up to date. A module of
// tenants cannot depend on another one. On a pool with [pgdbm.Config].ModuleRoles
// there are no tenants: roles have rights in the schemas of the set alone.
//
// It does no I/O, and Migrate and [Set.Verify] do not touch the tenants: see
// [Tenants.Ensure] and [Tenants.Up]. The error joins everything that is wrong.
func (s *Set) Tenants(m Module, cfg TenantConfig) (*Tenants, error) {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("module: tenants of %q: "+format, append([]any{m.Name}, args...)...))
	}
	if mounted, ok := s.manager[m.Name]; ok {
		wrong("the module is in the set, on schema %s; leave it out of NewSet, or give it another name with As", mounted.Schema())
	}
	modules := map[string]string{}
	for _, dep := range m.DependsOn {
		manager, ok := s.manager[dep.Name]
		if !ok {
			wrong("it depends on %q, which is not in the set%s", dep.Name, s.hint(dep.Name))
			continue
		}
		modules[dep.Name] = manager.Schema()
	}
	source, err := migrations.Load(m.Migrations, m.Load)
	if err != nil {
		wrong("%w", err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	migrator, err := s.Migrator()
	if err != nil {
		return nil, err
	}
	t := &Tenants{}
	t.schemas, err = migrator.Tenants(migrations.Target{
		Module: m.Name, Schema: cfg.Prefix, Source: source, DependsOn: sortedNames(m.DependsOn),
	})
	if err != nil {
		return nil, err
	}
	if t.like, err = s.pool.Bind(pgdbm.Binding{Module: m.Name, Schema: cfg.Prefix + "_", Modules: modules, ExecMode: cfg.ExecMode}); err != nil {
		return nil, err
	}
	if t.like.Role() != "" { // which would have no rights there
		return nil, fmt.Errorf("module: tenants of %q: Config.ModuleRoles gives rights in the schemas of the set alone; use a pool without it", m.Name)
	}
	if err := s.claim(cfg.Prefix, m.Name); err != nil {
		return nil, err
	}
	return t, nil
}

// hint says why a module is not in the set, or what is.
func (s *Set) hint(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(slices.Collect(maps.Values(s.prefixes)), name) {
		return ": it is on the schemas of tenants, too"
	}
	names := lo.Map(s.order, func(m Module, _ int) string { return m.Name })
	return fmt.Sprintf(" (have %s); register it", strings.Join(names, ", "))
}

// claim notes whose schemas begin with the prefix. Two modules must not meet in
// one.
func (s *Set) claim(prefix, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range slices.Sorted(maps.Keys(s.prefixes)) {
		if owner := s.prefixes[other]; owner != name && (strings.HasPrefix(prefix, other) || strings.HasPrefix(other, prefix)) {
			return fmt.Errorf("module: tenants of %q and %q: the prefixes %q and %q lead to the same schemas", name, owner, prefix, other)
		}
	}
	if s.prefixes == nil {
		s.prefixes = map[string]string{}
	}
	s.prefixes[prefix] = name
	return nil
}

// Manager returns the manager that is bound to a tenant's schema. It does no I/O
// and costs well under a microsecond, so it can be made for every request; all
// tenants are counted as one module in [pgdbm.Pool.Metrics]. Whether the tenant
// exists is seen by its first statement: errors.Is(err, [pgdbm.ErrUndefined]).
func (t *Tenants) Manager(id string) (*pgdbm.Manager, error) {
	schema, err := t.schemas.Schema(id)
	if err != nil {
		return nil, err
	}
	return t.like.WithSchema(schema)
}

// Ensure creates a tenant that does not exist and brings it up to date; see
// [migrations.Tenants.Ensure].
func (t *Tenants) Ensure(ctx context.Context, id string) error {
	return t.schemas.Ensure(ctx, id)
}

// Up brings all tenants that exist up to date, or some; see
// [migrations.Tenants.Up].
func (t *Tenants) Up(ctx context.Context, fan migrations.FanOut) (*migrations.TenantReport, error) {
	return t.schemas.Up(ctx, fan)
}

// Status returns the state of every tenant that exists; see
// [migrations.Tenants.Status].
func (t *Tenants) Status(ctx context.Context) ([]migrations.TenantStatus, error) {
	return t.schemas.Status(ctx)
}
