package pgdbmtest

import (
	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Set is a module.Set on a test's own database, migrated, whose managers are
// found without an error to check.
type Set struct {
	*module.Set

	t    TB
	home *home
}

// NewSet returns modules, and those that they depend on, migrated on a database
// for this test alone.
func NewSet(t TB, modules ...module.Module) *Set {
	t.Helper()
	h := open(t, []Option{WithModules(modules...)})
	if h == nil {
		return nil
	}
	set, err := module.NewSet(h.pool, modules...)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	return &Set{Set: set, t: t, home: h}
}

// Manager returns the manager of a module, found by its name. The test ends when
// it is not in the set.
func (s *Set) Manager(m module.Module) *pgdbm.Manager {
	s.t.Helper()
	manager, err := s.Set.Manager(m)
	if err != nil {
		s.t.Fatalf("%v", err)
		return nil
	}
	return manager
}

// DB returns the manager of a module with the helpers of a [DB].
func (s *Set) DB(m module.Module) *DB {
	s.t.Helper()
	manager := s.Manager(m)
	if manager == nil {
		return nil
	}
	return newDB(s.t, s.home, manager)
}

// Pool returns the pool that the modules share. It is closed at the end of the
// test.
func (s *Set) Pool() *pgdbm.Pool {
	s.home.expose()
	return s.home.pool
}
