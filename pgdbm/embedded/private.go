package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// privateSettings are for a server with real data: durable, and for one owner.
var privateSettings = map[string]string{
	"listen_addresses":           "",
	"dynamic_shared_memory_type": "mmap",
	"timezone":                   "UTC",
	"log_timezone":               "UTC",
}

// startPrivate starts a server in a directory of its own:
//
//	<state directory>/
//	  lock        held while private directories are made or swept
//	  p<random>/  one server
//	    owner     locked by the owner as long as it lives
func startPrivate(ctx context.Context, cfg Config) (*Server, error) {
	a, err := serverAccount()
	if err != nil {
		return nil, err
	}
	if cfg, a, err = keptData(cfg, a); err != nil {
		return nil, err
	}
	dir, err := stateDir(cfg, a)
	if err != nil {
		return nil, err
	}
	bin, err := newFinder(a, dir).find(ctx, cfg.Version)
	if err != nil {
		return nil, err
	}
	if a, err = a.usable(ctx, bin.Dir); err != nil {
		return nil, err
	}
	home, owned, err := claim(ctx, dir, a)
	if err != nil {
		return nil, err
	}
	inst := &instance{Dir: home, Data: cfg.DataDir, Bin: bin, Port: 5432, account: a}
	if inst.Data == "" {
		inst.Data = filepath.Join(home, "data")
	}
	s := &Server{inst: inst, origin: Started, owned: owned}
	if _, err := os.Stat(filepath.Join(inst.Data, "PG_VERSION")); err == nil {
		s.origin = Restarted
	}
	if err := s.startOwned(ctx, cfg); err != nil {
		return nil, errors.Join(err, os.RemoveAll(home), owned.Close())
	}
	return s, nil
}

// keptData adapts version and account to a data directory that exists.
func keptData(cfg Config, a account) (Config, account, error) {
	if cfg.DataDir == "" {
		return cfg, a, nil
	}
	content, err := os.ReadFile(filepath.Join(cfg.DataDir, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		err := os.MkdirAll(filepath.Dir(cfg.DataDir), 0o755) //nolint:gosec // the server's user must pass through
		if err != nil {
			err = fmt.Errorf("embedded: data directory: %w", err)
		}
		return cfg, a, err
	}
	if err != nil {
		return cfg, a, fmt.Errorf("embedded: data directory: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return cfg, a, fmt.Errorf("embedded: data directory %s: PG_VERSION says %q", cfg.DataDir, content)
	}
	if cfg.Version != 0 && cfg.Version != major {
		return cfg, a, fmt.Errorf("embedded: data directory %s is of PostgreSQL %d, not %d", cfg.DataDir, major, cfg.Version)
	}
	cfg.Version = major
	a, err = accountOf(cfg.DataDir)
	return cfg, a, err
}

// claim sweeps what dead owners left and makes a directory of our own.
func claim(ctx context.Context, dir string, a account) (home string, owned *os.File, err error) {
	held, err := lock(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return "", nil, err
	}
	defer held.Close() //nolint:errcheck // closing releases the lock
	sweep(ctx, dir, a)
	home = filepath.Join(dir, "p"+strconv.FormatUint(uint64(rand.Uint32()), 16))
	if err := os.Mkdir(home, 0o711); err != nil { //nolint:gosec // only to pass through
		return "", nil, fmt.Errorf("embedded: %w", err)
	}
	owned, err = lock(ctx, filepath.Join(home, "owner"))
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(home))
	}
	return home, owned, nil
}

// sweep ends the servers of dead owners, should their watchdogs not have done
// so yet, and removes their directories. All servers first: one's directory may
// hold another's data.
func sweep(ctx context.Context, dir string, a account) {
	homes, _ := filepath.Glob(filepath.Join(dir, "p*"))
	var dead []string
	for _, home := range homes {
		proof, err := os.OpenFile(filepath.Join(home, "owner"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			continue
		}
		defer proof.Close() //nolint:errcheck // releases the lock, once the directories are gone
		if free, err := tryLock(proof); err == nil && free {
			inst := &instance{Dir: home, Data: filepath.Join(home, "data"), account: a}
			inst.end(ctx)
			dead = append(dead, home)
		}
	}
	for _, home := range dead {
		_ = os.RemoveAll(home) // next time, then
	}
}

// end asks a server, through its own socket, to stop at once, and waits.
func (i *instance) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	sockets, _ := filepath.Glob(filepath.Join(i.socketDir(), ".s.PGSQL.*"))
	for _, socket := range sockets {
		port, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(socket), ".s.PGSQL."))
		if err != nil {
			continue // the lock file beside it
		}
		i.Port = port
		conn, err := session(ctx, i.socketURL("postgres"), "pgdbm sweep")
		if err != nil {
			continue
		}
		_, _ = conn.Exec(ctx, `COPY (SELECT 1) TO PROGRAM 'read pid < postmaster.pid && kill -QUIT "$pid"'`) // it ends this session
		_ = conn.Close(ctx)
	}
	i.gone(ctx, 5*time.Second)
}

// startOwned fills the directory and starts the server.
func (s *Server) startOwned(ctx context.Context, cfg Config) error {
	if err := s.inst.create(ctx); err != nil {
		return err
	}
	settings := maps.Clone(privateSettings)
	if cfg.TCP {
		settings["listen_addresses"] = "127.0.0.1"
	}
	maps.Copy(settings, cfg.Settings)
	var err error
	for range 5 { // the free port may be taken before the server takes it
		if cfg.TCP {
			if s.inst.Port, err = freePort(ctx); err != nil {
				return err
			}
		}
		s.process, err = s.inst.launch(ctx, settings)
		if err == nil || !cfg.TCP || !strings.Contains(s.inst.logTail(), "could not bind") {
			break
		}
	}
	if err != nil {
		return err
	}
	s.lease, err = takeLease(ctx, s.inst.socketURL("postgres"), cfg.Idle, true)
	if err == nil && cfg.TCP {
		if err = s.setPassword(ctx); err != nil {
			s.lease.close()
		}
	}
	if err != nil {
		s.process.kill()
		return err
	}
	s.process.settle()
	return nil
}
