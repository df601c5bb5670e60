package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answerTimeout is how long a server may take to answer who joins it. One that is
// running but busy is asked again.
const answerTimeout = 2 * time.Second

// testSettings trade durability for speed. Shared memory is mapped from files:
// a killed server would leave segments behind otherwise.
var testSettings = map[string]string{
	"listen_addresses":           "",
	"fsync":                      "off",
	"synchronous_commit":         "off",
	"full_page_writes":           "off",
	"autovacuum":                 "off",
	"max_connections":            "500",
	"max_locks_per_transaction":  "256",
	"max_prepared_transactions":  "20",
	"dynamic_shared_memory_type": "mmap",
	"timezone":                   "UTC",
	"log_timezone":               "UTC",
}

// state is what state.json says about the shared server.
type state struct {
	Instance string   `json:"instance"` // directory name
	Bin      binaries `json:"bin"`
	Boot     string   `json:"boot"`
}

// shared is the home of a shared server:
//
//	<state directory>/pg<major>[-<settings>]/
//	  lock        held while somebody joins or starts the server
//	  state.json  which instance is current
//	  i<random>/  the instance
type shared struct {
	cfg      Config
	home     string
	bin      binaries
	account  account
	settings map[string]string
}

// startShared joins the shared server, or restarts or starts it.
func startShared(ctx context.Context, cfg Config) (*Server, error) {
	a, err := serverAccount()
	if err != nil {
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
	s := shared{cfg: cfg, bin: bin, account: a, settings: maps.Clone(testSettings)}
	maps.Copy(s.settings, cfg.Settings)
	s.home = filepath.Join(dir, "pg"+strconv.Itoa(bin.Major)+settingsKey(cfg.Settings))
	if err := os.Mkdir(s.home, 0o711); err != nil && !errors.Is(err, os.ErrExist) { //nolint:gosec // only to pass through
		return nil, fmt.Errorf("embedded: %w", err)
	}
	if err := ownDir(s.home); err != nil {
		return nil, fmt.Errorf("embedded: %s: %w", s.home, err)
	}
	if err := os.Chmod(s.home, 0o711); err != nil { //nolint:gosec // whatever the umask is
		return nil, fmt.Errorf("embedded: %w", err)
	}
	held, err := lock(ctx, filepath.Join(s.home, "lock"))
	if err != nil {
		return nil, err
	}
	defer held.Close() //nolint:errcheck // closing releases the lock
	return s.start(ctx)
}

// start runs under the lock.
func (s *shared) start(ctx context.Context) (*Server, error) {
	last, inst := s.last()
	if inst != nil {
		srv, err := s.join(ctx, inst)
		if err == nil {
			return srv, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("embedded: joining the server: %w", err)
		}
		s.cfg.Logger.DebugContext(ctx, "embedded: not running", "error", err)
	}
	a, err := s.account.usable(ctx, s.bin.Dir)
	if err != nil {
		return nil, err
	}
	s.account = a
	if inst != nil && last.Boot == bootID() && last.Bin == s.bin && !inst.alive() {
		inst.account = a
		srv, err := s.launch(ctx, inst, Restarted)
		if err == nil {
			return srv, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		s.cfg.Logger.WarnContext(ctx, "embedded: the old data directory does not start, making a new one", "error", err)
	}
	return s.fresh(ctx)
}

// last reads state.json; nil if there is none that makes sense.
func (s *shared) last() (state, *instance) {
	content, err := os.ReadFile(s.stateFile())
	if err != nil {
		return state{}, nil
	}
	var st state
	if err := json.Unmarshal(content, &st); err != nil || st.Instance == "" || filepath.Base(st.Instance) != st.Instance {
		return state{}, nil
	}
	inst := s.instance(st.Instance)
	inst.Bin = st.Bin
	return st, inst
}

func (s *shared) stateFile() string { return filepath.Join(s.home, "state.json") }

func (s *shared) instance(name string) *instance {
	dir := filepath.Join(s.home, name)
	return &instance{Dir: dir, Data: filepath.Join(dir, "data"), Bin: s.bin, Port: 5432, account: s.account}
}

// join takes a lease of a server that is running. One that is busy starting or
// stopping, has no free connection or no time to answer, is waited for.
func (s *shared) join(ctx context.Context, inst *instance) (*Server, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(s.cfg.patience); ; {
		l, err := s.ask(ctx, inst)
		if err == nil {
			return &Server{inst: inst, origin: Joined, lease: l}, nil
		}
		if !answered(err) && !inst.alive() || time.Now().After(deadline) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// ask takes a lease of a server that answers in time.
func (s *shared) ask(ctx context.Context, inst *instance) (*lease, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return takeLease(ctx, inst.socketURL("postgres"), s.cfg.Idle, false)
}

// fresh makes a new instance and removes those that nobody needs any more.
func (s *shared) fresh(ctx context.Context) (*Server, error) {
	s.removeOld()
	name := "i" + strconv.FormatUint(uint64(rand.Uint32()), 16)
	inst := s.instance(name)
	err := inst.create(ctx)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(inst.Dir))
	}
	srv, err := s.launch(ctx, inst, Started)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(inst.Dir))
	}
	if err := s.save(state{Instance: name, Bin: s.bin, Boot: bootID()}); err != nil {
		srv.lease.close()
		return nil, err
	}
	return srv, nil
}

// launch starts an instance. If that goes wrong after the server has started,
// the server is ended: without a watchdog it would stay.
func (s *shared) launch(ctx context.Context, inst *instance, origin Origin) (*Server, error) {
	p, err := inst.launch(ctx, s.settings)
	if err != nil {
		return nil, err
	}
	l, err := takeLease(ctx, inst.socketURL("postgres"), s.cfg.Idle, false)
	if err != nil {
		p.kill()
		return nil, err
	}
	p.settle()
	return &Server{inst: inst, origin: origin, lease: l}, nil
}

// save replaces state.json as a whole.
func (s *shared) save(st state) error {
	content, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	tmp := s.stateFile() + ".tmp"
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	if err := os.Rename(tmp, s.stateFile()); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	return nil
}

// removeOld removes the instances on which no server runs.
func (s *shared) removeOld() {
	entries, err := os.ReadDir(s.home)
	if err != nil {
		return
	}
	for _, e := range entries {
		if inst := s.instance(e.Name()); e.IsDir() && strings.HasPrefix(e.Name(), "i") && !inst.alive() {
			_ = os.RemoveAll(inst.Dir) // next time, then
		}
	}
}

// settingsKey tells servers with different settings apart.
func settingsKey(settings map[string]string) string {
	if len(settings) == 0 {
		return ""
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		_, _ = fmt.Fprintf(h, "%q=%q\n", name, settings[name])
	}
	return "-" + hex.EncodeToString(h.Sum(nil))[:6]
}
