package migrations

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/samber/lo"
)

// span is the range of versions that a checkpoint stands for.
type span struct{ from, to int64 }

func (s span) has(version int64) bool { return s.from <= version && version <= s.to }

func (s span) String() string { return fmt.Sprintf("%d-%d", s.from, s.to) }

var spanForm = regexp.MustCompile(`^(\d+)\s*-\s*(\d+)$`)

// parseSpan reads "1-40".
func parseSpan(text string) (s span, ok bool) {
	m := spanForm.FindStringSubmatch(text)
	if m == nil {
		return s, false
	}
	var errs [2]error
	s.from, errs[0] = strconv.ParseInt(m[1], 10, 64)
	s.to, errs[1] = strconv.ParseInt(m[2], 10, 64)
	return s, errs[0] == nil && errs[1] == nil && s.from >= 1 && s.from <= s.to
}

// covers returns what a checkpoint stands for.
func (f *file) covers() span { return *f.up.directives.checkpoint }

// checkCheckpoints finds the checkpoints among the files, lowest first, and
// reports what is wrong with them. A checkpoint stands for everything before it:
// otherwise a fresh schema would run a file that needs what it leaves out.
func (s *Source) checkCheckpoints(l *linter) {
	wrong := func(sc *script, message, hint string) {
		l.script = sc
		l.report(ruleDirective, sc.directives.checkpointAt, message, hint)
		l.script = nil
	}
	for _, f := range s.files {
		if f.down != nil && f.down.directives.checkpoint != nil {
			wrong(f.down, "a down file cannot be a checkpoint", "")
		}
		if f.up.directives.checkpoint == nil {
			continue
		}
		if message, hint := s.checkCheckpoint(f); message != "" {
			wrong(f.up, message, hint)
		}
		f.Kind = KindCheckpoint
		s.checkpoints = append(s.checkpoints, f)
	}
}

func (s *Source) checkCheckpoint(f *file) (message, hint string) {
	c := f.covers()
	switch {
	case f.Version == 0:
		return "a repeatable file cannot be a checkpoint", "give it a version"
	case !f.Transactional:
		return "a checkpoint cannot be a no-transaction file", "the schema is new: without CONCURRENTLY nobody has to wait"
	case c.to >= f.Version:
		return fmt.Sprintf("the checkpoint covers %s, but has version %d itself", c, f.Version), "it covers versions below its own"
	}
	for _, other := range s.checkpoints {
		o := other.covers()
		if o.from <= c.to && c.from <= o.to && (c.from > o.from || c.to < o.to) {
			return fmt.Sprintf("the checkpoint covers %s, which overlaps with the %s of %s", c, o, other.File), fmt.Sprintf("write %d-%d", min(c.from, o.from), max(c.to, o.to))
		}
	}
	var left []string
	var last int64 // the highest version in the range that is there
	for _, g := range s.files {
		switch {
		case g.Version == 0 || g.Version >= f.Version:
		case c.has(g.Version):
			last = g.Version
		case !s.covered(f, g.Version):
			left = append(left, g.place())
		}
	}
	switch {
	case len(left) > 0:
		return fmt.Sprintf("the checkpoint covers %s, which leaves out %s", c, strings.Join(left, ", ")), "it must cover all versions before it"
	case last > 0 && last < c.to:
		return fmt.Sprintf("the checkpoint covers %s, but there is no version %d", c, c.to), fmt.Sprintf("end the range with the last version that it covers: %d-%d", c.from, last)
	}
	return "", ""
}

// covered reports whether a checkpoint, or one that it covers, covers a version.
func (s *Source) covered(f *file, version int64) bool {
	return f.covers().has(version) || slices.ContainsFunc(s.checkpoints, func(inner *file) bool {
		return inner.Version < f.Version && f.covers().has(inner.Version) && s.covered(inner, version)
	})
}

// newest returns the highest checkpoint, or nil.
func (s *Source) newest() *file {
	if s == nil || len(s.checkpoints) == 0 {
		return nil
	}
	return s.checkpoints[len(s.checkpoints)-1]
}

// below returns the versioned files before a version.
func (t *target) below(version int64) []*file {
	return lo.Filter(t.files(), func(f *file, _ int) bool { return 0 < f.Version && f.Version < version })
}

// coverage is what checkpoints mean for a schema.
type coverage struct {
	fresh   bool    // no version is recorded
	start   *file   // the checkpoint that a fresh schema begins with; nil for none
	skip    int64   // files below this version that are not recorded are not needed
	unknown int64   // recorded versions below this one need no file
	marks   []*file // what is to be recorded because all that it covers is applied
}

// needless reports whether a file that is not recorded need not run.
func (c coverage) needless(f *file) bool {
	if f.Version == 0 || f == c.start {
		return false
	}
	return f.Version < c.skip || f.Kind == KindCheckpoint
}

// coverage works out what the checkpoints mean for a schema with these rows. The
// error says that it can neither begin with a checkpoint nor go on to it.
func (t *target) coverage(rows []Record, to int64) (coverage, error) {
	var c coverage
	if t.Source.newest() == nil {
		return c, nil
	}
	checkpoints := lo.Filter(t.Source.checkpoints, func(f *file, _ int) bool { return to == 0 || f.Version <= to })
	c.fresh = !slices.ContainsFunc(rows, func(r Record) bool { return r.Version > 0 })
	if !c.fresh {
		return t.reached(c, rows, checkpoints)
	}
	if n := len(checkpoints); n > 0 {
		c.start = checkpoints[n-1]
		c.skip = c.start.Version
		return c, nil
	}
	if first := t.Source.checkpoints[0]; first.covers().has(to) && t.find(first.covers().to) == nil {
		return c, t.fail(fmt.Errorf("a new schema cannot end at version %d: it begins with the checkpoint %s, since the files of %s are gone",
			to, first.File, first.covers()))
	}
	return c, nil
}

// reached works out how far a schema is that is not fresh.
func (t *target) reached(c coverage, rows []Record, checkpoints []*file) (coverage, error) {
	applied := map[int64]bool{}
	for _, r := range rows {
		applied[r.Version] = r.Version > 0 && r.Status == StatusApplied
	}
	for _, f := range slices.Backward(checkpoints) {
		switch last := f.covers().to; {
		case applied[f.Version]:
			c.unknown = f.Version
			if !slices.ContainsFunc(rows, func(r Record) bool { return 0 < r.Version && r.Version < f.Version }) {
				c.skip = f.Version // it began with the checkpoint, when the files were gone
			}
			return c, nil
		case applied[last]:
			c.marks = append(c.marks, f)
			c.unknown = max(c.unknown, f.Version)
		case t.find(last) != nil: // the files run
			c.marks = append(c.marks, f)
		default:
			c.unknown = max(c.unknown, f.Version)
			return c, t.failFile(f.File, halfway(rows, f))
		}
	}
	return c, nil
}

// halfway says what to do with a schema that has not reached a checkpoint.
func halfway(rows []Record, f *file) error {
	var last Record
	for _, r := range rows {
		if r.Status == StatusApplied && r.Version <= f.covers().to && r.Version > last.Version {
			last = r
		}
	}
	by := "an older version of the program, which has them"
	if last.AppVersion != "" {
		by += " (" + last.AppVersion + " came as far as this)"
	}
	return fmt.Errorf("%w: the schema is at version %d of the %s that the checkpoint stands for, and the files of the others are gone; migrate it first with %s",
		ErrUnknownApplied, last.Version, f.covers(), by)
}

// find returns the file of a version, or nil.
func (t *target) find(version int64) *file {
	f, _ := lo.Find(t.files(), func(f *file) bool { return f.Version == version })
	return f
}
