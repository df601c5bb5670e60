package doctest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/doctest"
)

func TestDocumentationCompiles(t *testing.T) {
	t.Parallel()
	moduleDir := moduleDir(t)
	touchSources(t, moduleDir)

	var packages []doctest.Package
	for _, doc := range documents(t, moduleDir) {
		markdown, err := os.ReadFile(filepath.Join(moduleDir, doc))
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := doctest.Blocks(doc, string(markdown))
		if err != nil {
			t.Error(err)
		}
		assembled, err := doctest.Packages(blocks)
		if err != nil {
			t.Error(err)
		}
		packages = append(packages, assembled...)
	}
	if err := doctest.Compile(t.Context(), moduleDir, t.TempDir(), packages); err != nil {
		t.Errorf("the documentation does not compile:\n%v", err)
	}
}

func documents(t *testing.T, moduleDir string) (docs []string) {
	t.Helper()
	for _, pattern := range []string{"README.md", "docs/*.md"} {
		found, err := fs.Glob(os.DirFS(moduleDir), pattern)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, found...)
	}
	return docs
}

func moduleDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// touchSources looks at every Go file of the module: go test repeats a result
// from its cache unless a file that the test itself looked at has changed.
func touchSources(t *testing.T, moduleDir string) {
	t.Helper()
	err := filepath.WalkDir(moduleDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // somebody else's temporary file, gone already
		}
		if entry.IsDir() && path != moduleDir && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if filepath.Ext(path) == ".go" {
			_, _ = os.Stat(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
