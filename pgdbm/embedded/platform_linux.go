package embedded

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const supported = true

// asSelf runs a command as this process's user, in a session of its own, so
// that a terminal's Ctrl-C does not reach it.
func asSelf() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// asUser runs a command as another user; only root may.
func asUser(uid, gid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setsid:     true,
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
	}
}

// asMapped runs a command as this process's user, who inside a new user
// namespace appears to be uid and gid. It returns nil where there are no user
// namespaces.
func asMapped(uid, gid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setsid:      true,
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: os.Getegid(), Size: 1}},
	}
}

// bootID changes with every boot of the machine.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// worksIn reports whether process pid has dir as its working directory, and
// whether that could be found out.
func worksIn(pid int, dir string) (yes, known bool) {
	cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		return false, false
	}
	return cwd == dir, true
}

// endWorkers ends the processes that have dir as their working directory.
func endWorkers(dir string) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		if yes, _ := worksIn(pid, dir); yes {
			_ = syscall.Kill(pid, syscall.SIGQUIT) // it may have ended
		}
	}
}
