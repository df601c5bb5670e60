package embedded

import "syscall"

const supported = true

// asSelf runs a command as this process's user, in a session of its own, so
// that a terminal's Ctrl-C does not reach it.
func asSelf() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// asUser runs a command as another user; only root may.
func asUser(uid, gid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setsid:     true,
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, //nolint:gosec // ids of the password file
	}
}

// asMapped returns nil: there are no user namespaces.
func asMapped(_, _ int) *syscall.SysProcAttr { return nil }

// bootID changes with every boot of the machine.
func bootID() string {
	id, err := syscall.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}

// worksIn reports whether process pid has dir as its working directory, and
// whether that could be found out.
func worksIn(_ int, _ string) (yes, known bool) { return false, false }

// endWorkers does nothing: which directory a process works in is not told. It
// ends when it next looks.
func endWorkers(string) {}
