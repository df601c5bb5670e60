package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrNoBinaries means that no PostgreSQL was found and none could be
// downloaded. The error that wraps it lists what was tried and what helps.
var ErrNoBinaries = errors.New("embedded: no PostgreSQL found")

// binaries are the programs of one PostgreSQL.
type binaries struct {
	Dir     string // of postgres and initdb
	Version string // "15.18"
	Major   int
}

// searchPaths are the directories in which distributions install PostgreSQL.
var searchPaths = []string{
	"/usr/lib/postgresql/*/bin",                       // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                // PGDG on Red Hat
	"/usr/libexec/postgresql*",                        // Alpine
	"/usr/lib/postgresql*/bin",                        // openSUSE, Gentoo
	"/usr/local/pgsql/bin",                            // built from source
	"/opt/homebrew/opt/postgresql@*/bin",              // Homebrew
	"/usr/local/opt/postgresql@*/bin",                 // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin", // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// finder looks for binaries. Its fields are what it depends on, so that tests
// can hide this machine's.
type finder struct {
	getenv  func(string) string
	search  []string // globs
	cache   string   // where downloads are kept
	account account  // who will run them
	memory  string   // file that remembers versions; "" for none
	sources []source // where to download from
}

// newFinder returns a finder for this machine, which remembers in the state
// directory what it has seen.
func newFinder(a account, stateDir string) finder {
	return finder{
		getenv: os.Getenv, search: searchPaths, cache: cacheDir(a), account: a, sources: sources,
		memory: filepath.Join(stateDir, "binaries.json"),
	}
}

// find returns binaries of the wanted major version, downloading them if there
// are none. 0 wants the version that PGDBM_PG_VERSION names, or any.
func (f finder) find(ctx context.Context, major int) (binaries, error) {
	want, err := f.wanted(major)
	if err != nil {
		return binaries{}, err
	}
	if dir := f.getenv("PGDBM_PG_BIN"); dir != "" {
		return f.named(ctx, dir, want)
	}
	found, tried := f.present(ctx, want.major)
	if len(found) > 0 {
		return found[0], nil
	}
	if f.getenv("PGDBM_DOWNLOAD") == "off" {
		return binaries{}, noBinaries(want, append(tried, "download: forbidden by PGDBM_DOWNLOAD=off"))
	}
	how, err := f.download(ctx, want.major)
	tried = append(tried, how...)
	if err != nil {
		return binaries{}, noBinaries(want, append(tried, "download: "+err.Error()))
	}
	if found, _ = f.present(ctx, want.major); len(found) == 0 {
		return binaries{}, noBinaries(want, append(tried, "download: "+f.cache+" is empty again"))
	}
	return found[0], nil
}

// named takes the directory that PGDBM_PG_BIN names, or its bin directory.
// A wrong name is an error, never a reason to look elsewhere.
func (f finder) named(ctx context.Context, dir string, want wanted) (binaries, error) {
	b, err := f.look(ctx, dir)
	if err != nil {
		if inner, err2 := f.look(ctx, filepath.Join(dir, "bin")); err2 == nil {
			b, err = inner, nil
		}
	}
	if err == nil && want.major != 0 && b.Major != want.major {
		err = want.missed(b.Version)
	}
	if err != nil {
		return b, fmt.Errorf("embedded: PGDBM_PG_BIN=%s: %w", dir, err)
	}
	return b, nil
}

// present returns the usable binaries on this machine, newest first, and what
// was looked at. Those of the cache count only where nothing is installed: else a
// download for one run, with a version that it asked for, would change what all
// later runs use.
func (f finder) present(ctx context.Context, major int) (found []binaries, tried []string) {
	c := candidates{finder: f, major: major, seen: map[string]bool{}}
	c.consider(ctx, "postgres in PATH", f.inPath())
	for _, glob := range f.search {
		c.glob(ctx, glob)
	}
	if len(c.found) == 0 { // asking it takes a moment
		c.consider(ctx, "pg_config --bindir", f.bindir(ctx))
	}
	if len(c.found) == 0 {
		if err := f.ownCache(); err == nil {
			c.glob(ctx, filepath.Join(f.cache, "*", "bin"))
		} else if !errors.Is(err, os.ErrNotExist) {
			c.tried = append(c.tried, err.Error())
		}
	}
	slices.SortStableFunc(c.found, func(a, b binaries) int { return compareVersions(b.Version, a.Version) })
	return c.found, c.tried
}

// candidates collects binaries.
type candidates struct {
	finder

	major int             // the wanted one, 0 for any
	seen  map[string]bool // directories
	found []binaries
	tried []string // in vain
}

// glob considers all directories of a pattern.
func (c *candidates) glob(ctx context.Context, glob string) {
	dirs, err := filepath.Glob(glob)
	if err != nil || len(dirs) == 0 {
		c.tried = append(c.tried, glob+": nothing there")
	}
	for _, dir := range dirs {
		c.consider(ctx, glob, dir)
	}
}

// consider looks at one directory, once.
func (c *candidates) consider(ctx context.Context, where, dir string) {
	if dir == "" {
		c.tried = append(c.tried, where+": not there")
		return
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	if c.seen[dir] {
		return
	}
	c.seen[dir] = true
	b, err := c.look(ctx, dir)
	switch {
	case err != nil:
		c.tried = append(c.tried, fmt.Sprintf("%s: %s: %v", where, dir, err))
	case c.major != 0 && b.Major != c.major:
		c.tried = append(c.tried, fmt.Sprintf("%s: %s is PostgreSQL %s", where, dir, b.Version))
	default:
		c.found = append(c.found, b)
	}
}

// inPath returns the directory of the server program in PATH, which may be a
// link to it, or "".
func (f finder) inPath() string {
	program := f.program("postgres")
	if program == "" {
		return ""
	}
	if resolved, err := filepath.EvalSymlinks(program); err == nil {
		program = resolved
	}
	return filepath.Dir(program)
}

// bindir asks pg_config, which may know of a PostgreSQL in an unusual place. It
// returns "" if there is none.
func (f finder) bindir(ctx context.Context) string {
	config := f.program("pg_config")
	if config == "" {
		return ""
	}
	out, err := output(ctx, func() *exec.Cmd { return exec.CommandContext(ctx, config, "--bindir") })
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// program returns the path of a program in PATH, "" if it is not there.
func (f finder) program(name string) string {
	for _, dir := range filepath.SplitList(f.getenv("PATH")) {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err == nil && filepath.IsAbs(path) && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

// look asks the server program of a directory for its version.
func (f finder) look(ctx context.Context, dir string) (binaries, error) {
	for _, name := range []string{"postgres", "initdb"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return binaries{}, fmt.Errorf("has no %s", name)
		}
	}
	if err := f.account.entry(dir); err != nil {
		return binaries{}, err
	}
	line, err := f.versionOf(ctx, filepath.Join(dir, "postgres"))
	if err != nil {
		return binaries{}, err
	}
	m := versionLine.FindStringSubmatch(line)
	if m == nil {
		return binaries{}, fmt.Errorf("postgres --version says %q", line)
	}
	b := binaries{Dir: dir, Version: m[1]}
	if b.Major, err = strconv.Atoi(m[2]); err != nil {
		return b, err
	}
	if b.Major < minVersion {
		return b, fmt.Errorf("is PostgreSQL %s: %d or newer is needed", b.Version, minVersion)
	}
	return b, nil
}

// noBinaries explains what was tried, and what to do: one command a line.
func noBinaries(want wanted, tried []string) error {
	deb, brew, rest, last := "postgresql", "postgresql", "", ""
	if want.major != 0 {
		rest = strconv.Itoa(want.major)
		deb, brew = "postgresql-"+rest, "postgresql@"+rest
	}
	if want.variable != "" {
		last = "\n  unset " + want.variable
	}
	return fmt.Errorf("%w: wanted is %s\ntried:\n  %s\nany of these helps:\n"+
		"  apt-get install %s\n  dnf install postgresql%s-server\n  apk add postgresql%s\n  brew install %s\n"+
		"  export PGDBM_PG_BIN=/path/to/postgresql/bin%s",
		ErrNoBinaries, want, strings.Join(tried, "\n  "), deb, rest, rest, brew, last)
}
