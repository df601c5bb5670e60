package pgdbmtest

import (
	"slices"
	"sync"
)

// Factory makes several databases for one test. It is safe for concurrent use
// as far as the test's Fatalf is.
type Factory struct {
	t        TB
	defaults []Option

	mu    sync.Mutex
	names []string
}

// NewFactory returns a factory whose databases all have the defaults.
func NewFactory(t TB, defaults ...Option) *Factory {
	return &Factory{t: t, defaults: slices.Clone(defaults)}
}

// Create returns a new database: [New] with the defaults followed by opts. The
// name is for you: it appears in the log of a failed test, and can be given
// once.
func (f *Factory) Create(name string, opts ...Option) *DB {
	f.t.Helper()
	if !f.take(name) {
		f.t.Fatalf("pgdbmtest: Factory.Create: there is a database %q already", name)
		return nil
	}
	db := New(f.t, slices.Concat(f.defaults, opts)...)
	if db == nil {
		return nil
	}
	f.t.Cleanup(func() {
		f.t.Helper() // points at the call of Create
		if f.t.Failed() {
			f.t.Logf("pgdbmtest: %q was database %s", name, db.Name())
		}
	})
	return db
}

func (f *Factory) take(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Contains(f.names, name) {
		return false
	}
	f.names = append(f.names, name)
	return true
}
