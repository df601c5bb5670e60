package embedded_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

func TestVersionOfTheRun(t *testing.T) {
	t.Parallel()
	m := machine(t)
	for dir, version := range map[string]string{"pg/14/bin": "14.9", "pg/15/bin": "15.10", "pg/16/bin": "16.2"} {
		pretend(t, filepath.Join(m, dir), version)
	}
	search, cache := []string{filepath.Join(m, "pg/*/bin")}, filepath.Join(m, "cache", "pgdbm")
	find := func(major int, env map[string]string) (string, error) {
		env["PATH"], env["PGDBM_DOWNLOAD"] = m, "off"
		_, version, err := embedded.Find(t.Context(), major, env, search, cache)
		return version, err
	}
	for asked, want := range map[string]string{"": "16.2", "14": "14.9", "15": "15.10"} {
		version, err := find(0, map[string]string{"PGDBM_PG_VERSION": asked})
		noError(t, err)
		equal(t, version, want)
	}
	version, err := find(15, map[string]string{"PGDBM_PG_VERSION": "14"}) // the program knows what it needs
	noError(t, err)
	equal(t, version, "15.10")

	for value, message := range map[string]string{
		"15.3": `PGDBM_PG_VERSION="15.3" is not a major version like 15`,
		"new":  `PGDBM_PG_VERSION="new" is not a major version like 15`,
		"13":   "PGDBM_PG_VERSION=13 is too old: 14 or newer",
		"-1":   "PGDBM_PG_VERSION=-1 is too old: 14 or newer",
	} {
		_, err := find(0, map[string]string{"PGDBM_PG_VERSION": value})
		errorContains(t, err, "embedded: "+message)
	}
	_, err = find(0, map[string]string{"PGDBM_PG_VERSION": "17"})
	errorContains(t, err, "wanted is PostgreSQL 17 (PGDBM_PG_VERSION)", "pg/15/bin is PostgreSQL 15.10",
		"forbidden by PGDBM_DOWNLOAD=off", "\n  apt-get install postgresql-17\n", "\n  unset PGDBM_PG_VERSION")

	named := map[string]string{"PGDBM_PG_BIN": filepath.Join(m, "pg/14"), "PGDBM_PG_VERSION": "14"}
	version, err = find(0, named)
	noError(t, err)
	equal(t, version, "14.9")
	named["PGDBM_PG_VERSION"] = "15"
	_, err = find(0, named)
	errorContains(t, err, "PGDBM_PG_BIN="+named["PGDBM_PG_BIN"]+": is PostgreSQL 14.9, but PGDBM_PG_VERSION wants 15: unset one of the two")
}

// A version that was downloaded for one run does not change what others use,
// where the system has one of its own.
func TestInstalledGoesBeforeDownloaded(t *testing.T) {
	t.Parallel()
	m := machine(t)
	search, cache := []string{filepath.Join(m, "pg/*/bin")}, filepath.Join(m, "cache", "pgdbm")
	pretend(t, filepath.Join(m, "pg/15/bin"), "15.10")
	pretend(t, filepath.Join(cache, "15.11", "bin"), "15.11")
	env := map[string]string{"PATH": m}
	newer := func(_ context.Context, dir string, _ int) error {
		pretend(t, filepath.Join(dir, "pg", "bin"), "18.1")
		return nil
	}
	for _, step := range []struct{ asked, want string }{{"18", "18.1"}, {"", "15.10"}, {"15", "15.10"}, {"18", "18.1"}} {
		env["PGDBM_PG_VERSION"] = step.asked
		_, version, err := embedded.Find(t.Context(), 0, env, search, cache, newer)
		noError(t, err)
		equal(t, version, step.want)
	}

	noError(t, os.RemoveAll(filepath.Join(m, "pg")))
	env["PGDBM_PG_VERSION"] = ""
	for _, want := range []string{"18.1", "15.11"} { // of the cache the newest
		_, version, err := embedded.Find(t.Context(), 0, env, search, cache)
		noError(t, err)
		equal(t, version, want)
		noError(t, os.RemoveAll(filepath.Join(cache, want)))
	}
}

// The variable is for servers that do not care, not for data that exist.
func TestVersionOfTheRunAndData(t *testing.T) {
	dir, home := stateDir(t), stateDir(t)
	noError(t, os.Chmod(home, 0o711))
	cfg := embedded.Config{Dir: dir, Private: true, DataDir: filepath.Join(home, "data")}
	s := start(t, cfg)
	noError(t, s.Close(t.Context()))

	t.Setenv("PGDBM_PG_VERSION", "99")
	equal(t, start(t, cfg).Version(), s.Version())

	t.Setenv("PGDBM_PG_BIN", "")
	t.Setenv("PGDBM_DOWNLOAD", "off")
	for _, private := range []bool{false, true} {
		_, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, Private: private})
		errorContains(t, err, "wanted is PostgreSQL 99 (PGDBM_PG_VERSION)")
	}
}
