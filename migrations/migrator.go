package migrations

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Migrator brings a set of schemas up to date. It is safe for concurrent use:
// of several calls at the same time one works, and the others find nothing
// left to do. It holds no connection between calls; there is nothing to close.
type Migrator struct {
	observing sync.Mutex // held while the observer is told

	pool    *pgdbm.Pool
	cfg     Config
	targets []*target     // in the order of migration
	running chan struct{} // held by the call that works
	log     *slog.Logger
	host    string // recorded with every migration
	quiet   bool   // there are too many files to log each of them
}

// New makes a migrator without touching the database. Targets are migrated
// after what they depend on.
//
// The error joins every mistake: bad names, a missing or ambiguous dependency, a
// cycle with its path, a {{tables.module.t}} of a module that is no dependency.
func New(pool *pgdbm.Pool, targets []Target, cfg Config) (*Migrator, error) {
	if pool == nil {
		return nil, errors.New("migrations: New: the pool is nil")
	}
	err := cfg.validate()
	cfg = cfg.withDefaults(pool.Logger())
	ordered, targetErr := newTargets(targets, cfg.Table)
	if err := errors.Join(err, targetErr); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "" // the column stays empty
	}
	return &Migrator{pool: pool, cfg: cfg, targets: ordered, running: make(chan struct{}, 1), log: cfg.Logger, host: host}, nil
}

// Scope narrows what a call works on; see [To] and [Only].
type Scope func(*scope)

// To stops behind a version: later files and repeatable ones stay pending. It
// needs [Only] with one module when there are several.
func To(version int64) Scope { return func(s *scope) { s.to = version } }

// Only works on these modules alone. Their dependencies are not migrated.
func Only(modules ...string) Scope {
	return func(s *scope) { s.only = append(s.only, modules...) }
}

type scope struct {
	to   int64 // 0: no bound
	only []string
}

// selected returns the targets that a call works on.
func (m *Migrator) selected(scopes []Scope) ([]*target, scope, error) {
	var s scope
	for _, set := range scopes {
		set(&s)
	}
	known := map[string]bool{}
	for _, t := range m.targets {
		known[t.Module] = true
	}
	for _, name := range s.only {
		if !known[name] {
			return nil, s, fmt.Errorf("migrations: Only: module %q is not among the targets (have %s)", name, listOf(known))
		}
	}
	list := m.targets
	if len(s.only) > 0 {
		list = slices.DeleteFunc(slices.Clone(list), func(t *target) bool { return !slices.Contains(s.only, t.Module) })
	}
	if s.to < 0 {
		return nil, s, fmt.Errorf("migrations: To: %d is not a version", s.to)
	}
	if s.to > 0 && slices.ContainsFunc(list, func(t *target) bool { return t.Module != list[0].Module }) {
		return nil, s, errors.New("migrations: To: there are several modules; say which one with Only")
	}
	return list, s, nil
}
