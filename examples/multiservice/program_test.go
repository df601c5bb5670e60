package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pgdbm/pgdbm-go/examples/multiservice/internal/check"
)

var programs string // the folder of the commands, once build was called

// build makes the commands, once for all tests that run them.
var build = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", programs, ".", "./cmd/orders").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
})

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "multiservice"); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(code)
}

// program is the path of one of the commands.
type program string

func find(t *testing.T, name string) program {
	t.Helper()
	check.NoError(t, build())
	return program(filepath.Join(programs, name))
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
		check.NoError(t, err)
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
	check.NoError(t, err)
	check.NoError(t, cmd.Start())
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
	check.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	check.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(response.Body)
	check.NoError(t, err)
	check.Equal(t, response.StatusCode, http.StatusOK)
	check.Equal(t, json.Valid(body), true)
	return string(body)
}

// end sends a signal and returns the exit code.
func (s *serving) end(t *testing.T, sig os.Signal) int {
	t.Helper()
	check.NoError(t, s.cmd.Process.Signal(sig))
	var said strings.Builder
	for s.stderr.Scan() {
		said.WriteString(s.stderr.Text() + "\n")
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
	return s.cmd.ProcessState.ExitCode()
}
