package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// instance is one data directory and the files around it:
//
//	<dir>/       ours, may only be passed through
//	  log        ours
//	  data/      the server's, closed to others
//	  s/         the server's, closed to others: the socket
type instance struct {
	Dir  string
	Data string // <dir>/data, or a named one
	Bin  binaries
	Port int // part of the socket's name, and the TCP port if there is one

	account account
}

func (i *instance) socketDir() string { return filepath.Join(i.Dir, "s") }
func (i *instance) logFile() string   { return filepath.Join(i.Dir, "log") }

// create makes the directories and runs initdb.
func (i *instance) create(ctx context.Context) error {
	if err := os.Mkdir(i.Dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) { //nolint:gosec // only to pass through
		return fmt.Errorf("embedded: %w", err)
	}
	if err := os.Chmod(i.Dir, 0o711); err != nil { //nolint:gosec // whatever the umask is
		return fmt.Errorf("embedded: %w", err)
	}
	if err := i.makeDir(i.socketDir()); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(i.Data, "PG_VERSION")); err == nil {
		return nil // a data directory that was kept
	}
	if err := i.makeDir(i.Data); err != nil {
		return err
	}
	if err := i.account.entry(i.Data); err != nil {
		return fmt.Errorf("embedded: data directory: %w", err)
	}
	return i.initdb(ctx)
}

// makeDir makes a directory of the server's account that nobody else may enter.
func (i *instance) makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("embedded: %w", err)
	}
	if err == nil {
		err = i.account.own(dir)
	} else if entries, rerr := os.ReadDir(dir); rerr != nil || len(entries) > 0 {
		return fmt.Errorf("embedded: %s is neither empty nor a data directory", dir)
	} else {
		err = errors.Join(i.account.own(dir), os.Chmod(dir, 0o700)) //nolint:gosec // a directory
	}
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	return nil
}

// initdb fills the data directory. The encoding is always UTF8 and sorting that
// of code points; LANG=C alone would give SQL_ASCII.
func (i *instance) initdb(ctx context.Context) error {
	args := []string{
		"-D", i.Data, "-U", "postgres", "-E", "UTF8", "--no-instructions",
		"--auth-local=trust", "--auth-host=scram-sha-256",
	}
	if strings.HasPrefix(i.Data, i.Dir) {
		args = append(args, "--no-sync")
	}
	if i.Bin.Major >= 18 {
		args = append(args, "--no-data-checksums")
	}
	// Text search and messages go by the system's locale, whoever sorts.
	locales := [][]string{{"--locale=C.UTF-8"}, {"--locale=C"}}
	if i.Bin.Major >= 17 {
		builtin := []string{"--locale-provider=builtin", "--builtin-locale=C.UTF-8"}
		locales = slices.Insert(locales, 0, append(builtin, "--locale=C.UTF-8"), append(builtin, "--locale=C"))
	}
	var failure error
	for _, locale := range locales {
		out, err := i.account.command(ctx, i.Dir, filepath.Join(i.Bin.Dir, "initdb"), slices.Concat(args, locale)...).CombinedOutput()
		if err == nil {
			return nil
		}
		failure = fmt.Errorf("embedded: initdb (%s): %w\n%s", i.Bin.Dir, err, bytes.TrimSpace(out))
		if ctx.Err() != nil || !bytes.Contains(out, []byte("locale")) {
			break
		}
	}
	return failure
}

// launch starts the server and waits until it answers. The server gets nothing
// of ours: no terminal, no output of a test binary, no environment. The caller
// calls settle once a watchdog is on duty.
func (i *instance) launch(ctx context.Context, settings map[string]string) (*process, error) {
	args := []string{"-D", i.Data, "-k", i.socketDir(), "-p", strconv.Itoa(i.Port)}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; {
		p, err := i.try(ctx, args)
		if err == nil || !strings.Contains(i.logTail(), "pre-existing shared memory block") || time.Now().After(deadline) {
			return p, err
		}
		// Processes of a server that was killed are busy, and have not noticed.
		endWorkers(i.Data)
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// try starts the server once.
func (i *instance) try(ctx context.Context, args []string) (*process, error) {
	log, err := os.OpenFile(i.logFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	defer log.Close() //nolint:errcheck // the server has its own descriptor
	p, err := i.startGuarded(ctx, log, args)
	if err != nil {
		return nil, fmt.Errorf("embedded: start %s/postgres: %w", i.Bin.Dir, err)
	}
	if err := i.ready(ctx, p); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// ready waits until the server accepts connections.
func (i *instance) ready(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, i.socketURL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.exited:
			return fmt.Errorf("embedded: postgres ended at once: %w\n%s", p.err, i.logTail())
		case <-ctx.Done():
			return fmt.Errorf("embedded: postgres does not answer: %w (%w)\n%s", err, ctx.Err(), i.logTail())
		case <-tick.C:
		}
	}
}

// logTail returns the end of the server's log.
func (i *instance) logTail() string {
	f, err := os.Open(i.logFile())
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // read only
	const most = 4 << 10
	if fi, err := f.Stat(); err == nil && fi.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	tail, _ := io.ReadAll(f)
	return string(bytes.TrimSpace(tail))
}

// alive reports whether a server runs on the data directory, as far as can be
// told without asking it. Process ids are reused, so where the system tells a
// process's working directory it must be ours.
func (i *instance) alive() bool {
	content, err := os.ReadFile(filepath.Join(i.Data, "postmaster.pid"))
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 || !running(pid) {
		return false
	}
	ours, known := worksIn(pid, i.Data)
	return ours || !known
}

// gone waits until no server runs on the data directory, and reports whether
// that came true within the time.
func (i *instance) gone(ctx context.Context, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i.alive() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
