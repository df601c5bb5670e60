package testkit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// asUser runs a process as another user; only root may.
func asUser(uid, gid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// ownerOf returns the user and group a file belongs to.
func ownerOf(path string) (uid, gid int, err error) {
	fi, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return int(st.Uid), int(st.Gid), nil
}

// family returns a process and its children, the process first.
func family(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	pids := []int{pid}
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …, and the name may hold anything
		fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
		if len(fields) < 2 || string(fields[1]) != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// signalAll sends a signal to all processes, of which some may have ended.
func signalAll(pids []int, sig syscall.Signal) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// freeze stops a process and its children in their tracks, and those that were
// born meanwhile.
func freeze(pid int) (pids []int, err error) {
	for {
		now, err := family(pid)
		if err != nil {
			return pids, err
		}
		if err := signalAll(now, syscall.SIGSTOP); err != nil {
			return pids, err
		}
		if len(now) == len(pids) {
			return pids, nil
		}
		pids = now
	}
}

func thaw(pids []int) error {
	slices.Reverse(pids) // the postmaster last: it must not take stopped children for dead
	return signalAll(pids, syscall.SIGCONT)
}

// killFamily kills a process and its children.
func killFamily(pid int) error {
	pids, err := freeze(pid)
	return errors.Join(err, signalAll(pids, syscall.SIGKILL))
}

// worksIn reports whether there is a process pid that has not ended and works in
// dir. Process ids are used again: a stranger must not be signalled.
func worksIn(pid int, dir string) bool {
	cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	return err == nil && cwd == dir
}

func interrupt(pid int) error { return signalAll([]int{pid}, syscall.SIGINT) }

func quit(pid int) error { return signalAll([]int{pid}, syscall.SIGQUIT) }

const clustersSupported = true
