package testkit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// Kit is a process's hold on a server.
type Kit = kit

// Open opens a kit in an environment of the test's own.
func Open(ctx context.Context, env map[string]string) (*Kit, error) {
	e, err := readEnv(func(name string) string { return env[name] })
	if err != nil {
		return nil, err
	}
	return open(ctx, e)
}

// OpenImpatient is Open with less patience with a server that does not answer.
func OpenImpatient(ctx context.Context, env map[string]string, patience time.Duration) (*Kit, error) {
	e, err := readEnv(func(name string) string { return env[name] })
	if err != nil {
		return nil, err
	}
	e.patience = patience
	return open(ctx, e)
}

// New is [New] on the kit's server.
func (k *kit) New(tb TB, t Template) *Database { return k.database(tb, t) }

// Close lets the kit go, as the end of its process would.
func (k *kit) Close() { k.stop() }

// Take waits for a database and gives it back.
func (k *kit) Take(ctx context.Context, t Template) error {
	tpl := k.template(t)
	s, err := tpl.take(ctx)
	if err == nil {
		tpl.give(delivery{slot: s})
	}
	return err
}

// Waiting is how many wait for a database of the template.
func (k *kit) Waiting(t Template) int {
	st := &k.template(t).free
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.waiting)
}

// Free is how many databases of the template wait for a test.
func (k *kit) Free(t Template) int {
	st := &k.template(t).free
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.free)
}

// Server describes the kit's server.
func (k *kit) Server() string { return k.server.about }

// URL is the address of a database of the kit's server.
func (k *kit) URL(database string) string { return k.server.connString(database) }

// Admin is the database that the kit works from.
func (k *kit) Admin() string { return k.server.admin }

// Exists reports whether there is a database of that name.
func (k *kit) Exists(ctx context.Context, name string) (found bool, err error) {
	err = k.admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&found)
	return found, err
}

// TemplateName is the name of a template's database.
func (k *kit) TemplateName(t Template) string { return k.template(t).name }

// Strategy is how databases are cloned.
func (k *kit) Strategy() string { return k.strategy() }

// Prune drops the templates that were used longest ago.
func (k *kit) Prune(ctx context.Context) { k.prune(ctx, "") }

// KeepTemplates is how many stay.
const KeepTemplates = keepTemplates

// Sweep drops what processes that have ended left.
func (k *kit) Sweep(ctx context.Context) { k.sweep(ctx) }

// Named is which variable names a server, and the address of a database there.
func Named(env map[string]string, database string) (variable, connString, admin string) {
	variable, s := named(func(name string) string { return env[name] })
	if variable == "" {
		return "", "", ""
	}
	return variable, s.connString(database), s.admin
}

// Leased is what a test's database is called.
var Leased = regexp.MustCompile(leased.String())

// MaxUses is how many tests a database serves.
const MaxUses = maxUses

// MaxFree is how many free databases a template keeps.
const MaxFree = maxFree

// Recycles reports whether databases serve more than one test.
func (k *kit) Recycles() bool { return k.recycle }

// Address is the database's address, which this does not expose.
func (d *Database) Address() string { return d.slot.tpl.kit.server.connString(d.name) }

// Born returns when process pid began, in the system's own units; "" if there is
// none.
func Born(pid int) string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	if fields[0] == "Z" { // it has ended, and nobody has asked about it
		return ""
	}
	return fields[19]
}

// PIDs returns the node's processes.
func (n *Node) PIDs(tb TB) []int {
	tb.Helper()
	var pids []int
	n.do(tb, func(context.Context) error {
		pid, err := n.pid()
		if err == nil {
			pids, err = family(pid)
		}
		return err
	})
	return pids
}

// PID returns the pooler's process.
func (b *PgBouncer) PID() int { return b.program.cmd.Process.Pid }
