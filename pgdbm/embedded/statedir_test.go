package embedded_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

func TestStateDirMustBeOurs(t *testing.T) {
	t.Parallel()
	m := machine(t)
	at := func(name string) string { return filepath.Join(m, name) }
	noError(t, os.Mkdir(at("ours"), 0o700))
	noError(t, os.Symlink(at("ours"), at("link")))
	noError(t, os.WriteFile(at("file"), nil, 0o600))
	noError(t, os.Mkdir(at("open"), 0o700))
	noError(t, os.Chmod(at("open"), 0o777))
	long := at(strings.Repeat("x", 90))
	want := map[string]string{
		at("link"): "is a symbolic link", at("file"): "is not a directory", at("open"): "others may write to it",
		long: "path too long for a Unix socket",
	}
	if os.Geteuid() == 0 {
		noError(t, os.Mkdir(at("foreign"), 0o755))
		noError(t, os.Chown(at("foreign"), 12345, 12345))
		want[at("foreign")] = "belongs to uid 12345, not to uid 0"
		noError(t, os.MkdirAll(at("closed/state"), 0o700))
		want[at("closed/state")] = "may not enter " + at("closed")
		noError(t, os.Mkdir(at("private"), 0o700))
		noError(t, os.WriteFile(at("private/something"), nil, 0o600))
		want[at("private")] = "chmod 711 it"
	}
	for dir, message := range want {
		_, err := embedded.StateDir(embedded.Config{Dir: dir})
		errorContains(t, err, "embedded: state directory "+dir, message)
	}

	for _, name := range []string{"ours", "new/deep"} {
		dir, err := embedded.StateDir(embedded.Config{Dir: at(name)})
		noError(t, err)
		equal(t, dir, at(name))
		fi, err := os.Stat(dir)
		noError(t, err)
		equal(t, fi.Mode().Perm()&0o022, 0)
	}
}

func TestStateDirDefaults(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), strings.Repeat("x", 100)))
	for _, private := range []bool{false, true} {
		dir, err := embedded.StateDir(embedded.Config{Private: private})
		noError(t, err)
		if !strings.Contains(dir, "/pgdbm-") || strings.Contains(dir, "xxx") {
			t.Errorf("got %s", dir)
		}
	}
}
