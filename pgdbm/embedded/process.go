package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// process is a server that this process started.
type process struct {
	exited  chan struct{} // closed when it has ended
	err     error         // why, once exited is closed
	signals func(os.Signal) error
	guard   *os.File // what the guard listens to
}

// guarded runs its arguments as its own process, after starting a guard. The
// guard kills that process if its input ends without a line: then whoever
// started it was killed before a watchdog was on duty.
const guarded = `exec 3<&0 </dev/null
( ( read -r settled <&3 || kill -QUIT $$ ) & )
exec "$@" 3<&-`

// startGuarded starts the server program.
func (i *instance) startGuarded(ctx context.Context, log *os.File, args []string) (*process, error) {
	input, guard, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer input.Close() //nolint:errcheck // the guard has its own descriptor
	args = append([]string{"-c", guarded, "postgres", filepath.Join(i.Bin.Dir, "postgres")}, args...)
	cmd := i.account.command(context.WithoutCancel(ctx), i.Dir, "/bin/sh", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, log, log
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, guard.Close())
	}
	p := &process{exited: make(chan struct{}), signals: cmd.Process.Signal, guard: guard}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// settle sends the guard home: the server has a watchdog, or has ended.
func (p *process) settle() {
	_, _ = p.guard.WriteString("settled\n") // without a guard nobody reads it
	_ = p.guard.Close()
}

// stop ends the server: in order, then at once, then by force.
func (p *process) stop(ctx context.Context) error {
	select {
	case <-p.exited:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.signals(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("embedded: stop: %w", err)
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		p.kill()
	}
	return nil
}

// kill ends the server without a checkpoint and waits for its end.
func (p *process) kill() {
	defer p.settle()
	_ = p.signals(syscall.SIGQUIT) // it may have ended already
	timeout := time.NewTimer(5 * time.Second)
	defer timeout.Stop()
	select {
	case <-p.exited:
		return
	case <-timeout.C:
	}
	_ = p.signals(syscall.SIGKILL)
	<-p.exited
}
