package doctest

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// modulePath is the module in whose name the packages are compiled, and root
// the folder in it where they seem to be.
const (
	modulePath = "github.com/pgdbm/pgdbm-go"
	root       = "internal/doctest/snippets"
)

// A Package is one package to compile.
type Package struct {
	Dir   string            // below the module's root; exists in the overlay only
	Files map[string]string // by name, with the files that //go:embed wants
}

// Packages assembles the blocks of one document.
func Packages(blocks []Block) ([]Package, error) {
	groups := map[string][]*source{}
	var order []string
	named := map[string]string{} // the packages that other blocks can import
	var errs []error

	for _, b := range blocks {
		s, err := newSource(b)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		dir := path.Join(root, docName(b.Doc), fmt.Sprintf("line%d", b.Line))
		if b.Package != "" {
			dir = path.Join(root, docName(b.Doc), b.Package)
			named[b.Package] = dir
		}
		if groups[dir] == nil {
			order = append(order, dir)
		}
		groups[dir] = append(groups[dir], s)
	}

	var packages []Package
	for _, dir := range order {
		p := Package{Dir: dir, Files: map[string]string{}}
		declared := map[string]bool{}
		for _, s := range groups[dir] {
			for name := range s.file.Scope.Objects {
				declared[name] = true
			}
		}
		for _, s := range groups[dir] {
			name := s.fileName()
			if _, twice := p.Files[name]; twice {
				errs = append(errs, s.errorf("a second file %s in package %s", name, s.Package))
				continue
			}
			p.Files[name] = s.withImports(func(name string) string {
				switch {
				case declared[name]:
					return ""
				case named[name] != "" && named[name] != dir:
					return path.Join(modulePath, named[name])
				default:
					return imports[name]
				}
			})
			for _, embedded := range s.embeds() {
				p.Files[embedded] = "-- a file for go:embed\n"
			}
		}
		packages = append(packages, p)
	}
	return packages, errors.Join(errs...)
}

// docName makes the path of a document the name of a folder.
func docName(doc string) string {
	name := strings.TrimSuffix(doc, path.Ext(doc))
	return strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(name, "_"))
}
