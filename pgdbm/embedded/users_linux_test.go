package embedded_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// as makes a process that of another user, which only root can.
func as(t *testing.T, uid, gid int) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// nobody returns an ordinary user.
func nobody(t *testing.T) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup("nobody")
	noError(t, err)
	uid, err = strconv.Atoi(u.Uid)
	noError(t, err)
	gid, err = strconv.Atoi(u.Gid)
	noError(t, err)
	return uid, gid
}

// nameless returns a user id that has no name.
func nameless() int { return 200_000 + rand.IntN(1_000_000_000) }

// needsNamespaces skips the test where that user gets no user namespace.
func needsNamespaces(t *testing.T, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: attr.Credential, Cloneflags: syscall.CLONE_NEWUSER}
	if err := cmd.Run(); err != nil {
		t.Skipf("the system forbids user namespaces: %v", err)
	}
}

// userOf returns the user that a process runs as.
func userOf(t *testing.T, pid int) int {
	t.Helper()
	fi, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
	noError(t, err)
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("no user is known of process %d", pid)
	}
	return int(st.Uid)
}

// The life of a server among processes of a user: one starts it, one joins it,
// all are killed, it stops, and the next starts it again.
func lifeOf(t *testing.T, attr *syscall.SysProcAttr, owner int, env ...string) {
	t.Helper()
	dir := stateDir(t)
	noError(t, os.Chmod(dir, 0o711))
	if attr.Credential != nil {
		noError(t, os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)))
	}
	cfg := embedded.Config{Dir: dir, Idle: time.Second}
	first := beginAs(t, cfg, attr, env...).ready(t)
	equal(t, first.Origin, embedded.Started)
	pid := postmaster(first.DataDir)
	equal(t, userOf(t, pid), owner)
	second := beginAs(t, cfg, attr, env...).ready(t)
	equal(t, second.Origin, embedded.Joined)
	equal(t, query[string](t, second.ConnString, "SHOW server_encoding"), "UTF8")
	execute(t, second.ConnString, "CREATE DATABASE kept")
	first.kill(t)
	second.kill(t)
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
	third := beginAs(t, cfg, attr, env...).ready(t)
	equal(t, third.Origin, embedded.Restarted)
	equal(t, query[bool](t, third.ConnString, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'kept')"), true)
	third.end(t)
}

func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	uid, gid := nobody(t)
	lifeOf(t, as(t, uid, gid), uid, "HOME", "XDG_CACHE_HOME", "USER", "LOGNAME")
}

// A container is often run as a user that its password file does not know.
func TestUserWithoutName(t *testing.T) {
	t.Parallel()
	uid := nameless()
	attr := as(t, uid, uid)
	needsNamespaces(t, attr)
	lifeOf(t, attr, uid, "HOME", "XDG_CACHE_HOME")
}

// Root of a container without other users cannot become one of them.
func TestRootWhoMayNotBecomeAnother(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root is root")
	}
	for _, groups := range []bool{true, false} { // setgid fails, or setgroups before it
		attr := &syscall.SysProcAttr{
			Cloneflags:                 syscall.CLONE_NEWUSER,
			UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
			GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
			GidMappingsEnableSetgroups: groups,
		}
		needsNamespaces(t, attr)
		if groups {
			lifeOf(t, attr, 0)
			continue
		}
		h := beginAs(t, embedded.Config{Dir: stateDir(t)}, attr).ready(t)
		equal(t, userOf(t, postmaster(h.DataDir)), 0) // as seen from outside the namespace
		h.end(t)
	}
}

func TestRootRunsTheServerAsAnother(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root does")
	}
	s := start(t, embedded.Config{Dir: stateDir(t)})
	if uid := userOf(t, postmaster(s.DataDir())); uid == 0 {
		t.Error("the server runs as root")
	}
	uid, gid := nobody(t)
	cmd := exec.CommandContext(t.Context(), "/bin/ls", filepath.Join(filepath.Dir(s.DataDir()), "s"))
	cmd.SysProcAttr = as(t, uid, gid)
	if out, err := cmd.CombinedOutput(); err == nil || !contains(string(out), "Permission denied") {
		t.Errorf("others see the socket: %s", out)
	}
}

// where says in which directory the servers of a user would be, or why not.
func where(t *testing.T, cfg embedded.Config, attr *syscall.SysProcAttr, env ...string) string {
	t.Helper()
	out, _ := command(t, cfg, attr, append(env, whereVariable+"=as it is")...).CombinedOutput() // the message is in it
	return strings.TrimSpace(string(out))
}

// A default directory that cannot be trusted is passed over.
func TestStateDirOfSomebodyElse(t *testing.T) {
	t.Parallel()
	uid := nameless()
	attr := as(t, uid, uid)
	tmp, name := machine(t), "pgdbm-"+strconv.Itoa(uid)
	noError(t, os.Chmod(tmp, 0o777))
	inMemory, inTmp, inVar := filepath.Join("/dev/shm", name), filepath.Join(tmp, name), filepath.Join("/var/tmp", name)
	for _, dir := range []string{inMemory, inTmp, inVar} {
		t.Cleanup(func() { noError(t, os.RemoveAll(dir)) })
	}
	equal(t, where(t, embedded.Config{}, attr, "TMPDIR="+tmp), inMemory)
	equal(t, where(t, embedded.Config{Private: true}, attr, "TMPDIR="+tmp), inTmp)

	noError(t, os.Chown(inMemory, 0, 0)) // somebody was faster
	equal(t, where(t, embedded.Config{}, attr, "TMPDIR="+tmp), inTmp)
	noError(t, os.Remove(inTmp))
	noError(t, os.Symlink(inVar, inTmp))
	equal(t, where(t, embedded.Config{}, attr, "TMPDIR="+tmp), inVar)
	equal(t, where(t, embedded.Config{}, attr, "TMPDIR="+filepath.Join(tmp, strings.Repeat("long", 20))), inVar)
	noError(t, os.Chmod(inVar, 0o777))
	errorContains(t, errorOf(where(t, embedded.Config{}, attr, "TMPDIR="+tmp)),
		"no directory for the server's files (set PGDBM_TEST_DIR in tests, Config.Dir elsewhere)",
		inMemory+": belongs to uid 0, not to uid "+strconv.Itoa(uid), inTmp+": is a symbolic link", inVar+": others may write to it")
}

// Shared memory of a container is often 64 MB.
func TestStateDirNeedsSpace(t *testing.T) {
	t.Parallel()
	attr := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	needsNamespaces(t, attr)
	dir := stateDir(t)
	out, err := command(t, embedded.Config{Dir: dir}, attr, whereVariable+"=small").CombinedOutput()
	if err == nil {
		t.Errorf("a small file system was accepted: %s", out)
	}
	errorContains(t, errorOf(string(out)), "embedded: state directory "+dir+": only ", "MiB free, 1024 are needed")
}
