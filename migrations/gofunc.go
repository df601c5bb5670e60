package migrations

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// GoFunc is a migration written in Go. It runs in one transaction together with
// the row that records it, on the connection of the run: db is that transaction,
// bound to the target's schema, and {{tables.module.t}} names the target's
// declared dependencies.
//
// What fn does beside db is not rolled back with it. It may run more than once:
// again after a lock timeout, a deadlock or a serialization failure, as files do,
// and in [Migrator.DryRun]. It must not end the transaction, and must not use db
// after it has returned. ctx ends when the run is to end. A panic is an error, too.
type GoFunc func(ctx context.Context, db pgdbm.DB) error

// GoMigration is a migration that needs a program: an element of
// [LoadOptions.Go]. Its version stands in one row with those of the files.
type GoMigration struct {
	// Version is its place among the files' versions, from 1.
	Version int64

	// Name says what it does. It must stay the same: it is recorded, and a
	// renamed migration counts as an edited one. What the function does is up to
	// you; the program cannot see that it was edited.
	Name string

	// Up applies it.
	Up GoFunc

	// Down undoes it; nil when that is not possible.
	Down GoFunc
}

func (g GoMigration) String() string { return fmt.Sprintf("%d_%s", g.Version, g.Name) }

// validate reports every mistake that does not depend on other migrations.
func (g GoMigration) validate() error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("migrations: Go migration %s: "+format, append([]any{g}, args...)...))
	}
	if g.Version < 1 {
		wrong("versions begin at 1")
	}
	if strings.TrimSpace(g.Name) == "" {
		wrong("it has no name")
	}
	if g.Up == nil {
		wrong("its Up is nil")
	}
	return errors.Join(errs...)
}

// file returns the migration as the engine handles it: a file without statements.
func (g GoMigration) file() *file {
	f := &file{
		Migration: Migration{
			Key: versionKey(g.Version), Version: g.Version, Name: g.Name, Kind: KindGo,
			File: g.String(), Checksum: checksum("go " + g.String()), Transactional: true,
		},
		up: &script{file: g.String(), fn: g.Up, declared: declaration(g.Up)},
	}
	if g.Down != nil {
		f.DownFile = g.String() + ".down"
		f.down = &script{file: f.DownFile, fn: g.Down, declared: declaration(g.Down)}
	}
	return f
}

// declaration returns where a function begins: the name of its file and the line.
// Of a method it returns the name.
func declaration(fn GoFunc) string {
	pc := reflect.ValueOf(fn).Pointer()
	f := runtime.FuncForPC(pc)
	if method, ok := strings.CutSuffix(f.Name(), "-fm"); ok { // of which only the compiler's wrapper is known
		return path.Base(method)
	}
	file, line := f.FileLine(pc)
	return fmt.Sprintf("%s:%d", filepath.Base(file), line)
}

// place says where a migration is to be found: its file, or its name and the
// place of its function.
func (f *file) place() string {
	if f.up.fn == nil {
		return f.File
	}
	return fmt.Sprintf("%s (%s)", f.File, f.up.declared)
}
