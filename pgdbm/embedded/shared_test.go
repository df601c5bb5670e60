package embedded_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

func TestSharedServer(t *testing.T) {
	t.Parallel()
	takeUsualPort(t)
	cfg := embedded.Config{Dir: stateDir(t)}
	servers := make(chan *embedded.Server, 4)
	for range cap(servers) {
		go func() {
			s, err := embedded.Start(t.Context(), cfg)
			if err != nil {
				t.Error(err)
			}
			servers <- s
		}()
	}
	origins := map[embedded.Origin]int{}
	for range cap(servers) {
		s := <-servers
		if s == nil {
			t.FailNow()
		}
		origins[s.Origin()]++
		defer s.Close(t.Context()) //nolint:errcheck // the last is closed below
	}
	equal(t, fmt.Sprint(origins), fmt.Sprint(map[embedded.Origin]int{embedded.Started: 1, embedded.Joined: 3}))
	first := start(t, cfg)
	equal(t, first.Origin(), embedded.Joined)
	if !strings.HasPrefix(first.String(), "PostgreSQL "+first.Version()+" from /") {
		t.Errorf("described as %q", first)
	}
	if _, err := os.Stat(first.Log()); err != nil {
		t.Error(err)
	}

	for setting, want := range map[string]string{
		"server_encoding": "UTF8", "listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
		"autovacuum": "off", "max_connections": "500", "max_locks_per_transaction": "256", "max_prepared_transactions": "20",
		"TimeZone": "UTC", "log_timezone": "UTC", "dynamic_shared_memory_type": "mmap",
	} {
		equal(t, query[string](t, first.ConnString("postgres"), "SHOW "+setting), want)
	}
	equal(t, query[string](t, first.ConnString("postgres"), "SELECT upper('grün')"), "GRÜN")
	equal(t, query[string](t, first.ConnString("postgres"), "SELECT to_tsvector('simple', 'GRÜN')::text"), "'grün':1")

	_, err := os.Stat(first.DataDir())
	noError(t, err)
	fi, err := os.Stat(filepath.Dir(first.DataDir()))
	noError(t, err)
	equal(t, fi.Mode().Perm(), 0o711)
	for _, dir := range []string{"data", "s"} {
		fi, err := os.Stat(filepath.Join(filepath.Dir(first.DataDir()), dir))
		noError(t, err)
		equal(t, fi.Mode().Perm(), 0o700)
	}

	lock := filepath.Join(first.Home(), "lock")
	f, err := os.Open(lock)
	noError(t, err)
	defer f.Close()                                         //nolint:errcheck // it was only locked
	noError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX)) // another process, which is stuck
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = embedded.Start(ctx, cfg)
	errorContains(t, err, "embedded: waiting for another process at "+lock, "deadline exceeded")
}

func TestSharedServerWithSettingsIsAnother(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	plain := start(t, embedded.Config{Dir: dir})
	other := start(t, embedded.Config{Dir: dir, Settings: map[string]string{"work_mem": "7MB"}})
	equal(t, other.Origin(), embedded.Started)
	equal(t, query[string](t, other.ConnString("postgres"), "SHOW work_mem"), "7MB")
	equal(t, query[string](t, plain.ConnString("postgres"), "SHOW work_mem"), "4MB")
}

// The life of a server through several processes: five start it at once, the
// last leaves, it stops, and the next finds its data.
func TestSharedServerAmongProcesses(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: stateDir(t), Idle: time.Second}
	var helpers []*helper
	for range 5 {
		helpers = append(helpers, begin(t, cfg))
	}
	origins := map[embedded.Origin]int{}
	for _, h := range helpers {
		origins[h.ready(t).Origin]++
	}
	equal(t, fmt.Sprint(origins), fmt.Sprint(map[embedded.Origin]int{embedded.Started: 1, embedded.Joined: 4}))
	execute(t, helpers[0].ConnString, "CREATE DATABASE kept")

	data := helpers[0].DataDir
	pid := postmaster(data)
	for _, h := range helpers[:3] {
		h.end(t)
	}
	equal(t, query[int](t, helpers[4].ConnString, "SELECT 1"), 1)
	for _, h := range helpers[3:] {
		h.kill(t) // no client says goodbye
	}
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })

	again := start(t, cfg)
	equal(t, again.Origin(), embedded.Restarted)
	equal(t, query[int](t, again.ConnString("kept"), "SELECT 1"), 1)
}

func TestSharedServerAfterKilledPostmaster(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: stateDir(t)}
	first := start(t, cfg)
	execute(t, first.ConnString("postgres"), "CREATE DATABASE kept")
	pid := postmaster(first.DataDir())
	noError(t, syscall.Kill(pid, syscall.SIGKILL))
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })

	again := start(t, cfg)
	equal(t, again.Origin(), embedded.Restarted)
	equal(t, again.DataDir(), first.DataDir())
	equal(t, query[int](t, again.ConnString("kept"), "SELECT 1"), 1)
}

func TestSharedServerWithBadState(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: stateDir(t)}
	previous := start(t, cfg)
	for name, spoil := range map[string]func(string) string{
		"truncated":    func(s string) string { return s[:len(s)/2] },
		"other boot":   func(s string) string { return strings.Replace(s, `"boot":"`, `"boot":"x`, 1) },
		"other binary": func(s string) string { return strings.Replace(s, previous.Version(), "15.0", 1) },
		"leads out":    func(string) string { return `{"instance":"../../etc"}` },
	} {
		pid := postmaster(previous.DataDir())
		noError(t, syscall.Kill(pid, syscall.SIGKILL))
		testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
		file := filepath.Join(previous.Home(), "state.json")
		content, err := os.ReadFile(file)
		noError(t, err)
		noError(t, os.WriteFile(file, []byte(spoil(string(content))), 0o600))

		next := start(t, cfg)
		if next.Origin() != embedded.Started || next.DataDir() == previous.DataDir() {
			t.Errorf("%s: %s", name, next)
		}
		if _, err := os.Stat(previous.DataDir()); !os.IsNotExist(err) {
			t.Errorf("%s: the old data directory is still there: %v", name, err)
		}
		previous = next
	}
}

func TestSharedServerWithSpoiltData(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: stateDir(t)}
	first := start(t, cfg)
	pid := postmaster(first.DataDir())
	noError(t, syscall.Kill(pid, syscall.SIGKILL))
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
	noError(t, os.Remove(filepath.Join(first.DataDir(), "global", "pg_control")))

	next := start(t, cfg)
	equal(t, next.Origin(), embedded.Started)
}

func TestSharedServerStaysForOtherClients(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: stateDir(t), Idle: time.Second}
	h := begin(t, cfg).ready(t)
	conn, err := pgx.Connect(t.Context(), h.ConnString)
	noError(t, err)
	h.end(t)
	_, err = conn.Exec(t.Context(), "SELECT pg_sleep(2.5)")
	noError(t, err)
	pid := postmaster(h.DataDir)
	noError(t, conn.Close(t.Context()))
	testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
}

// Whoever starts a server may be killed before the watchdog is on duty.
func TestServerOfKilledStarter(t *testing.T) {
	t.Parallel()
	for _, private := range []bool{false, true} {
		dir := stateDir(t)
		h := begin(t, embedded.Config{Dir: dir, Private: private, Idle: time.Second})
		var pid int
		testkit.Eventually(t, "a server is starting", func() bool {
			for _, data := range dataDirs(dir) {
				pid = postmaster(data)
			}
			return pid != 0
		})
		h.kill(t)
		testkit.Eventually(t, "the server is gone", func() bool { return !running(pid) })
	}
}

func TestEnvironmentDoesNotReachTheServer(t *testing.T) {
	t.Parallel()
	h := begin(t, embedded.Config{Dir: stateDir(t)},
		"PGDATA=/nowhere", "PGOPTIONS=-c nonsense=1", "PGPORT=1", "PGUSER=nobody", "PGDATABASE=none", "PGTZ=Nowhere/Land",
		"PGTARGETSESSIONATTRS=standby", "PGCONNECT_TIMEOUT=0", "PGCHANNELBINDING=require", "PGREQUIREAUTH=gss", "PGSSLMODE=verify-full",
		"LC_ALL=xx_XX.UTF-8", "LANG=xx_XX", "TMPDIR=/nowhere", "HOME=").ready(t)
	equal(t, h.Origin, embedded.Started)
	equal(t, query[string](t, h.ConnString, "SHOW lc_messages"), "C.UTF-8")
	h.end(t)
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := embedded.Start(ctx, embedded.Config{Dir: dir})
	if err == nil {
		t.Fatal("started with a context that has ended")
	}
	for _, data := range dataDirs(dir) {
		equal(t, postmaster(data), 0)
	}
}
