package repo_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each file of testdata/compile but compiles.go, which declares what they use,
// holds a mistake that the compiler must find, and what it must say:
//
//	age.Eq("18") // want: cannot use "18"
func TestWhatDoesNotCompile(t *testing.T) {
	t.Parallel()
	imports := exportData(t)
	errs := typeCheck(t, imports, "compiles.go")
	for _, err := range errs {
		t.Errorf("compiles.go: %v", err)
	}
	files, err := filepath.Glob("testdata/compile/*.go")
	check(t, err)
	if len(files) < 15 {
		t.Fatalf("%d files", len(files))
	}
	for _, file := range files {
		name := filepath.Base(file)
		if name == "compiles.go" {
			continue
		}
		source, err := os.ReadFile(file)
		check(t, err)
		before, want, ok := strings.Cut(string(source), "// want: ")
		if !ok {
			t.Errorf("%s does not say what it wants", name)
			continue
		}
		want, _, _ = strings.Cut(want, "\n")
		line := strings.Count(before, "\n") + 1
		found := false
		for _, err := range typeCheck(t, imports, "compiles.go", name) {
			if err.Fset.Position(err.Pos).Line == line && strings.Contains(err.Msg, want) {
				found = true
				continue
			}
			if !err.Soft && err.Fset.Position(err.Pos).Line != line {
				t.Errorf("%s: another mistake: %v", name, err)
			} else if !found {
				t.Logf("%s: %v", name, err)
			}
		}
		if !found {
			t.Errorf("%s compiles, or fails otherwise than by %q", name, want)
		}
	}
}

func typeCheck(t *testing.T, imports types.Importer, names ...string) (errs []types.Error) {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(fset, filepath.Join("testdata/compile", name), nil, 0)
		check(t, err)
		files = append(files, file)
	}
	cfg := types.Config{Importer: imports, Error: func(err error) { errs = append(errs, err.(types.Error)) }}
	_, _ = cfg.Check("compile", fset, files, nil) // the errors are in errs
	return errs
}

// exportData returns an importer of the package and what it needs, as compiled.
func exportData(t *testing.T) types.Importer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", ".")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	check(t, err)
	exports := map[string]string{}
	for _, line := range strings.Fields(string(out)) {
		path, file, _ := strings.Cut(line, "=")
		exports[path] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
}
