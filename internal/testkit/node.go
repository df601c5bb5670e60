package testkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Node is a server of a [Cluster]. Its methods end the test if they fail.
type Node struct {
	cluster *Cluster
	socket  string // connection string for ourselves
	host    string // for everybody
	data    string
	log     string

	frozen []int
	guard  *guardian // while frozen
}

// ConnString returns the node's own address.
func (n *Node) ConnString() string { return n.cluster.connString("", n) }

// Exec runs statements on the node as its superuser.
func (n *Node) Exec(tb TB, sql ...string) {
	tb.Helper()
	n.do(tb, func(ctx context.Context) error { return n.exec(ctx, sql...) })
}

// Kill ends the node as a power failure would: all its processes at once.
func (n *Node) Kill(tb TB) {
	tb.Helper()
	n.do(tb, func(ctx context.Context) error {
		pid, err := n.pid()
		if err != nil {
			return err
		}
		if err := killFamily(pid); err != nil {
			return err
		}
		return n.gone(ctx, pid)
	})
}

// Crash kills one backend, for which the server ends all others and recovers.
// It returns when the others have ended.
func (n *Node) Crash(tb TB) {
	tb.Helper()
	n.do(tb, func(ctx context.Context) error {
		var conns [2]*pgx.Conn
		for i := range conns {
			var err error
			if conns[i], err = n.admin(ctx); err != nil {
				return err
			}
			defer conns[i].Close(ctx) //nolint:errcheck // it is dead by then
		}
		if err := killFamily(int(conns[0].PgConn().PID())); err != nil {
			return err
		}
		for conns[1].Ping(ctx) == nil {
			wait(ctx, time.Millisecond)
		}
		return ctx.Err()
	})
}

// Restart stops the node in order and starts it again.
func (n *Node) Restart(tb TB) {
	tb.Helper()
	n.do(tb, func(ctx context.Context) error {
		pid, err := n.pid()
		if err != nil {
			return err
		}
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			return err
		}
		if err := interrupt(pid); err != nil {
			return err
		}
		if err := n.gone(ctx, pid); err != nil {
			return err
		}
		return n.startAgain(ctx, filepath.Dir(program))
	})
}

// startAgain starts a node that was stopped, with the options it had. It stays
// until its watchdog or [Node.end] ends it.
func (n *Node) startAgain(ctx context.Context, bin string) error {
	uid, gid, err := ownerOf(n.data)
	if err != nil {
		return err
	}
	opts, err := os.ReadFile(filepath.Join(n.data, "postmaster.opts")) // /path/postgres "-D" "/path" …
	if err != nil {
		return err
	}
	_, args, _ := strings.Cut(strings.TrimSpace(string(opts)), " ")
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "pg_ctl"), "start", "-w", "-D", n.data, "-l", filepath.Join(n.data, "restarted.log"), "-o", args)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	if os.Geteuid() != uid {
		cmd.SysProcAttr = asUser(uid, gid)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_ctl: %w\n%s", err, out)
	}
	return nil
}

// Freeze stops all processes of the node: it keeps its connections, accepts new
// ones as far as the system does that by itself, and answers nothing.
func (n *Node) Freeze(tb TB) {
	tb.Helper()
	n.do(tb, func(context.Context) error {
		pid, err := n.pid()
		if err != nil {
			return err
		}
		if n.guard, err = newGuardian(); err != nil {
			return err
		}
		n.frozen, err = freeze(pid)
		return errors.Join(err, n.guard.watch(n.frozen))
	})
}

// Thaw lets a frozen node go on.
func (n *Node) Thaw(tb TB) {
	tb.Helper()
	n.do(tb, func(context.Context) error { return n.thaw() })
}

func (n *Node) thaw() error {
	if n.frozen == nil {
		return nil
	}
	err := thaw(n.frozen)
	n.frozen = nil
	return errors.Join(err, n.guard.dismiss())
}

// Promote makes a standby a primary, and returns when it takes writes.
func (n *Node) Promote(tb TB) {
	tb.Helper()
	n.do(tb, func(ctx context.Context) error {
		if err := n.exec(ctx, "select pg_promote(wait => true, wait_seconds => 30)"); err != nil {
			return err
		}
		return n.until(ctx, "it is a primary", "select not pg_is_in_recovery()")
	})
}

// SetReadOnly makes transactions on the node read-only, or not, as failover
// managers do, without ending a connection.
func (n *Node) SetReadOnly(tb TB, on bool) {
	tb.Helper()
	sql := "alter system reset default_transaction_read_only"
	if on {
		sql = "alter system set default_transaction_read_only to on"
	}
	n.do(tb, func(ctx context.Context) error {
		if err := n.exec(ctx, sql, "select pg_reload_conf()"); err != nil {
			return err
		}
		return n.until(ctx, "the setting arrives", fmt.Sprintf("select current_setting('default_transaction_read_only')::bool = %t", on))
	})
}

func (n *Node) do(tb TB, fn func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), nodeTimeout)
	defer cancel()
	if err := fn(ctx); err != nil {
		tb.Fatalf("testkit: cluster: %v\n%s", err, n.tail())
	}
}

func (n *Node) admin(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, n.socket) }

func (n *Node) exec(ctx context.Context, sql ...string) error {
	conn, err := n.admin(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	for _, stmt := range sql {
		if _, err := conn.Exec(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	return nil
}

// until waits until a query returns true, each time in a new session.
func (n *Node) until(ctx context.Context, what, query string) error {
	for {
		conn, err := n.admin(ctx)
		if err != nil {
			return err
		}
		var yes bool
		err = conn.QueryRow(ctx, query).Scan(&yes)
		if err := errors.Join(err, conn.Close(ctx)); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if yes {
			return nil
		}
		if wait(ctx, 5*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		}
	}
}

func (n *Node) socketDir() string {
	cfg, err := pgx.ParseConfig(n.socket)
	if err != nil {
		return ""
	}
	return cfg.Host
}

// pid returns the postmaster's process id.
func (n *Node) pid() (int, error) {
	content, err := os.ReadFile(filepath.Join(n.data, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err == nil && !worksIn(pid, n.data) {
		err = fmt.Errorf("process %d of %s has ended", pid, n.data)
	}
	return pid, err
}

func (n *Node) gone(ctx context.Context, pid int) error {
	for worksIn(pid, n.data) {
		if wait(ctx, 2*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("process %d does not end: %w", pid, ctx.Err())
		}
	}
	return nil
}

// end ends the node, whatever was done to it.
func (n *Node) end(ctx context.Context) error {
	err := n.thaw()
	pid, pidErr := n.pid()
	if pidErr != nil { // it has ended
		return err
	}
	return errors.Join(err, quit(pid), n.gone(ctx, pid))
}

func (n *Node) tail() string {
	content, err := os.ReadFile(n.log)
	if err != nil {
		return ""
	}
	return string(content[max(0, len(content)-4<<10):])
}

// guardian thaws the processes of a server whose test is killed while it is
// frozen, so that its watchdog can end it.
type guardian struct {
	cmd   *exec.Cmd
	input io.WriteCloser
}

const guard = `trap '' INT TERM HUP
while read -r line; do
	[ "$line" = dismissed ] && exit
	pids="$pids $line"
done
kill -CONT $pids`

func newGuardian() (*guardian, error) {
	cmd := exec.Command("/bin/sh", "-c", guard)
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &guardian{cmd, input}, cmd.Start()
}

// watch is told what is frozen.
func (g *guardian) watch(pids []int) error {
	var lines strings.Builder
	for _, pid := range pids {
		fmt.Fprintln(&lines, pid)
	}
	_, err := io.WriteString(g.input, lines.String())
	return err
}

func (g *guardian) dismiss() error {
	_, err := io.WriteString(g.input, "dismissed\n")
	return errors.Join(err, g.cmd.Wait())
}
