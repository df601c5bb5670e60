package repo_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Each file of testdata/compile but compiles.go, which declares what they use,
// holds a mistake that the compiler must find, and what it must say:
//
//	age.Eq("18") // want: cannot use "18"
func TestWhatDoesNotCompile(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/compile/*.go")
	check(t, err)
	wanted := map[string]string{} // by file and line
	for _, file := range files {
		source, err := os.ReadFile(file)
		check(t, err)
		before, want, ok := strings.Cut(string(source), "// want: ")
		if filepath.Base(file) == "compiles.go" {
			continue
		}
		if !ok {
			t.Errorf("%s does not say what it wants", file)
		}
		want, _, _ = strings.Cut(want, "\n")
		wanted[file+":"+strconv.Itoa(strings.Count(before, "\n")+1)] = want
	}
	if len(wanted) < 15 {
		t.Fatalf("%d files", len(wanted))
	}
	args := slices.Concat([]string{"build", "-gcflags=-e", "-o", os.DevNull}, files) // -e: all errors
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	if err == nil {
		t.Fatal("everything compiles")
	}
	for line := range strings.Lines(string(out)) {
		parts := strings.SplitN(strings.TrimPrefix(line, "./"), ":", 4)
		if len(parts) != 4 || strings.HasPrefix(line, "\t") {
			continue // the package's name, and lines that go on
		}
		place := parts[0] + ":" + parts[1]
		want, ok := wanted[place]
		if !ok || !strings.Contains(parts[3], want) {
			t.Errorf("%s: the compiler says %q, want %q", place, strings.TrimSpace(parts[3]), want)
		}
		delete(wanted, place)
	}
	for _, place := range slices.Sorted(maps.Keys(wanted)) {
		t.Errorf("%s compiles; want %q", place, wanted[place])
	}
}
