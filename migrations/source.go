package migrations

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/samber/lo"

	"github.com/pgdbm/pgdbm-go/internal/sqltmpl"
)

// Kind says what a migration is.
type Kind string

// The kinds of migrations, as the tracking table stores them.
const (
	KindSQL        Kind = "sql"
	KindGo         Kind = "go"
	KindRepeatable Kind = "repeatable"
	KindCheckpoint Kind = "checkpoint" // stands for the files before it
	KindBaseline   Kind = "baseline"   // declared to be applied, by Migrator.Baseline or by a checkpoint; never run
	KindAudit      Kind = "audit"      // no migration: what Migrator.Resolve did
)

// Migration describes a file or function of a [Source].
type Migration struct {
	Key           string // in the tracking table: "v:" and 19 digits, or "r:" and the name
	Version       int64  // 0 when repeatable
	Name          string
	Kind          Kind
	File          string // of a Go migration, version and name: 42_backfill
	DownFile      string // "" when there is none
	Checksum      string
	Transactional bool // false: pgdbm:no-transaction
	Statements    int
}

// LoadOptions says how [Load] reads. The zero value is useful.
type LoadOptions struct {
	// Go are migrations that are functions. They run among the files, in the order
	// of all versions.
	Go []GoMigration

	// Vars are the values of {{var.name}}. They are inserted as they are, and
	// must stand for a part of one statement. Checksums do not cover them.
	Vars map[string]string

	// Rules changes the severity of lint rules by name; see [Rules]. The rules
	// that are marked Fixed cannot be changed.
	Rules map[string]Severity
}

// Source is a module's migrations: parsed, linted, ordered. It is immutable
// and safe for concurrent use; one source can serve any number of schemas.
type Source struct {
	files    []*file // versioned by version, then repeatables by name
	vars     map[string]string
	findings []Finding
	head     string

	checkpoints []*file // lowest first
	tail        string  // the head of what the newest checkpoint does not stand for
}

// file is a migration with its parsed scripts.
type file struct {
	Migration
	up   *script
	down *script // nil when there is none
}

// String names the migration as messages do.
func (f *file) String() string { return fmt.Sprintf("%d_%s", f.Version, f.Name) }

// Load reads the *.sql files at the root of fsys, and takes the functions of opts
// along. A nil fsys has no files.
//
// The error is a [*LoadError] with everything that is wrong in all files, or
// the error of fsys. Files of other kinds, names that begin with a dot, and
// folders are ignored.
func Load(fsys fs.FS, opts LoadOptions) (*Source, error) {
	s := &Source{vars: maps.Clone(opts.Vars)}
	l := newLinter(opts.Rules)
	if err := l.checkOptions(opts); err != nil {
		return nil, err
	}
	for _, g := range opts.Go {
		s.files = append(s.files, g.file())
	}
	if err := s.read(fsys, l); err != nil {
		return nil, err
	}
	var failed []Finding
	for _, f := range l.findings {
		if f.Severity == Error {
			failed = append(failed, f)
		} else {
			s.findings = append(s.findings, f)
		}
	}
	if len(failed) > 0 {
		sortFindings(failed)
		return nil, &LoadError{Findings: failed}
	}
	sortFindings(s.findings)
	s.head = s.headFrom(0)
	if c := s.newest(); c != nil {
		s.tail = s.headFrom(c.Version)
	}
	return s, nil
}

// headFrom returns the head of the versions from one on, and of the repeatables.
func (s *Source) headFrom(version int64) string {
	return headOf(lo.FilterMap(s.files, func(f *file, _ int) (recorded, bool) {
		return recorded{key: f.Key, checksum: f.Checksum}, f.Version == 0 || f.Version >= version
	}))
}

// Migrations returns the files in the order in which they run.
func (s *Source) Migrations() []Migration {
	if s == nil {
		return nil
	}
	out := make([]Migration, len(s.files))
	for i, f := range s.files {
		out[i] = f.Migration
	}
	return out
}

// Lint returns the warnings about the files. What counts as an error has
// already made [Load] fail.
func (s *Source) Lint() []Finding {
	if s == nil {
		return nil
	}
	return slices.Clone(s.findings)
}

func (l *linter) checkOptions(opts LoadOptions) error {
	var errs []error
	for _, g := range opts.Go {
		errs = append(errs, g.validate())
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Vars)) {
		if !sqltmpl.ValidName(name) {
			errs = append(errs, fmt.Errorf("migrations: variable %q: names are a letter or _ followed by up to 62 letters, digits or _", name))
		}
		if !isFragment(opts.Vars[name]) {
			errs = append(errs, fmt.Errorf("migrations: variable %s: its value must be a part of a statement, without semicolons, comments and unclosed quotes", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Rules)) {
		switch r, ok := l.rules[name]; {
		case !ok:
			errs = append(errs, fmt.Errorf("migrations: there is no rule %q (have %s)", name, ignorable()))
		case r.Fixed:
			errs = append(errs, fmt.Errorf("migrations: the rule %s cannot be changed: what it forbids does not work", name))
		case opts.Rules[name] < Off || opts.Rules[name] > Error:
			errs = append(errs, fmt.Errorf("migrations: rule %s: %s is no severity; use Off, Warning or Error", name, opts.Rules[name]))
		}
	}
	return errors.Join(errs...)
}

// named is a file with its understood name.
type named struct {
	filename
	base string
}

func (s *Source) read(fsys fs.FS, l *linter) error {
	var entries []fs.DirEntry
	if fsys != nil {
		var err error
		if entries, err = fs.ReadDir(fsys, "."); err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
	}
	var ups, downs []named
	for _, e := range entries {
		base := e.Name()
		if e.IsDir() || base[0] == '.' || !strings.EqualFold(path.Ext(base), ".sql") {
			continue
		}
		name, err := parseFilename(base)
		switch {
		case err != nil:
			l.add(ruleFilename, Position{File: base}, "", err.Error(), "rename it, or move it to a folder below")
		case name.down:
			downs = append(downs, named{name, base})
		default:
			ups = append(ups, named{name, base})
		}
	}
	for _, n := range ups {
		sc, err := s.script(fsys, n.base, l)
		if err != nil {
			return err
		}
		if n.version == 0 && sc.undo != nil {
			l.add(ruleAnnotation, Position{File: n.base}, "", "a repeatable migration cannot be undone", "remove the part that undoes")
		}
		s.files = append(s.files, newFile(n, sc))
	}
	slices.SortFunc(s.files, compareFiles)
	s.checkUnique(l)
	for _, n := range downs {
		if err := s.addDown(fsys, n, l); err != nil {
			return err
		}
	}
	s.checkCheckpoints(l)
	return nil
}

// script reads, parses and lints one file.
func (s *Source) script(fsys fs.FS, base string, l *linter) (*script, error) {
	raw, err := fs.ReadFile(fsys, base)
	if err != nil {
		return nil, fmt.Errorf("migrations: %s: %w", base, err)
	}
	text := normalize(raw)
	l.script = &script{file: base, text: text, within: text}
	p := divide(text, func(offset int, message, hint string) { l.report(ruleAnnotation, offset, message, hint) })
	sc := &script{file: base, text: text[:p.end(text)], within: text}
	l.lint(parsePart(sc, p.noTx[0], s.vars, l))
	if p.down >= 0 {
		undo := parsePart(&script{file: base, text: text[p.down:], within: text, shift: p.down}, p.noTx[1], s.vars, l)
		undo.directives.noTransaction = undo.needsAutocommit() // a down file that can be undone with its row, is
		if l.lint(undo); len(undo.statements) > 0 {
			sc.undo = undo
		}
	}
	l.script = nil
	return sc, nil
}

func newFile(n named, sc *script) *file {
	m := Migration{
		Key: versionKey(n.version), Version: n.version, Name: n.name, Kind: KindSQL, File: n.base,
		Checksum: sc.checksum, Transactional: !sc.directives.noTransaction, Statements: len(sc.statements),
	}
	if n.version == 0 {
		m.Key, m.Kind = repeatableKey(n.name), KindRepeatable
	}
	f := &file{Migration: m, up: sc, down: sc.undo}
	if f.down != nil {
		f.DownFile = n.base
	}
	return f
}

// compareFiles orders versioned files by version before repeatables by name.
func compareFiles(a, b *file) int {
	switch {
	case a.Version == 0 && b.Version > 0:
		return 1
	case a.Version > 0 && b.Version == 0:
		return -1
	default:
		return strings.Compare(a.Key+"\x00"+a.File, b.Key+"\x00"+b.File)
	}
}

func (s *Source) checkUnique(l *linter) {
	for i := 1; i < len(s.files); i++ {
		a, b := s.files[i-1], s.files[i]
		if a.Key != b.Key {
			continue
		}
		what := fmt.Sprintf("has the same version %d as %s", b.Version, a.place())
		if b.Kind == KindRepeatable {
			what = "has the same name as " + a.place()
		}
		l.add(ruleVersion, Position{File: b.place()}, "", what, "renumber one of them")
	}
}

func (s *Source) addDown(fsys fs.FS, n named, l *linter) error {
	i := slices.IndexFunc(s.files, func(f *file) bool {
		return f.up.fn == nil && f.Version > 0 && f.Version == n.version && f.Name == n.name
	})
	if i < 0 {
		l.add(ruleVersion, Position{File: n.base}, "", fmt.Sprintf("there is no migration %d_%s that it would undo", n.version, n.name),
			"a down file is named as its sibling: 0042_name.sql and 0042_name.down.sql")
		return nil
	}
	if other := s.files[i].DownFile; other != "" {
		l.add(ruleVersion, Position{File: n.base}, "", "undoes the same migration as "+other, "keep one of them")
		return nil
	}
	sc, err := s.script(fsys, n.base, l)
	if err != nil {
		return err
	}
	if sc.undo != nil {
		l.add(ruleAnnotation, Position{File: n.base}, "", "a down file has both directions", "keep the part that undoes")
	}
	s.files[i].DownFile, s.files[i].down = n.base, sc
	return nil
}
