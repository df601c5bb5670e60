package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	maxSocketPath = 107                                       // bytes in sockaddr_un, without the final zero
	socketBelow   = "/pg99-123456/i12345678/s/.s.PGSQL.65535" // the longest path below a state directory
	minFree       = 1 << 30
)

// stateDir returns the directory in which servers live: the named one, or the
// first default that can be used.
func stateDir(cfg Config, a account) (string, error) {
	if cfg.Dir != "" {
		if err := os.MkdirAll(filepath.Dir(cfg.Dir), 0o755); err != nil { //nolint:gosec // the server's user must pass through
			return "", fmt.Errorf("embedded: state directory: %w", err)
		}
		if err := adopt(cfg.Dir, a); err != nil {
			return "", fmt.Errorf("embedded: state directory %s: %w", cfg.Dir, err)
		}
		return cfg.Dir, nil
	}
	name := "pgdbm-" + strconv.Itoa(os.Geteuid())
	bases := []string{"/dev/shm", os.TempDir(), "/var/tmp"}
	if cfg.Private { // durable, and as large as its owner likes: not in memory
		bases = []string{os.TempDir(), "/var/tmp", "/dev/shm"}
	}
	var errs []error
	for _, base := range bases {
		dir := filepath.Join(base, name)
		err := adopt(dir, a)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", dir, err))
	}
	return "", fmt.Errorf("embedded: no directory for the server's files (set PGDBM_TEST_DIR in tests, Config.Dir elsewhere):\n%w", errors.Join(errs...))
}

// adopt makes dir, or returns why it cannot be a state directory. A directory
// that is there already is only ever changed if it is empty or one of ours.
func adopt(dir string, a account) error {
	if n := len(dir) + len(socketBelow); n > maxSocketPath {
		return fmt.Errorf("path too long for a Unix socket: %d bytes, at most %d", len(dir), maxSocketPath-len(socketBelow))
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := ownDir(dir); err != nil {
		return err
	}
	if err := a.entry(dir); err != nil {
		if !emptyOrOurs(dir) {
			return fmt.Errorf("%w: chmod 711 it, or choose another", err)
		}
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // only to pass through; what is inside is closed
			return err
		}
		if err := a.entry(dir); err != nil {
			return fmt.Errorf("%w: choose a directory that everyone may enter", err)
		}
	}
	probe, err := os.CreateTemp(dir, "probe")
	if err != nil {
		return err
	}
	_ = probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		return err
	}
	free, err := freeBytes(dir)
	if err != nil {
		return err
	}
	if free < minFree {
		return fmt.Errorf("only %d MiB free, %d are needed", free>>20, minFree>>20)
	}
	return nil
}

// ownDir returns why dir is not a directory that only this user may change.
func ownDir(dir string) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	uid, _ := owner(fi)
	switch {
	case fi.Mode()&os.ModeSymlink != 0:
		return errors.New("is a symbolic link")
	case !fi.IsDir():
		return errors.New("is not a directory")
	case uid != os.Geteuid():
		return fmt.Errorf("belongs to uid %d, not to uid %d", uid, os.Geteuid())
	case fi.Mode().Perm()&0o002 != 0:
		return fmt.Errorf("others may write to it (mode %#o)", fi.Mode().Perm())
	}
	return nil
}

// emptyOrOurs reports whether nothing in dir is somebody else's business.
func emptyOrOurs(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, "lock")); err == nil {
		return true
	}
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// lock takes the lock file, waiting for its holder until ctx ends. Closing the
// file releases it; so does the end of the process, whatever ends it.
func lock(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := tryLock(f)
		if ok {
			return f, nil
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("embedded: %w", err)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("embedded: waiting for another process at %s: %w", path, ctx.Err())
		case <-tick.C:
		}
	}
}
