package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// seen is what a server program said when it was last asked.
type seen struct {
	Size    int64     `json:"size"`
	ModTime time.Time `json:"modTime"`
	Line    string    `json:"line"`
}

// versionOf returns the program's own version line. Running it takes longer than
// joining a server, so what a program said is remembered until it changes.
func (f finder) versionOf(ctx context.Context, program string) (string, error) {
	fi, err := os.Stat(program)
	if err != nil {
		return "", err
	}
	known := f.recall()
	if k, ok := known[program]; ok && k.Size == fi.Size() && k.ModTime.Equal(fi.ModTime()) {
		return k.Line, nil
	}
	out, err := output(ctx, func() *exec.Cmd { return account{attr: asSelf()}.command(ctx, "", program, "--version") })
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("postgres --version: %w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("postgres --version: %w", err)
	}
	line := strings.TrimSpace(string(out))
	known[program] = seen{Size: fi.Size(), ModTime: fi.ModTime(), Line: line}
	f.remember(known)
	return line, nil
}

// output returns what a program says. One that this process has just written may
// be busy for a moment: what another goroutine starts holds the file open until it
// has become another program.
func output(ctx context.Context, prepare func() *exec.Cmd) ([]byte, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Second); ; {
		out, err := prepare().Output()
		if !errors.Is(err, syscall.ETXTBSY) || time.Now().After(deadline) {
			return out, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// recall reads what is remembered; nothing if that makes no sense.
func (f finder) recall() map[string]seen {
	known := map[string]seen{}
	content, err := os.ReadFile(f.memory)
	if err != nil || json.Unmarshal(content, &known) != nil || known == nil {
		return map[string]seen{}
	}
	return known
}

// remember replaces what is remembered. If that fails, or another process does
// it at the same time, a program is asked again.
func (f finder) remember(known map[string]seen) {
	if f.memory == "" {
		return
	}
	content, err := json.Marshal(known)
	if err != nil {
		return
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.memory), "binaries")
	if err != nil {
		return
	}
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), f.memory)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // only space is lost
	}
}

// compareVersions orders "9.6", "15.18", "18beta1" and "18.3.0" by their numbers.
// What follows a hyphen is the state of a package, not of the server in it:
// "18.3.0-beta.17" is the 17th package of 18.3.
func compareVersions(a, b string) int {
	return slices.Compare(numbersOf(a), numbersOf(b))
}

func numbersOf(version string) []int {
	var ns []int
	for _, field := range strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.Atoi(field)
		if err != nil {
			break
		}
		ns = append(ns, n)
	}
	server, _, _ := strings.Cut(version, "-")
	switch { // older than 18.0
	case len(ns) < 2:
	case strings.Contains(server, "rc"):
		ns[1] -= 1000
	case strings.Contains(server, "beta"):
		ns[1] -= 2000
	}
	return ns
}
