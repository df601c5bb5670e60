package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
	"github.com/pgdbm/pgdbm-go/pgdbm"
)

// Tenants is one module on any number of schemas: one for each tenant, named by
// a prefix and the tenant's id. It is safe for concurrent use, by any number of
// processes. It holds no connection between calls; there is nothing to close.
type Tenants struct {
	m      *Migrator
	proto  target // some tenant's
	prefix string
	owner  map[string]string // of schemas that no tenant can have
	slots  chan struct{}     // of Ensure's connections

	mu       sync.Mutex
	busy     map[string]chan struct{} // schemas that Ensure works on; closed when it is done
	states   map[string]*state        // by head
	foreseen map[string][]Record      // by head; nil: not yet
}

// ensurers bounds the connections that Ensure opens in one process.
const ensurers = 4

// Tenants puts a module on the schemas of tenants. t.Schema is what their names
// begin with, and the tenant's id follows; it may be empty. What t depends on must
// be among the migrator's targets: shared tables, which [Migrator.Up] migrates. A
// tenant's module cannot depend on that of another Tenants.
//
// The migrator itself does not touch the tenants. The error joins every mistake,
// as that of [New] does.
func (m *Migrator) Tenants(t Target) (*Tenants, error) {
	owner := map[string]string{"public": "PostgreSQL", "information_schema": "PostgreSQL"}
	targets := make([]Target, len(m.targets), len(m.targets)+1)
	for i, other := range m.targets {
		if other.Module == t.Module {
			return nil, fmt.Errorf("migrations: Tenants: module %s has schema %s; a module is either on one schema or on those of tenants", t.Module, other.Schema)
		}
		owner[other.Schema] = "module " + other.Module
		targets[i] = other.Target
	}
	prefix := t.Schema
	t.Schema = prefix + "_" // a tenant's, as good as any
	all, err := newTargets(append(targets, t), m.cfg.Table)
	if err != nil {
		return nil, err
	}
	proto, _ := lo.Find(all, func(found *target) bool { return found.Module == t.Module })
	ts := &Tenants{
		m:     &Migrator{pool: m.pool, cfg: m.cfg, log: m.log, host: m.host, quiet: true},
		proto: *proto, prefix: prefix, owner: owner,
		slots: make(chan struct{}, ensurers), busy: map[string]chan struct{}{}, states: map[string]*state{},
	}
	if m.cfg.Observer != nil {
		ts.m.cfg.Observer = &tenantObserver{to: m.cfg.Observer, id: ts.id}
	}
	return ts, nil
}

// Schema returns the schema of a tenant. The error says what is wrong with the id:
// prefix and id together must be a letter or _ followed by up to 62 letters,
// digits or _, and must not be the schema of somebody else.
func (ts *Tenants) Schema(id string) (string, error) {
	schema := ts.prefix + id
	err := pgdbm.ValidateSchema(schema)
	switch owner := ts.owner[schema]; {
	case id == "":
		return "", fmt.Errorf("migrations: tenant of %s: the id is empty", ts.proto.Module)
	case err != nil:
		return "", fmt.Errorf("migrations: tenant %q of %s: %s", id, ts.proto.Module, strings.TrimPrefix(err.Error(), "pgdbm: "))
	case owner != "":
		return "", fmt.Errorf("migrations: tenant %q of %s: schema %s belongs to %s", id, ts.proto.Module, schema, owner)
	}
	return schema, nil
}

// id is the tenant whose schema it is.
func (ts *Tenants) id(schema string) string { return strings.TrimPrefix(schema, ts.prefix) }

// at returns the target of a schema.
func (ts *Tenants) at(schema string) *target {
	t := ts.proto
	t.Schema, t.key = schema, lockKey(schema, ts.m.cfg.Table)
	t.tracked = sqltmpl.Quote(schema) + "." + sqltmpl.Quote(ts.m.cfg.Table)
	return &t
}

// Ensure creates a tenant that does not exist, and brings it up to date. It may be
// called at every sign-up or at every start, by any number of goroutines and
// processes at the same time: every file runs once, and whoever comes later waits.
//
// For a tenant that is up to date it costs one query. Otherwise it opens a
// connection and closes it at the end; a process works on four tenants at a time.
//
// The error is what [Migrator.Up] returns. A schema in which only other modules
// have records is refused.
func (ts *Tenants) Ensure(ctx context.Context, id string) error {
	schema, err := ts.Schema(id)
	if err != nil {
		return err
	}
	t := ts.at(schema)
	for {
		j := &job{target: t, create: true}
		if err := ts.look(ctx, []*job{j}); err != nil {
			return err
		}
		if j.err != nil || j.done() {
			return j.err
		}
		release, waited, err := ts.alone(ctx, schema)
		if err != nil {
			return j.fail(err)
		}
		if !waited {
			defer release()
			return ts.ensure(ctx, j)
		}
	}
}

// alone waits until nobody in this process works on the schema and there is a
// connection to be had. When it has waited for the same schema, there may be
// nothing left to do, and it has reserved nothing.
func (ts *Tenants) alone(ctx context.Context, schema string) (release func(), waited bool, err error) {
	ts.mu.Lock()
	others, found := ts.busy[schema]
	mine := make(chan struct{})
	if !found {
		ts.busy[schema] = mine
	}
	ts.mu.Unlock()
	if found {
		select {
		case <-others:
			return nil, true, nil
		case <-ctx.Done():
			return nil, true, ctx.Err()
		}
	}
	done := func() {
		ts.mu.Lock()
		delete(ts.busy, schema)
		ts.mu.Unlock()
		close(mine)
	}
	select {
	case ts.slots <- struct{}{}:
		return func() { <-ts.slots; done() }, false, nil
	case <-ctx.Done():
		done()
		return nil, false, ctx.Err()
	}
}

// ensure does the work of Ensure.
func (ts *Tenants) ensure(ctx context.Context, j *job) error {
	w := &worker{ts: ts}
	defer w.close(ctx)
	v, err := w.migrate(ctx, j)
	if v == deferred && err == nil {
		v, err = w.wait(ctx, j)
	}
	if v == gone && err == nil {
		err = errors.New("the schema was dropped in the meantime")
	}
	return j.fail(err)
}
