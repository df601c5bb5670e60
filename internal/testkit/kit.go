package testkit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Advisory lock spaces, in the database that others are made from.
const (
	lockLease    = 7214 // (lockLease, lease): databases pgdbm_t_<lease>_* are in use
	lockTemplate = 7215 // (lockTemplate, hash): the template is being built
	lockInUse    = 7216 // (lockInUse, hash), shared: the template is in use by a process
)

const (
	startTimeout = 5 * time.Minute // of the server, which may have to be downloaded, and of a template
	endTimeout   = time.Minute     // of the end of a test
)

// kit is one process's hold on one server. It has no end: tests have none.
type kit struct {
	env     env
	server  server
	admin   *pgxpool.Pool
	lease   *lease
	version int  // 150018
	super   bool // the user is a superuser
	synced  bool // fsync is on
	warm    int  // how many free databases of a template keep their connections
	recycle bool // possible on this server, and not switched off

	making  chan struct{} // holds a token per database being created
	numbers atomic.Int64
	drops   dropper

	mu        sync.Mutex
	templates map[string]*template
}

// process returns this process's kit; what went wrong for the first test goes
// wrong at once for all others.
var process = sync.OnceValues(func() (*kit, error) {
	e, err := processEnv()
	if err != nil || e.skip {
		return &kit{env: e}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	k, err := open(ctx, e)
	current.Store(k)
	return k, err
})

// open connects to the server of the environment.
func open(ctx context.Context, e env) (*kit, error) {
	srv, err := findServer(ctx, e)
	if err != nil {
		return nil, err
	}
	k := &kit{env: e, server: srv, making: make(chan struct{}, 2), templates: map[string]*template{}}
	cfg, err := pgxpool.ParseConfig(srv.connString(srv.admin))
	if err != nil {
		return nil, fmt.Errorf("pgdbmtest: %w", err)
	}
	cfg.MaxConns = 8
	cfg.ConnConfig.RuntimeParams["application_name"] = "pgdbm testkit"
	if k.admin, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("pgdbmtest: %w", err)
	}
	k.drops.kit = k
	var create bool
	const facts = `SELECT current_setting('server_version_num')::int, rolsuper, rolsuper OR rolcreatedb,
		current_setting('fsync') = 'on', greatest(2, current_setting('max_connections')::int / 50) FROM pg_roles WHERE rolname = current_user`
	err = persist(ctx, e.patience, func() error {
		return k.admin.QueryRow(ctx, facts).Scan(&k.version, &k.super, &create, &k.synced, &k.warm)
	})
	if err != nil {
		return nil, fmt.Errorf("pgdbmtest: %w", err)
	}
	if err := k.checkVersion(); err != nil {
		k.admin.Close()
		return nil, err
	}
	if !create {
		return nil, fmt.Errorf("pgdbmtest: the user of %s may not create databases: ALTER ROLE … CREATEDB", srv.about)
	}
	k.recycle = e.recycle && k.super && k.version >= 150000
	err = persist(ctx, e.patience, func() error {
		k.lease, err = takeLease(ctx, srv.connString(srv.admin), k.suspect)
		return err
	})
	if err != nil {
		return nil, err
	}
	go k.sweep(context.WithoutCancel(ctx))
	return k, nil
}

// suspect gives up what a crash of the server may have changed: it empties the
// unlogged tables of all databases.
func (k *kit) suspect() {
	k.admin.Reset() // its connections are gone, too
	k.mu.Lock()
	templates := slices.Collect(maps.Values(k.templates))
	k.mu.Unlock()
	for _, t := range templates {
		t.forget()
		for _, s := range t.free.clear() {
			k.drops.add(s)
		}
	}
}

// shed closes the connections of databases that wait for a test: the server has
// no more, and whoever needs one may be another process.
func (k *kit) shed() {
	k.admin.Reset()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.templates {
		t.free.cool(0)
	}
}

// newName returns the name of a database of this process that was never used.
func (k *kit) newName() string {
	return fmt.Sprintf("pgdbm_t_%d_%d", k.lease.number, k.numbers.Add(1))
}
