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

// find returns the newest binaries of the wanted major version (0 for any),
// downloading them if there are none.
func (f finder) find(ctx context.Context, major int) (binaries, error) {
	if named := f.getenv("PGDBM_PG_BIN"); named != "" {
		return f.named(ctx, named, major)
	}
	found, tried := f.installed(ctx, major)
	if len(found) > 0 {
		return found[0], nil
	}
	if f.getenv("PGDBM_DOWNLOAD") == "off" {
		return binaries{}, noBinaries(major, append(tried, "download: forbidden by PGDBM_DOWNLOAD=off"))
	}
	how, err := f.download(ctx, major)
	tried = append(tried, how...)
	if err != nil {
		return binaries{}, noBinaries(major, append(tried, "download: "+err.Error()))
	}
	if found, _ = f.installed(ctx, major); len(found) == 0 {
		return binaries{}, noBinaries(major, append(tried, "download: "+f.cache+" is empty again"))
	}
	return found[0], nil
}

// named takes the directory that PGDBM_PG_BIN names, or its bin directory.
// A wrong name is an error, never a reason to look elsewhere.
func (f finder) named(ctx context.Context, dir string, major int) (binaries, error) {
	b, err := f.look(ctx, dir)
	if err != nil {
		if inner, err2 := f.look(ctx, filepath.Join(dir, "bin")); err2 == nil {
			b, err = inner, nil
		}
	}
	if err == nil && major != 0 && b.Major != major {
		err = fmt.Errorf("is PostgreSQL %s, wanted is %d", b.Version, major)
	}
	if err != nil {
		return b, fmt.Errorf("embedded: PGDBM_PG_BIN=%s: %w", dir, err)
	}
	return b, nil
}

// installed returns all usable binaries, newest first, and what was looked at.
func (f finder) installed(ctx context.Context, major int) (found []binaries, tried []string) {
	seen := map[string]bool{}
	consider := func(where, dir string) {
		if dir == "" {
			tried = append(tried, where+": not there")
			return
		}
		if resolved, err := filepath.EvalSymlinks(dir); err == nil {
			dir = resolved
		}
		if seen[dir] {
			return
		}
		seen[dir] = true
		b, err := f.look(ctx, dir)
		switch {
		case err != nil:
			tried = append(tried, fmt.Sprintf("%s: %s: %v", where, dir, err))
		case major != 0 && b.Major != major:
			tried = append(tried, fmt.Sprintf("%s: %s is PostgreSQL %s", where, dir, b.Version))
		default:
			found = append(found, b)
		}
	}
	consider("postgres in PATH", f.inPath())
	globs := slices.Clone(f.search)
	if err := f.ownCache(); err == nil {
		globs = append(globs, filepath.Join(f.cache, "*", "bin"))
	} else if !errors.Is(err, os.ErrNotExist) {
		tried = append(tried, err.Error())
	}
	for _, glob := range globs {
		dirs, err := filepath.Glob(glob)
		if err != nil || len(dirs) == 0 {
			tried = append(tried, glob+": nothing there")
		}
		for _, dir := range dirs {
			consider(glob, dir)
		}
	}
	if len(found) == 0 { // last, for asking it takes longer than joining a server
		consider("pg_config --bindir", f.bindir(ctx))
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return compareVersions(b.Version, a.Version) })
	return found, tried
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
	out, err := exec.CommandContext(ctx, config, "--bindir").Output()
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
func noBinaries(major int, tried []string) error {
	want := "PostgreSQL " + strconv.Itoa(minVersion) + " or newer"
	deb, rest := "postgresql", ""
	if major != 0 {
		want = "PostgreSQL " + strconv.Itoa(major)
		deb, rest = "postgresql-"+strconv.Itoa(major), strconv.Itoa(major)
	}
	brew := "postgresql"
	if rest != "" {
		brew = "postgresql@" + rest
	}
	return fmt.Errorf("%w: wanted is %s\ntried:\n  %s\nany of these helps:\n"+
		"  apt-get install %s\n  dnf install postgresql%s-server\n  apk add postgresql%s\n  brew install %s\n"+
		"  export PGDBM_PG_BIN=/path/to/postgresql/bin",
		ErrNoBinaries, want, strings.Join(tried, "\n  "), deb, rest, rest, brew)
}
