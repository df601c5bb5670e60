package pgdbmtest_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// outside is a module of a user's, in a folder of its own: testdata/shop.
type outside struct {
	dir string
	go_ string
}

// newOutside writes the module, with what it requires. Nothing is downloaded: what
// this module needs is in the cache.
func newOutside(t *testing.T) outside {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("a module of a user's needs the go command, which is not in PATH")
	}
	o := outside{dir: t.TempDir(), go_: tool}
	testkit.NoError(t, os.CopyFS(o.dir, os.DirFS("testdata/shop")))
	root := strings.TrimSpace(o.run(t, ".", "list", "-m", "-f", "{{.Dir}}", "github.com/pgdbm/pgdbm-go"))
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	testkit.NoError(t, err)
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	testkit.NoError(t, err)
	_, requires, _ := strings.Cut(string(mod), "\n") // all but the name of the module
	requires += "\nrequire github.com/pgdbm/pgdbm-go v0.0.0\nreplace github.com/pgdbm/pgdbm-go => " + strconv.Quote(root) + "\n"
	testkit.NoError(t, os.WriteFile(filepath.Join(o.dir, "go.mod"), []byte("module example.com/shop\n"+requires), 0o600))
	testkit.NoError(t, os.WriteFile(filepath.Join(o.dir, "go.sum"), sum, 0o600))
	return o
}

// run runs the go command in a folder and returns its output.
func (o outside) run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), o.go_, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "GOPROXY=off", "GOWORK=off", "PWD=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// scenarios is a test binary of the module, with tests that fail on purpose.
type scenarios struct{ dir, binary string }

// run runs the tests of that name, in an environment with more in it.
func (s scenarios) run(t *testing.T, env []string, tests string) (passed bool, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.binary, "-test.v", "-test.run", tests)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return err == nil, string(out)
}

// race is the flag that this test was built with: packages are built already.
func race() string {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return "-race=true"
		}
	}
	return "-race=false"
}

// A user's module sees what we do not: that nothing depends on this repository's
// layout or internals, on a TestMain, or on what only this module requires.
func TestModuleOutside(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	o.run(t, o.dir, "vet", race(), "./...")
	said := o.run(t, o.dir, "test", race(), "-count=1", "-v", "-bench=.", "-benchtime=2x", "./sales", "./catalog", "./cmd/...")
	for _, part := range []string{
		"--- PASS: TestNew ", "--- PASS: TestNewTx ", "--- PASS: TestNewSetAndSeed ", "--- PASS: TestNewFactory ", "--- PASS: TestURL ",
		"--- PASS: TestFX ", "--- PASS: TestOptions ", "--- SKIP: TestOptions/old_server ", "--- PASS: TestParallelSubtests/a ",
		"--- PASS: FuzzAdd/seed#2 ", "BenchmarkAdd", "BenchmarkAdd/tx", "ok  \texample.com/shop/sales",
	} {
		if !strings.Contains(said, part) {
			t.Errorf("no %q in:\n%s", part, said)
		}
	}
	// Nothing is logged that a test has not asked for, but where a test is skipped.
	if notes := regexp.MustCompile(`(?m)^ +\S+\.go:\d+: .*`).FindAllString(said, -1); len(notes) != 1 {
		t.Errorf("noise: %q", notes)
	}

	t.Run("a program has no fixtures in it", func(t *testing.T) {
		t.Parallel()
		for name := range strings.FieldsSeq(o.run(t, o.dir, "list", "-deps", "./cmd/shop")) {
			for _, foreign := range []string{"testing", "go.uber.org/", "github.com/fergusstrange/", "github.com/pgdbm/pgdbm-go/pgdbm/", "github.com/pgdbm/pgdbm-go/internal/testkit", "os/exec"} {
				if strings.HasPrefix(name, foreign) {
					t.Errorf("a program that imports only pgdbm depends on %s", name)
				}
			}
		}
	})

	s := scenarios{dir: filepath.Join(o.dir, "scenarios"), binary: filepath.Join(o.dir, "scenarios.test")}
	o.run(t, o.dir, "test", race(), "-c", "-o", s.binary, "./scenarios")
	t.Run("reports point at the test", func(t *testing.T) {
		t.Parallel()
		_, said := s.run(t, nil, ".")
		dropKept(t, said)
		source, err := os.ReadFile("testdata/shop/scenarios/scenarios_test.go")
		testkit.NoError(t, err)
		wants := 0
		for i, line := range strings.Split(string(source), "\n") {
			m := regexp.MustCompile(`// want (".*")$`).FindStringSubmatch(line)
			if m == nil {
				continue
			}
			text, err := strconv.Unquote(m[1])
			testkit.NoError(t, err)
			at := regexp.MustCompile(`(?m)^ +scenarios_test\.go:` + strconv.Itoa(i+1) + `: .*` + regexp.QuoteMeta(text))
			if wants++; !at.MatchString(said) {
				t.Errorf("no report at line %d with %q", i+1, text)
			}
		}
		if t.Failed() || wants == 0 {
			t.Logf("%d wanted reports in:\n%s", wants, said)
		}
	})
	t.Run("environment", func(t *testing.T) {
		t.Parallel()
		s.testEnvironment(t)
	})
}
