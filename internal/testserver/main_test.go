package main_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// outcome is what a program printed, and its exit code.
type outcome struct {
	stdout, stderr string
	code           int
}

// run runs a program in this environment with some variables replaced.
func run(t *testing.T, env []string, name string, args ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(slices.Clone(os.Environ()), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return outcome{stdout.String(), stderr.String(), exit.ExitCode()}
	}
	testkit.NoError(t, err)
	return outcome{stdout.String(), stderr.String(), 0}
}

func TestSaysWhichServer(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "testserver")
	built := run(t, nil, "go", "build", "-o", program, ".")
	if built.code != 0 {
		t.Fatal(built.stderr)
	}

	got := run(t, nil, program)
	version, dir, _ := strings.Cut(strings.TrimSpace(got.stdout), "\t")
	if got.code != 0 || version == "" || got.stderr != "" {
		t.Fatalf("got %+v", got)
	}
	out := run(t, nil, filepath.Join(dir, "postgres"), "--version")
	if !strings.Contains(out.stdout, "(PostgreSQL) "+version) {
		t.Errorf("%s is not the version of %s: %s", version, dir, out.stdout)
	}

	none := run(t, []string{"PGDBM_PG_VERSION=99", "PGDBM_PG_BIN=", "PGDBM_DOWNLOAD=off"}, program)
	testkit.Equal(t, none.code, 3)
	testkit.Equal(t, none.stdout, "")
	testkit.ErrorContains(t, errors.New(none.stderr), "wanted is PostgreSQL 99", "forbidden by PGDBM_DOWNLOAD=off")

	idle := run(t, []string{"PGDBM_TEST_IDLE=soon"}, program)
	testkit.Equal(t, idle.code, 1)
	testkit.ErrorContains(t, errors.New(idle.stderr), "PGDBM_TEST_IDLE: time: invalid duration")
	wrong := run(t, []string{"PGDBM_PG_VERSION=new"}, program)
	testkit.Equal(t, wrong.code, 1)
	testkit.ErrorContains(t, errors.New(wrong.stderr), `PGDBM_PG_VERSION="new" is not a major version`)
}
