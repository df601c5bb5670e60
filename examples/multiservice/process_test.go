package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgdbm/pgdbm-go/internal/testkit"
	"github.com/pgdbm/pgdbm-go/pgdbm/pgdbmtest"
)

const (
	shopFile   = "testdata/shop.ndjson"
	shopReport = `{"customers":3,"products":2,"orders":3,"lines":4,"units":7,"revenue":"178.5650",` +
		`"orders_by_country":[{"country":"Germany","orders":2},{"country":"USA","orders":1}],` +
		`"top_customers":[{"id":"ACME","revenue":"89.2850"},{"id":"BLAU1","revenue":"89.2800"}]}` + "\n"
)

// program is one of the commands, built for the test.
type program string

// TestProcesses runs the programs as a user does.
func TestProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, ".", "./cmd/orders")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	multiservice, orders := program(filepath.Join(dir, "multiservice")), program(filepath.Join(dir, "orders"))

	for _, p := range []program{multiservice, orders} {
		t.Run(filepath.Base(string(p))+" leaves nothing behind", func(t *testing.T) {
			t.Parallel()
			p.leavesNothingBehind(t)
		})
	}
	t.Run("imports and ends", func(t *testing.T) {
		t.Parallel()
		multiservice.importsAndEnds(t)
	})
	t.Run("a mistake in the file", func(t *testing.T) {
		t.Parallel()
		multiservice.namesTheMistake(t)
	})
	t.Run("a mistake on the command line", func(t *testing.T) {
		t.Parallel()
		multiservice.explainsItself(t)
	})
	t.Run("orders beside multiservice", func(t *testing.T) {
		t.Parallel()
		sharesItsServer(t, multiservice, orders)
	})
}

// leavesNothingBehind interrupts a program that serves on its own server.
func (p program) leavesNothingBehind(t *testing.T) {
	t.Helper()
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		tmp, err := os.MkdirTemp("", "ms") // short, for the sockets in it
		testkit.NoError(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(tmp) })
		testkit.NoError(t, os.Chmod(tmp, 0o755)) // the server's user passes through
		s := p.serve(t, "TMPDIR="+tmp)
		if answer := s.get(t, "/healthz"); !strings.Contains(answer, "ok") {
			t.Errorf("healthz: %s", answer)
		}
		if len(processesIn(t, tmp)) == 0 {
			t.Error("no server in its directory: this test would see nothing")
		}
		testkit.Equal(t, s.end(t, sig), 0)
		if left := processesIn(t, tmp); len(left) > 0 {
			t.Errorf("processes: %q", left)
		}
		left, err := filepath.Glob(filepath.Join(tmp, "*", "*", "*"))
		testkit.NoError(t, err)
		testkit.Equal(t, len(left), 0)
	}
}

// processesIn returns the command lines of processes that have dir in them.
func processesIn(t *testing.T, dir string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	testkit.NoError(t, err)
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(dir)) {
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

func (p program) importsAndEnds(t *testing.T) {
	t.Helper()
	env := "DATABASE_URL=" + pgdbmtest.URL(t)
	for _, progress := range []string{"8 of them new", "0 of them new"} {
		code, stdout, stderr := p.run(t, env, "-import", shopFile, "-report", "json", "-exit")
		testkit.Equal(t, code, 0)
		testkit.Equal(t, stdout, shopReport)
		if !strings.Contains(stderr, "importing: 100 %, 8 lines") || !strings.Contains(stderr, progress) {
			t.Errorf("progress:\n%s", stderr)
		}
	}
	code, stdout, _ := p.run(t, env, "-exit")
	testkit.Equal(t, code, 0)
	if !strings.Contains(stdout, "revenue     178.5650\n") {
		t.Errorf("report:\n%s", stdout)
	}
}

func (p program) namesTheMistake(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shop.ndjson")
	testkit.NoError(t, os.WriteFile(file, []byte("{\"kind\": \"invoice\"}\n"), 0o600))
	code, stdout, stderr := p.run(t, "DATABASE_URL="+pgdbmtest.URL(t), "-import", file, "-report", "json", "-exit")
	testkit.Equal(t, code, 1)
	testkit.Equal(t, stdout, "")
	if want := "multiservice: " + file + `:1: unknown kind "invoice"`; !strings.Contains(stderr, want) {
		t.Errorf("want %q in\n%s", want, stderr)
	}
}

func (p program) explainsItself(t *testing.T) {
	t.Helper()
	for want, args := range map[string][]string{
		"flag provided but not defined: -imprt": {"-imprt", shopFile},
		`unexpected argument "serve"`:           {"serve"},
		`-report "xml": text or json`:           {"-report", "xml"},
	} {
		code, stdout, stderr := p.run(t, "", args...)
		testkit.Equal(t, code, 2)
		testkit.Equal(t, stdout, "")
		if !strings.Contains(stderr, want) || !strings.Contains(stderr, "Usage: multiservice") {
			t.Errorf("want %q and the usage in\n%s", want, stderr)
		}
	}
	code, _, stderr := p.run(t, "", "-help")
	testkit.Equal(t, code, 0)
	if !strings.Contains(stderr, "-import file") {
		t.Errorf("help:\n%s", stderr)
	}
	code, _, stderr = p.run(t, "", "-import", "nowhere.ndjson")
	testkit.Equal(t, code, 1)
	if !strings.Contains(stderr, "nowhere.ndjson: no such file") {
		t.Errorf("missing file:\n%s", stderr)
	}
}

// sharesItsServer runs both programs on one server at the same time.
func sharesItsServer(t *testing.T, multiservice, orders program) {
	t.Helper()
	env := "DATABASE_URL=" + pgdbmtest.URL(t)
	all := multiservice.serve(t, env, "-import", shopFile)
	alone := orders.serve(t, env)
	if answer := alone.get(t, "/orders/503"); !strings.Contains(answer, `"customer":"BLAU1"`) {
		t.Errorf("order: %s", answer)
	}
	testkit.Equal(t, alone.get(t, "/orders"), all.get(t, "/orders"))
	testkit.Equal(t, alone.end(t, os.Interrupt), 0)
	testkit.Equal(t, all.end(t, os.Interrupt), 0)
}

// command prepares to run the program in a bare environment.
func (p program) command(t *testing.T, env string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), string(p), args...)
	cmd.Env = append([]string{env}, "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"))
	return cmd
}

// run runs the program to its end.
func (p program) run(t *testing.T, env string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := p.command(t, env, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); !ended {
		testkit.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// serving is a program that serves.
type serving struct {
	cmd    *exec.Cmd
	stderr *bufio.Scanner
	url    string
}

// serve starts the program and waits until it says where it serves.
func (p program) serve(t *testing.T, env string, args ...string) *serving {
	t.Helper()
	cmd := p.command(t, env, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	stderr, err := cmd.StderrPipe()
	testkit.NoError(t, err)
	testkit.NoError(t, cmd.Start())
	s := &serving{cmd: cmd, stderr: bufio.NewScanner(stderr)}
	var said strings.Builder
	for s.stderr.Scan() {
		said.WriteString(s.stderr.Text() + "\n")
		if after, ok := strings.CutPrefix(s.stderr.Text(), "Serving "); ok {
			s.url, _, _ = strings.Cut(strings.ReplaceAll(after, "/orders", ""), ",")
			return s
		}
	}
	t.Fatalf("the program ended:\n%s", said.String())
	return nil
}

func (s *serving) get(t *testing.T, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	testkit.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	testkit.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(response.Body)
	testkit.NoError(t, err)
	testkit.Equal(t, response.StatusCode, http.StatusOK)
	testkit.Equal(t, json.Valid(body), true)
	return string(body)
}

// end sends a signal and returns the exit code.
func (s *serving) end(t *testing.T, sig os.Signal) int {
	t.Helper()
	testkit.NoError(t, s.cmd.Process.Signal(sig))
	var said strings.Builder
	for s.stderr.Scan() {
		said.WriteString(s.stderr.Text() + "\n")
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
	return s.cmd.ProcessState.ExitCode()
}
