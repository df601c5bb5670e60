package pgdbmtest

import (
	"context"
	"fmt"
	"io/fs"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/pgdbm/pgdbm-go/module"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Option says what a test's database is to be. Options are applied in order;
// helpers may return them and put them together.
type Option func(*recipe)

// WithSchema creates a schema and binds it. It can be given more than once: all
// the schemas exist, the last one is bound, [DB.InSchema] binds the others.
//
// Without it, what is bound is the schema public with [WithMigrations], the
// schema of the module with one module in [WithModules], and none otherwise.
func WithSchema(name string) Option {
	return func(r *recipe) {
		if err := pgdbm.ValidateSchema(name); err != nil {
			r.wrong("WithSchema: %s", strings.TrimPrefix(err.Error(), "pgdbm: "))
			return
		}
		r.schemas = append(r.schemas, name)
	}
}

// WithModules migrates modules, and those that they depend on. The manager of
// a module's schema is the module's own: {{tables.<dependency>.<table>}} works.
// [NewSet] is the shorter way to the managers of several.
//
// Helpers that are put together may ask for the same module: given again by
// another WithModules, with the same schema and files, it counts once.
func WithModules(modules ...module.Module) Option {
	return func(r *recipe) {
		before := r.modules
		for _, m := range modules {
			if !slices.ContainsFunc(before, func(known module.Module) bool { return same(known, m) }) {
				r.modules = append(r.modules, m)
			}
		}
	}
}

// WithMigrations applies the *.sql files at the root of fsys to the bound schema,
// public if none is. They run after the modules, whose tables they may name.
// The last one given counts. For a folder of an embedded file system
// there is module.Sub.
func WithMigrations(fsys fs.FS) Option {
	return func(r *recipe) {
		if fsys == nil {
			r.wrong("WithMigrations: the file system is nil")
		}
		r.migrations = fsys
	}
}

// WithSetup runs fn on the migrated template, with the bound schema: once for all
// tests, also of later runs. So key must say what fn does, and change when
// that does: "three users, v2".
//
// The steps of WithSetup, [WithFixtures], [WithTables] and [WithData] run in the
// order given.
func WithSetup(key string, fn func(ctx context.Context, db pgdbm.DB) error) Option {
	return func(r *recipe) {
		if key == "" || fn == nil {
			r.wrong("WithSetup: give a key that says what the function does, and a function")
			return
		}
		// The function's name keeps the same key in two packages apart.
		name := runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name()
		r.steps = append(r.steps, step{about: fmt.Sprintf("WithSetup %q", key), key: []string{"setup", key, name}, run: fn})
	}
}

// WithFixtures loads files as [Seed] does, but once for all tests, into the
// template. A test that changes such a table costs a new copy of the template;
// tables that it only reads cost nothing.
func WithFixtures(fsys fs.FS, paths ...string) Option {
	return func(r *recipe) {
		files, err := readFixtures(fsys, paths)
		if err != nil {
			r.wrong("WithFixtures: %w", err)
			return
		}
		s := step{about: "WithFixtures", key: []string{"fixtures"}}
		for _, f := range files {
			s.key = append(s.key, f.path, string(f.data))
		}
		s.run = func(ctx context.Context, db pgdbm.DB) error {
			_, err := seed(ctx, db, files)
			return err
		}
		r.steps = append(r.steps, s)
	}
}

// WithExtensions creates extensions, and those that they need, before anything
// is migrated. They must be installed on the server.
func WithExtensions(names ...string) Option {
	return func(r *recipe) { r.extensions = append(r.extensions, names...) }
}

// WithPoolSize gives the test a pool of n connections of its own. Without it,
// there are 10 at most, and connections are handed on to the next test, which
// saves the time to open them.
func WithPoolSize(n int) Option {
	return func(r *recipe) {
		if n < 1 || n > 1000 {
			r.wrong("WithPoolSize(%d): use 1 to 1000 connections", n)
			return
		}
		r.poolSize = int32(n)
	}
}

// Fresh asks for a copy of the template that no other test has used, where a
// database that was proved to be as new will not do: a test of physical sizes,
// transaction ids or statistics.
func Fresh() Option { return func(r *recipe) { r.fresh = true } }

// KeepOnFailure keeps the database for you when the test fails, and logs the psql
// command that opens it. PGDBM_TEST_KEEP=failed does so for all tests.
func KeepOnFailure() Option { return func(r *recipe) { r.keepFailed = true } }

// MinVersion skips the test on a server that is older than this major version.
func MinVersion(major int) Option {
	return func(r *recipe) { r.minVersion = max(r.minVersion, major) }
}
