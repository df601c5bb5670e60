package module

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/migrations"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Set is the modules of a process on one pool. It is safe for concurrent use
// once Migrations is set.
type Set struct {
	// Migrations configures Migrate, Plan, Status, Verify and Tenants. Set it before
	// the first of them; the zero value is useful.
	Migrations migrations.Config

	pool    *pgdbm.Pool
	order   []Module
	sources map[string]*migrations.Source
	manager map[string]*pgdbm.Manager
	owned   bool // Close closes the pool

	mu       sync.Mutex
	prefixes map[string]string // of tenants' schemas, to the module's name
}

// NewSet puts modules, and those that they depend on, on a pool that somebody
// else closes. It reads their migrations but does no I/O otherwise: call
// [Set.Migrate] before the first use.
//
// The error joins everything that is wrong: duplicate or malformed names, two
// modules in one schema, dependency cycles, unloadable migrations.
func NewSet(pool *pgdbm.Pool, modules ...Module) (*Set, error) {
	order, err := resolve(modules)
	if err != nil {
		return nil, err
	}
	s := &Set{pool: pool, order: order, sources: map[string]*migrations.Source{}, manager: map[string]*pgdbm.Manager{}}
	schemas := lo.SliceToMap(order, func(m Module) (string, string) { return m.Name, m.schema() })
	var errs []error
	for _, m := range order {
		source, err := migrations.Load(m.Migrations, m.Load)
		if err != nil {
			errs = append(errs, fmt.Errorf("module: %q: %w", m.Name, err))
		}
		s.sources[m.Name] = source
		s.manager[m.Name], err = pool.Bind(pgdbm.Binding{
			Module: m.Name,
			Schema: m.schema(),
			Modules: lo.SliceToMap(m.DependsOn, func(dep Module) (string, string) {
				return dep.Name, schemas[dep.Name]
			}),
		})
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// Open opens a pool of the set's own and migrates every module. The caller
// closes the set; on error there is nothing to close.
func Open(ctx context.Context, cfg pgdbm.Config, modules ...Module) (*Set, error) {
	pool, err := pgdbm.New(cfg) //nolint:contextcheck // it does no I/O
	if err != nil {
		return nil, err
	}
	s, err := NewSet(pool, modules...)
	if err == nil {
		s.owned = true
		if err = pool.Connect(ctx); err == nil {
			_, err = s.Migrate(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close(ctx))
	}
	return s, nil
}

// Manager returns the manager that is bound to the module's schema in this set.
// Modules are found by name.
func (s *Set) Manager(m Module) (*pgdbm.Manager, error) {
	manager, ok := s.manager[m.Name]
	if !ok {
		names := lo.Map(s.order, func(m Module, _ int) string { return m.Name })
		return nil, fmt.Errorf("module: %q is not in the set (have %s)", m.Name, strings.Join(names, ", "))
	}
	return manager, nil
}

// Pool returns the shared pool.
func (s *Set) Pool() *pgdbm.Pool { return s.pool }

// Order returns the modules in the order in which they are migrated:
// dependencies first, otherwise by name. Their Schema is filled in.
func (s *Set) Order() []Module {
	return lo.Map(s.order, func(m Module, _ int) Module { return m.WithSchema(m.schema()) })
}

// Migrate brings every schema up to date; see [migrations.Migrator.Up]. With
// [pgdbm.Config.ModuleRoles] it then creates the modules' roles and grants them
// what they need, where that is missing. Who connects needs CREATEROLE for that;
// otherwise the error is [pgdbm.ErrPermission] and lists the SQL to run, once.
func (s *Set) Migrate(ctx context.Context) (*migrations.Report, error) {
	m, err := s.Migrator()
	if err != nil {
		return nil, err
	}
	report, err := m.Up(ctx)
	if err != nil {
		return report, err
	}
	return report, s.grantRoles(ctx)
}

// Adopt records what another tool has applied of a module; see
// [migrations.Migrator.Adopt].
func (s *Set) Adopt(ctx context.Context, m Module, from migrations.Adoption) (*migrations.Report, error) {
	if _, err := s.Manager(m); err != nil {
		return nil, err
	}
	migrator, err := s.Migrator()
	if err != nil {
		return nil, err
	}
	return migrator.Adopt(ctx, m.Name, from)
}

// Verify returns nil when every schema is up to date; see
// [migrations.Migrator.Verify]. With [pgdbm.Config.ModuleRoles] the roles must be
// there as well.
func (s *Set) Verify(ctx context.Context) error {
	m, err := s.Migrator()
	if err != nil {
		return err
	}
	return errors.Join(m.Verify(ctx), s.verifyRoles(ctx))
}

// Status says for every module what is applied and what is pending; see
// [migrations.Migrator.Status].
func (s *Set) Status(ctx context.Context) ([]migrations.Status, error) {
	m, err := s.Migrator()
	if err != nil {
		return nil, err
	}
	return m.Status(ctx)
}

// Plan says what Migrate would do; see [migrations.Migrator.Plan].
func (s *Set) Plan(ctx context.Context) (*migrations.Plan, error) {
	m, err := s.Migrator()
	if err != nil {
		return nil, err
	}
	return m.Plan(ctx)
}

// Migrator returns what the set migrates with: for one module alone, and for going
// down, dry runs, baselines, histories and repairs.
func (s *Set) Migrator() (*migrations.Migrator, error) {
	targets := lo.Map(s.order, func(m Module, _ int) migrations.Target {
		return migrations.Target{
			Module: m.Name, Schema: m.schema(), Source: s.sources[m.Name], DependsOn: sortedNames(m.DependsOn),
		}
	})
	return migrations.New(s.pool, targets, s.Migrations)
}

// Close closes the pool of a set that [Open] made, waiting for connections in
// use until ctx ends. On a shared pool it does nothing.
func (s *Set) Close(ctx context.Context) error {
	if !s.owned {
		return nil
	}
	return s.pool.Close(ctx)
}
