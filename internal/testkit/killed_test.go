package testkit_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// The server is killed while one test uses a database and others have just given
// theirs back: that test fails, the next starts the server again.
func TestServerKilledBetweenTests(t *testing.T) {
	t.Parallel()
	k := openKit(t, map[string]string{
		"TEST_DATABASE_URL": "", "DATABASE_URL": "", "PGHOST": "", "PGSERVICE": "", // the embedded server
		"PGDBM_TEST_DIR": stateDir(t), "PGDBM_TEST_IDLE": "1s",
	})
	tpl := sqlTemplate(t.Name(), "CREATE TABLE t (id int)")
	released := newProbe(t)
	k.New(released, tpl)
	during := newProbe(t)
	d := k.New(during, tpl)
	released.end()

	pid := query[string](t, d.ConnString(), "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")
	number, err := strconv.Atoi(pid)
	testkit.NoError(t, err)
	testkit.NoError(t, kill(number))
	testkit.Eventually(t, "the sessions end", func() bool { return d.Pool().Ping(t.Context()) != nil })
	during.end()

	for range 3 {
		p := newProbe(t)
		again := k.New(p, tpl)
		if p.Failed() {
			t.Fatalf("no database after the server was killed: %s", p.said())
		}
		testkit.Equal(t, query[int](t, again.ConnString(), "SELECT count(*) FROM t"), 0)
		p.end()
	}
}

// stateDir returns an empty state directory, which goes once its server has.
func stateDir(t *testing.T) string {
	t.Helper()
	base := os.TempDir()
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		base = "/dev/shm" // a short path, and fast
	}
	dir, err := os.MkdirTemp(base, "pgdbm-k")
	testkit.NoError(t, err)
	t.Cleanup(func() {
		pids, err := filepath.Glob(filepath.Join(dir, "*", "*", "data", "postmaster.pid"))
		testkit.NoError(t, err)
		for _, file := range pids {
			if content, err := os.ReadFile(file); err == nil {
				first, _, _ := strings.Cut(string(content), "\n")
				if pid, err := strconv.Atoi(first); err == nil {
					_ = kill(pid)
				}
			}
		}
		testkit.NoError(t, os.RemoveAll(dir))
	})
	return dir
}
