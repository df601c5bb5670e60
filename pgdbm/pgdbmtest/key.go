package pgdbmtest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/pgdbm/pgdbm-go/module"
)

// format changes when the same options come to mean another template.
const format = "1"

// key identifies the contents of the template: a hash of all that they depend
// on. It is empty for an empty database.
func (r *recipe) key() (string, error) {
	if len(r.extensions)+len(r.schemas)+len(r.modules)+len(r.steps) == 0 && r.migrations == nil && r.role == "" {
		return "", nil
	}
	k := keyer{sha256.New()}
	k.add("format", format)
	k.add("role", r.role)
	k.add("extensions", r.extensions...)
	k.add("schemas", sorted(r.schemas)...)
	k.add("bound", r.schema())
	mounted := r.mounted()
	k.add("mounted", sortedNames(mounted)...)
	for _, m := range flatten(mounted) {
		if err := k.module(m); err != nil {
			return "", fmt.Errorf("pgdbmtest: module %q: %w", m.Name, err)
		}
	}
	for _, s := range r.steps {
		k.add("step", s.key...)
	}
	return k.sum(), nil
}

type keyer struct{ hash hash.Hash }

// add adds a record. Lengths keep its parts apart.
func (k keyer) add(what string, parts ...string) {
	_, _ = fmt.Fprintf(k.hash, "%s %d\n", what, len(parts)) // a hash takes everything
	for _, p := range parts {
		_, _ = fmt.Fprintf(k.hash, "%d %s\n", len(p), p)
	}
}

func (k keyer) sum() string { return hex.EncodeToString(k.hash.Sum(nil)) }

// module adds a module: its names, the files that package migrations reads, and
// how it reads them.
func (k keyer) module(m module.Module) error {
	k.add("module", m.Name, schemaOf(m))
	k.add("depends", sortedNames(m.DependsOn)...)
	for _, name := range slices.Sorted(maps.Keys(m.Load.Vars)) {
		k.add("variable", name, m.Load.Vars[name])
	}
	if len(m.Load.Go) > 0 { // what they do is in the program
		id, err := program()
		if err != nil {
			return err
		}
		k.add("program", id)
	}
	for _, g := range m.Load.Go {
		k.add("go", g.String())
	}
	if m.Migrations == nil {
		return nil
	}
	entries, err := fs.ReadDir(m.Migrations, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || !strings.EqualFold(path.Ext(e.Name()), ".sql") {
			continue
		}
		data, err := fs.ReadFile(m.Migrations, e.Name())
		if err != nil {
			return err
		}
		k.add("file", e.Name(), string(data))
	}
	return nil
}

// program identifies the running program: a hash of its file.
var program = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	file, err := os.Open(path) //nolint:gosec // it is the program itself
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	k := keyer{sha256.New()}
	if _, err := io.Copy(k.hash, file); err != nil {
		return "", err
	}
	return k.sum(), nil
})

// same reports whether two modules mean the same tables in the same schema.
func same(a, b module.Module) bool {
	if a.Name != b.Name || schemaOf(a) != schemaOf(b) {
		return false
	}
	one, err := digest(a)
	other, errOther := digest(b)
	return err == nil && errOther == nil && one == other
}

// digest identifies a module with all that it depends on.
func digest(m module.Module) (string, error) {
	k := keyer{sha256.New()}
	for _, m := range flatten([]module.Module{m}) {
		if err := k.module(m); err != nil {
			return "", err
		}
	}
	return k.sum(), nil
}

// flatten returns the modules and all that they depend on, each name once, as
// module.NewSet chooses: the listed one, else the first met.
func flatten(listed []module.Module) []module.Module {
	var all []module.Module
	seen := map[string]bool{}
	for _, m := range listed {
		if !seen[m.Name] {
			seen[m.Name] = true
			all = append(all, m)
		}
	}
	var follow func(module.Module)
	follow = func(m module.Module) {
		for _, dep := range m.DependsOn {
			if !seen[dep.Name] {
				seen[dep.Name] = true
				all = append(all, dep)
				follow(dep)
			}
		}
	}
	for _, m := range listed {
		follow(m)
	}
	slices.SortFunc(all, func(a, b module.Module) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// bare returns the modules without their migrations: enough for managers, and
// nothing to read.
func bare(listed []module.Module) []module.Module {
	all := flatten(listed)
	for i := range all {
		all[i] = module.Module{Name: all[i].Name, Schema: all[i].Schema, DependsOn: all[i].DependsOn}
	}
	return all
}

func schemaOf(m module.Module) string { return cmp.Or(m.Schema, m.Name) }

func sortedNames(modules []module.Module) []string {
	names := make([]string, len(modules))
	for i, m := range modules {
		names[i] = m.Name
	}
	return sorted(names)
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }
