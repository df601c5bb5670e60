package testkit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
)

// A machine without PostgreSQL and without the permission to download one: every
// test fails at once with what was tried and what helps.
func TestNothingAtAll(t *testing.T) {
	t.Parallel()
	if os.Getenv(helperVariable) != "" {
		for _, glob := range []string{"/usr/lib/postgresql*", "/usr/pgsql-*", "/usr/libexec/postgresql*", "/usr/local/pgsql", "/home/linuxbrew", "/var/cache/pgdbm"} {
			dirs, err := filepath.Glob(glob)
			testkit.NoError(t, err)
			for _, dir := range dirs { // hidden from this process alone
				testkit.NoError(t, syscall.Mount("none", dir, "tmpfs", 0, "size=1m"))
			}
		}
		for range 2 {
			p := newProbe(t)
			testkit.New(p, testkit.Template{})
			t.Logf("said: %s", p.said())
		}
		return
	}
	attr := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	probe := exec.CommandContext(t.Context(), "/bin/true")
	probe.SysProcAttr = attr
	if err := probe.Run(); err != nil {
		t.Skipf("the system forbids user namespaces, in which PostgreSQL could be hidden: %v", err)
	}
	_, env := embeddedServer(t, "1s")
	cmd := again(t, "hide", append(env, "PATH="+t.TempDir(), "PGDBM_DOWNLOAD=off", "PGDBM_PG_BIN=", "PGDBM_PG_VERSION=")...)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	testkit.NoError(t, err)
	lines := string(out)
	testkit.ErrorContains(t, errorOf(lines), "embedded: no PostgreSQL found: wanted is PostgreSQL 14 or newer", "postgres in PATH: not there",
		"pg_config --bindir: not there", "download: forbidden by PGDBM_DOWNLOAD=off")
	for _, help := range []string{
		"any of these helps:", "apt-get install postgresql", "dnf install postgresql-server", "apk add postgresql", "brew install postgresql",
		"export PGDBM_PG_BIN=/path/to/postgresql/bin", "export TEST_DATABASE_URL=postgres://user:password@host:5432/postgres",
	} {
		count := 0
		for line := range strings.Lines(lines) {
			if strings.TrimSpace(line) == help {
				count++
			}
		}
		if count != 2 { // tests
			t.Errorf("%d lines say %q:\n%s", count, help, out)
		}
	}
}
