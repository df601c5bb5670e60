package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// pretend makes a directory with programs that say they are PostgreSQL.
func pretend(t *testing.T, dir, version string) {
	t.Helper()
	noError(t, os.MkdirAll(dir, 0o755))
	for _, name := range []string{"postgres", "initdb"} {
		script := fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %s'\n", name, version)
		noError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
}

// machine returns an empty directory that the server's user may enter.
func machine(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgdbm-m")
	noError(t, err)
	t.Cleanup(func() { noError(t, os.RemoveAll(dir)) })
	noError(t, os.Chmod(dir, 0o755))
	return dir
}

func TestFindTakesTheNewest(t *testing.T) {
	t.Parallel()
	m := machine(t)
	for dir, version := range map[string]string{
		"pg/9/bin": "9.6.24", "pg/14/bin": "14.9", "pg/15/bin": "15.10 (Debian 15.10-1)", "pg/16/bin": "16beta1",
		"path": "15.2", "cache/pgdbm/15.9/bin": "15.9",
	} {
		pretend(t, filepath.Join(m, dir), version)
	}
	noError(t, os.MkdirAll(filepath.Join(m, "pg/17/bin"), 0o755))
	env := map[string]string{"PATH": filepath.Join(m, "path"), "PGDBM_DOWNLOAD": "off"}
	search, cache := []string{filepath.Join(m, "pg/*/bin")}, filepath.Join(m, "cache/pgdbm")
	for major, want := range map[int]string{0: "16beta1", 15: "15.10", 14: "14.9"} {
		_, version, err := embedded.Find(t.Context(), major, env, search, cache)
		noError(t, err)
		equal(t, version, want)
	}
	_, _, err := embedded.Find(t.Context(), 9, env, search, cache)
	errorContains(t, err, "pg/9/bin: is PostgreSQL 9.6.24: 14 or newer is needed", "pg/17/bin: has no postgres",
		"path is PostgreSQL 15.2", "forbidden by PGDBM_DOWNLOAD=off")

	env["PGDBM_PG_BIN"] = filepath.Join(m, "pg/14")
	dir, version, err := embedded.Find(t.Context(), 0, env, search, cache)
	noError(t, err)
	equal(t, dir, filepath.Join(m, "pg/14/bin"))
	equal(t, version, "14.9")
	_, _, err = embedded.Find(t.Context(), 15, env, search, cache)
	errorContains(t, err, "PGDBM_PG_BIN="+env["PGDBM_PG_BIN"]+": is PostgreSQL 14.9, wanted is 15")
	env["PGDBM_PG_BIN"] = filepath.Join(m, "none")
	_, _, err = embedded.Find(t.Context(), 0, env, search, cache)
	errorContains(t, err, "none: has no postgres")
}

// A program that was just written is busy while a child that was forked in that
// moment still has it open.
func TestFindWaitsForABusyProgram(t *testing.T) {
	t.Parallel()
	m := machine(t)
	pretend(t, filepath.Join(m, "pg"), "15.1")
	f, err := os.OpenFile(filepath.Join(m, "pg", "postgres"), os.O_WRONLY, 0)
	noError(t, err)
	closing := time.AfterFunc(100*time.Millisecond, func() { _ = f.Close() })
	defer closing.Stop()
	_, version, err := embedded.Find(t.Context(), 0, map[string]string{"PATH": filepath.Join(m, "pg"), "PGDBM_DOWNLOAD": "off"}, nil, filepath.Join(m, "c", "c"))
	noError(t, err)
	equal(t, version, "15.1")
}

func TestFindAsksPgConfigLast(t *testing.T) {
	t.Parallel()
	m := machine(t)
	pretend(t, filepath.Join(m, "odd"), "15.1")
	noError(t, os.MkdirAll(filepath.Join(m, "path"), 0o755))
	script := "#!/bin/sh\necho " + filepath.Join(m, "odd") + "\n"
	noError(t, os.WriteFile(filepath.Join(m, "path", "pg_config"), []byte(script), 0o755))
	dir, _, err := embedded.Find(t.Context(), 0, map[string]string{"PATH": filepath.Join(m, "path")}, nil, filepath.Join(m, "c", "c"))
	noError(t, err)
	equal(t, dir, filepath.Join(m, "odd"))
}

func TestFindWithNothing(t *testing.T) {
	t.Parallel()
	m := machine(t)
	env := map[string]string{"PATH": m, "PGDBM_DOWNLOAD": "off"}
	_, _, err := embedded.Find(t.Context(), 16, env, []string{filepath.Join(m, "pg/*")}, filepath.Join(m, "c", "c"))
	if !errors.Is(err, embedded.ErrNoBinaries) {
		t.Errorf("got %v", err)
	}
	errorContains(t, err, "no PostgreSQL found: wanted is PostgreSQL 16", "postgres in PATH: not there", "pg_config --bindir: not there",
		"/pg/*: nothing there", "\n  apt-get install postgresql-16\n", "\n  dnf install postgresql16-server\n",
		"\n  apk add postgresql16\n", "\n  brew install postgresql@16\n", "\n  export PGDBM_PG_BIN=")
}

func TestFindDownloads(t *testing.T) {
	t.Parallel()
	m := machine(t)
	cache := filepath.Join(m, "cache", "postgresql")
	calls := 0
	broken := func(context.Context, string, int) error { calls++; return errors.New("no network") }
	wrong := func(_ context.Context, dir string, _ int) error {
		calls++
		pretend(t, filepath.Join(dir, "pg", "bin"), "13.1")
		return nil
	}
	good := func(_ context.Context, dir string, _ int) error {
		calls++
		pretend(t, filepath.Join(dir, "pg", "bin"), "16.4")
		return os.Chmod(filepath.Join(dir, "pg"), 0o700)
	}
	env := map[string]string{"PATH": m}
	_, _, err := embedded.Find(t.Context(), 0, env, nil, cache, broken, wrong)
	errorContains(t, err, "download from a test: no network", "is PostgreSQL 13.1: 14 or newer", "download: nothing usable")
	for range 2 {
		dir, version, err := embedded.Find(t.Context(), 0, env, nil, cache, broken, wrong, good)
		noError(t, err)
		equal(t, version, "16.4")
		equal(t, dir, filepath.Join(cache, "16.4", "bin"))
	}
	equal(t, calls, 2+3) // the second time it was there
	left, err := filepath.Glob(filepath.Join(cache, "new-*"))
	noError(t, err)
	equal(t, len(left), 0)

	noError(t, os.Chmod(cache, 0o777))
	_, _, err = embedded.Find(t.Context(), 0, env, nil, cache, good)
	errorContains(t, err, "others may write to it")
}

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	ascending := strings.Fields("9.6.24 14.0 15.9 15.10 18devel 18beta1 18beta2 18rc1 18.0 18.3.0-alpha.9 18.3.0-beta.16 18.3.0-beta.17 18.10.0-beta.2 18.10.1")
	for i, a := range ascending[1:] {
		if b := ascending[i]; embedded.CompareVersions(a, b) <= 0 {
			t.Errorf("%s is not after %s", a, b)
		}
	}
}
