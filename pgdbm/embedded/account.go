package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the operating-system user that the server runs as: PostgreSQL
// refuses to run as root, and initdb to run for a user without a name.
type account struct {
	name     string
	uid, gid int                  // owner of the server's directories, as this process sees them
	attr     *syscall.SysProcAttr // how to become that user
	mapped   *account             // what to try when the system forbids attr; nil for nothing
}

// serverAccount chooses the account: this process's own user; for root the user
// postgres, or nobody; for a user without an entry in the password file one
// of those two through a user namespace.
func serverAccount() (account, error) {
	uid, gid := os.Geteuid(), os.Getegid()
	if uid != 0 {
		if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
			return account{name: u.Username, uid: uid, gid: gid, attr: asSelf()}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		id, err1 := strconv.Atoi(u.Uid)
		group, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil || id == 0 {
			continue
		}
		mapped := account{name: name + " (in a user namespace)", uid: uid, gid: gid, attr: asMapped(id, group)}
		if uid != 0 {
			return mapped, nil
		}
		a := account{name: name, uid: id, gid: group, attr: asUser(id, group)}
		if mapped.attr != nil {
			a.mapped = &mapped
		}
		return a, nil
	}
	return account{}, fmt.Errorf("embedded: PostgreSQL cannot run as uid %d and there is no user postgres or nobody: create one with useradd --system postgres", uid)
}

// accountOf returns the account that owns an existing data directory.
func accountOf(dir string) (account, error) {
	fi, err := os.Stat(dir)
	if err != nil {
		return account{}, fmt.Errorf("embedded: %w", err)
	}
	uid, gid := owner(fi)
	switch me := os.Geteuid(); {
	case uid == me && me != 0:
		return serverAccount()
	case me != 0:
		return account{}, fmt.Errorf("embedded: data directory %s belongs to uid %d: run as that user", dir, uid)
	case uid == 0:
		return account{}, fmt.Errorf("embedded: data directory %s belongs to root: PostgreSQL does not run as root; chown -R postgres %s", dir, dir)
	}
	return account{name: "uid " + strconv.Itoa(uid), uid: uid, gid: gid, attr: asUser(uid, gid)}, nil
}

// usable runs the server's binary as the account, for the mistakes that would
// later be misleading, and returns the account that works.
func (a account) usable(ctx context.Context, bin string) (account, error) {
	if a.attr == nil {
		return a, fmt.Errorf("embedded: uid %d has no entry in the password file and this system has no user namespaces: "+
			"add one, or run as a user who has one", os.Geteuid())
	}
	err := a.command(ctx, "", filepath.Join(bin, "postgres"), "--version").Run()
	switch {
	case err == nil:
		return a, nil
	case (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL)) && a.mapped != nil: // setuid is not for this root
		return a.mapped.usable(ctx, bin)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EINVAL):
		return a, fmt.Errorf("embedded: the system does not let uid %d run PostgreSQL as %s: "+
			"run as an ordinary user with an entry in the password file (%w)", os.Geteuid(), a.name, err)
	}
	return a, fmt.Errorf("embedded: %s/postgres does not run as %s: %w", bin, a.name, err)
}

// command prepares a program of the server, with an environment that nothing
// of this process's environment (PGDATA, PGOPTIONS, LC_ALL, LD_PRELOAD…) enters.
func (a account) command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = a.attr
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", "TZ=UTC"}
	cmd.Dir = dir
	if dir == "" {
		cmd.Dir = "/"
	}
	return cmd
}

// own gives a directory to the account.
func (a account) own(dir string) error {
	if a.uid == os.Geteuid() {
		return nil
	}
	return os.Chown(dir, a.uid, a.gid)
}

// entry returns why the account cannot pass through dir and the directories
// above it, nil if it can. Without this check fork and exec answer "permission
// denied" and name the program.
func (a account) entry(dir string) error {
	path := string(filepath.Separator)
	for part := range strings.SplitSeq(filepath.Clean(dir), string(filepath.Separator)) {
		path = filepath.Join(path, part)
		fi, err := os.Stat(path)
		if err != nil {
			return err
		}
		bit := os.FileMode(0o001)
		if uid, gid := owner(fi); uid == a.uid {
			bit = 0o100
		} else if gid == a.gid {
			bit = 0o010
		}
		if fi.Mode().Perm()&bit == 0 {
			return fmt.Errorf("user %s may not enter %s (mode %#o)", a.name, path, fi.Mode().Perm())
		}
	}
	return nil
}
