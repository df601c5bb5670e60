package embedded_test

import (
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

func TestPrivateServerLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	s := start(t, embedded.Config{Dir: dir, Private: true})
	equal(t, s.Origin(), embedded.Started)
	for setting, want := range map[string]string{"fsync": "on", "full_page_writes": "on", "listen_addresses": ""} {
		equal(t, query[string](t, s.ConnString("postgres"), "SHOW "+setting), want)
	}
	other := start(t, embedded.Config{Dir: dir, Private: true})
	if other.DataDir() == s.DataDir() {
		t.Error("two private servers share their data")
	}

	pid := postmaster(s.DataDir())
	noError(t, s.Close(t.Context()))
	noError(t, s.Close(t.Context()))
	equal(t, running(pid), false)
	homes, err := filepath.Glob(filepath.Join(dir, "p*"))
	noError(t, err)
	equal(t, len(homes), 1) // the other's
	equal(t, query[int](t, other.ConnString("postgres"), "SELECT 1"), 1)
}

func TestPrivateServerWithTCP(t *testing.T) {
	t.Parallel()
	takeUsualPort(t)
	s := start(t, embedded.Config{Dir: stateDir(t), Private: true, TCP: true, Settings: map[string]string{"log_statement": "all"}})
	u, err := url.Parse(s.ConnString("postgres"))
	noError(t, err)
	equal(t, u.Hostname(), "127.0.0.1")
	equal(t, query[string](t, u.String(), "SELECT host(inet_server_addr())"), "127.0.0.1")

	password, _ := u.User.Password()
	if len(password) < 20 {
		t.Errorf("short password %q", password)
	}
	for _, user := range []*url.Userinfo{url.User("postgres"), url.UserPassword("postgres", "postgres")} {
		u.User = user
		_, err = pgx.Connect(t.Context(), u.String())
		errorContains(t, err, "password authentication failed")
	}
	log, err := os.ReadFile(s.Log())
	noError(t, err)
	if len(log) == 0 || contains(string(log), password) {
		t.Error("the log is empty or has the password in it")
	}
	if contains(s.String(), password) {
		t.Error("the description has the password in it")
	}
}

func TestPrivateServerOfKilledOwner(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	cfg := embedded.Config{Dir: dir, Private: true, TCP: true, Idle: time.Second}
	h := begin(t, cfg).ready(t)
	pid := postmaster(h.DataDir)
	client, err := pgx.Connect(t.Context(), h.ConnString) // somebody else's session does not keep it
	noError(t, err)
	defer client.Close(t.Context()) //nolint:errcheck // the server is gone
	h.kill(t)
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })

	next := start(t, cfg)
	if _, err := os.Stat(h.DataDir); !os.IsNotExist(err) {
		t.Errorf("the dead owner's directory is still there: %v", err)
	}
	equal(t, next.Origin(), embedded.Started)
}

func TestPrivateServerIsSweptWhileItRuns(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	h := begin(t, embedded.Config{Dir: dir, Private: true, Idle: time.Hour}).ready(t)
	pid := postmaster(h.DataDir)
	h.kill(t)
	equal(t, running(pid), true)
	start(t, embedded.Config{Dir: dir, Private: true})
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
	if _, err := os.Stat(h.DataDir); !os.IsNotExist(err) {
		t.Errorf("the dead owner's directory is still there: %v", err)
	}
}

// A dead owner's directory may hold the data of a server that still runs, and
// comes first.
func TestSweepEndsServersBeforeItRemovesTheirData(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	first := filepath.Join(dir, "p0")
	noError(t, errors.Join(os.Chmod(dir, 0o711), os.Mkdir(first, 0o711)))
	owner, err := os.Create(filepath.Join(first, "owner"))
	noError(t, err)
	noError(t, syscall.Flock(int(owner.Fd()), syscall.LOCK_EX))
	h := begin(t, embedded.Config{Dir: dir, Private: true, Idle: time.Hour, DataDir: filepath.Join(first, "data")}).ready(t)
	pid := postmaster(h.DataDir)
	logs, err := filepath.Glob(filepath.Join(dir, "p*", "log"))
	noError(t, err)
	equal(t, len(logs), 1)
	log, err := os.Open(logs[0]) // it is removed, too
	noError(t, err)
	defer log.Close() //nolint:errcheck // read only
	h.kill(t)
	noError(t, owner.Close())
	start(t, embedded.Config{Dir: dir, Private: true})
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
	said, err := io.ReadAll(log)
	noError(t, err)
	if !contains(string(said), "received immediate shutdown request") { // not because its data had gone
		t.Errorf("log: %s", said)
	}
}

func TestWatchdogNeedsNoFile(t *testing.T) {
	t.Parallel()
	h := begin(t, embedded.Config{Dir: stateDir(t), Private: true, Idle: time.Second}).ready(t)
	pid := postmaster(h.DataDir)
	noError(t, os.Remove(filepath.Join(h.DataDir, "postmaster.pid")))
	h.kill(t)
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
}

func TestPrivateServerKeepsNamedData(t *testing.T) {
	t.Parallel()
	dir, home := stateDir(t), stateDir(t)
	noError(t, os.Chmod(home, 0o711))
	cfg := embedded.Config{Dir: dir, Private: true, DataDir: filepath.Join(home, "data")}
	s := start(t, cfg)
	equal(t, s.Origin(), embedded.Started)
	execute(t, s.ConnString("postgres"), "CREATE TABLE kept AS SELECT 42 AS answer")
	noError(t, s.Close(t.Context()))

	cfg.TCP = true
	again := start(t, cfg)
	equal(t, again.Origin(), embedded.Restarted)
	equal(t, query[int](t, again.ConnString("postgres"), "SELECT answer FROM kept"), 42)

	cfg.Version = 99
	_, err := embedded.Start(t.Context(), cfg)
	errorContains(t, err, "is of PostgreSQL", "not 99")
	cfg.Version = 0
	cfg.DataDir = dir // not empty
	_, err = embedded.Start(t.Context(), cfg)
	errorContains(t, err, "neither empty nor a data directory")
}

func TestConfigMistakesAreJoined(t *testing.T) {
	t.Parallel()
	_, err := embedded.Start(t.Context(), embedded.Config{
		Version: 9, TCP: true, DataDir: "data", Dir: "state", Idle: time.Millisecond,
	})
	errorContains(t, err, "Version 9 is too old", "TCP needs Private", "DataDir needs Private",
		`DataDir "data" is not an absolute path`, `Dir "state" is not an absolute path`, "Idle 1ms is too short")
}
