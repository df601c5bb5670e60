package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// guarded runs its arguments as its own process, after starting a guard that
// kills that process when its input ends without a line: then the test was
// killed before it could end what it started.
const guarded = `exec 3<&0 </dev/null
( ( read -r ended <&3 || kill -KILL $$ ) >/dev/null 2>&1 & )
exec "$@" 3<&-`

// program is a process that does not outlive this one.
type program struct {
	cmd   *exec.Cmd
	guard *os.File
	ended chan struct{}
}

// start starts a program whose output goes to cmd.Stdout and cmd.Stderr.
func start(attr *syscall.SysProcAttr, prepare func(*exec.Cmd), name string, args ...string) (*program, error) {
	input, guard, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer input.Close() //nolint:errcheck // the guard has its own descriptor
	cmd := exec.Command("/bin/sh", append([]string{"-c", guarded, name, name}, args...)...)
	cmd.Stdin, cmd.SysProcAttr = input, attr
	prepare(cmd)
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, guard.Close())
	}
	p := &program{cmd: cmd, guard: guard, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// kill ends the program at once and waits for its end.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	_, _ = p.guard.WriteString("ended\n")
	_ = p.guard.Close()
}

// unprivileged returns how to run as the user that owns the server's files when
// this process is root, which neither PostgreSQL nor PgBouncer runs as; nil when
// it is not. dir is given to that user.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if err := errors.Join(uidErr, gidErr, os.Chown(dir, uid, gid)); err != nil {
			return nil, err
		}
		return asUser(uid, gid), nil
	}
	return nil, fmt.Errorf("this process is root, and there is no user postgres or nobody")
}
