// Package module puts modules together: services' data that share one pool,
// each in its own schema, migrated in the order of their dependencies.
package module

import (
	"fmt"
	"io/fs"

	"github.com/pgdbm/pgdbm-go/migrations"
)

// Module is one service's data, as plain values: declare it as a package
// variable. It does nothing by itself; a [Set] opens, migrates and binds it.
type Module struct {
	// Name identifies the module: unique in a set, stable over time, for it
	// keys the migration history. Other modules reach its tables as
	// {{tables.<Name>.<table>}}. A letter or _ followed by up to 62 letters,
	// digits or _.
	Name string

	// Schema is the PostgreSQL schema; default Name.
	Schema string

	// Migrations has the module's *.sql files at its root; see [Sub]. Nil for none.
	Migrations fs.FS

	// Load says how the migrations are read: migrations written in Go, variables,
	// lint rules.
	Load migrations.LoadOptions

	// DependsOn are the modules whose tables this one's SQL may name. They are
	// migrated first, and join the set by themselves.
	DependsOn []Module
}

// WithSchema returns the module in another schema.
func (m Module) WithSchema(schema string) Module {
	m.Schema = schema
	return m
}

// As returns a second mount of the module: another name, hence its own history,
// in a schema of that name.
func (m Module) As(name string) Module {
	m.Name, m.Schema = name, name
	return m
}

// schema returns the schema with its default applied.
func (m Module) schema() string {
	if m.Schema != "" {
		return m.Schema
	}
	return m.Name
}

// Sub returns the folder dir of fsys, for the one-line declaration of a module
// from an embedded folder:
//
//	//go:embed migrations/*.sql
//	var files embed.FS
//
//	var Module = module.Module{Name: "users", Migrations: module.Sub(files, "migrations")}
//
// It panics when dir is not a folder of fsys: the embed directive and the call
// stand side by side, and a module without its migrations must not start.
func Sub(fsys fs.FS, dir string) fs.FS {
	info, err := fs.Stat(fsys, dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is a file", dir)
	}
	if err != nil {
		panic(fmt.Sprintf("module: Sub(%q): %v", dir, err))
	}
	sub, err := fs.Sub(fsys, dir)
	if err != nil {
		panic(fmt.Sprintf("module: Sub(%q): %v", dir, err))
	}
	return sub
}
