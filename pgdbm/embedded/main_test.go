package embedded_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm/embedded"
)

// helperVariable makes the test binary another process that uses a server, or
// with whereVariable only says in which directory it would be.
const (
	helperVariable = "PGDBM_EMBEDDED_HELPER"
	whereVariable  = "PGDBM_EMBEDDED_WHERE"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(helperVariable); config != "" {
		if err := help(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given { // these tests wait for processes, not for a processor
		_ = flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))) // a number
	}
	os.Exit(m.Run())
}

// report is what the helper says about its server.
type report struct {
	Origin     embedded.Origin
	ConnString string
	DataDir    string
}

// help starts a server, says which, and closes it when its input ends.
func help(config string) error {
	var cfg embedded.Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		return err
	}
	if where := os.Getenv(whereVariable); where != "" {
		return tell(cfg, where)
	}
	ctx, cancel := timeout()
	defer cancel()
	s, err := embedded.Start(ctx, cfg)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(report{s.Origin(), s.ConnString("postgres"), s.DataDir()}); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Close(ctx)
}

// helper is another process that uses a server.
type helper struct {
	report

	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

// begin starts a helper without waiting for its server.
func begin(t *testing.T, cfg embedded.Config, env ...string) *helper {
	t.Helper()
	return beginAs(t, cfg, nil, env...)
}

// beginAs is begin, of a process with these attributes.
func beginAs(t *testing.T, cfg embedded.Config, attr *syscall.SysProcAttr, env ...string) *helper {
	t.Helper()
	h := &helper{cmd: command(t, cfg, attr, env...)}
	h.cmd.Stderr = os.Stderr
	var err error
	h.stdin, err = h.cmd.StdinPipe()
	noError(t, err)
	out, err := h.cmd.StdoutPipe()
	noError(t, err)
	h.out = newReader(out)
	noError(t, h.cmd.Start())
	return h
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

// command prepares a helper. The program is named as every user can reach it;
// a variable without a value is not set.
func command(t *testing.T, cfg embedded.Config, attr *syscall.SysProcAttr, env ...string) *exec.Cmd {
	t.Helper()
	config, err := json.Marshal(cfg)
	noError(t, err)
	program := os.Args[0]
	if attr != nil {
		program = "/proc/self/exe"
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir, cmd.SysProcAttr = "/", attr
	cmd.Env = append(append(os.Environ(), env...), helperVariable+"="+string(config))
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(env, name)
	})
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return !strings.Contains(v, "=") })
	return cmd
}

// ready waits for the helper's server.
func (h *helper) ready(t *testing.T) *helper {
	t.Helper()
	line, err := h.out.ReadBytes('\n')
	noError(t, err)
	noError(t, json.Unmarshal(line, &h.report))
	return h
}

// end lets the helper close its server and waits for it.
func (h *helper) end(t *testing.T) {
	t.Helper()
	noError(t, h.stdin.Close())
	noError(t, h.cmd.Wait())
}

// kill ends the helper with SIGKILL.
func (h *helper) kill(t *testing.T) {
	t.Helper()
	noError(t, h.cmd.Process.Kill())
	if err := h.cmd.Wait(); err == nil {
		t.Fatal("a killed process succeeded")
	}
}

// stateDir returns an empty directory that servers can live in. At the end of
// the test, whatever servers live there are killed.
func stateDir(t *testing.T) string {
	t.Helper()
	base := os.TempDir()
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "pgdbm-e")
	noError(t, err)
	t.Cleanup(func() {
		for _, data := range dataDirs(dir) {
			if pid := postmaster(data); pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				testkit.Eventually(t, "the killed server is gone", func() bool { return !running(pid) })
			}
		}
		noError(t, os.RemoveAll(dir))
	})
	return dir
}

// dataDirs returns all data directories below a state directory.
func dataDirs(dir string) (found []string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // it vanished
		}
		if d.Name() == "data" {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	return found
}

// postmaster returns the process id of the server on a data directory, 0 if
// there is none.
func postmaster(data string) int {
	content, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || !running(pid) {
		return 0
	}
	return pid
}

func running(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// start starts a server that is closed at the end of the test.
func start(t *testing.T, cfg embedded.Config) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(t.Context(), cfg)
	noError(t, err)
	t.Cleanup(func() {
		ctx, cancel := timeout()
		defer cancel()
		noError(t, s.Close(ctx))
	})
	return s
}

// query returns the first value of a query.
func query[T any](t *testing.T, connString, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), connString)
	noError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	var value T
	noError(t, conn.QueryRow(t.Context(), sql).Scan(&value))
	return value
}

// exec runs statements.
func execute(t *testing.T, connString, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), connString)
	noError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	_, err = conn.Exec(t.Context(), sql)
	noError(t, err)
}
