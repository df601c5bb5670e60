package migrations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// pending is a file that is to run.
type pending struct {
	*file
	resume     int      // statements that a failed run has executed
	executed   []string // their hashes
	outOfOrder bool
	instead    []*file // of a checkpoint: the files that it is run for
}

// hashes returns the hashes of the statements that are not run again.
func (p pending) hashes() []string { return p.executed[:p.resume] }

// decision is what the rows of a target say about its files.
type decision struct {
	pending []pending
	applied int
	head    int64    // the highest version that is applied; 0: none
	newer   []Record // applied, above everything that we have
	failed  []Record // no-transaction files that did not finish
	orphans []Record // repeatable files that we do not have
	marks   []*file  // checkpoints to be recorded without being run, behind pending
}

// decide compares a target's rows with its files. The error joins all drift,
// unknown rows and order violations; the decision is complete all the same.
func (t *target) decide(rows []Record, s scope, outOfOrder bool) (decision, error) {
	var (
		d     decision
		errs  []error
		byKey = make(map[string]Record, len(rows))
		have  = make(map[string]bool, len(t.files()))
		last  int64 // our highest version
	)
	reach, err := t.coverage(rows, s.to)
	errs = append(errs, err)
	d.marks = reach.marks
	for _, f := range t.files() {
		have[f.Key] = true
		last = max(last, f.Version)
	}
	for _, r := range rows {
		if r.Kind == KindAudit {
			continue
		}
		byKey[r.Key] = r
		if r.Status == StatusApplied {
			d.applied++
			d.head = max(d.head, r.Version)
		} else {
			d.failed = append(d.failed, r)
		}
		switch {
		case have[r.Key]:
		case r.Version == 0:
			d.orphans = append(d.orphans, r)
		case r.Version > last:
			d.newer = append(d.newer, r)
		case r.Version < reach.unknown:
		default:
			errs = append(errs, t.fail(fmt.Errorf("%w: version %d (%s) is recorded, but there is no such file; restore it, or forget it with Resolve", ErrUnknownApplied, r.Version, r.Name)))
		}
	}
	for _, f := range t.files() {
		r, found := byKey[f.Key]
		if found && r.Status == StatusApplied {
			if f.Kind != KindRepeatable && r.Algorithm == checksumAlgorithm && r.Checksum != f.Checksum {
				errs = append(errs, t.failFile(f.File, drift(f, r)))
			}
			if f.Kind != KindRepeatable || r.Checksum == f.Checksum {
				continue
			}
		}
		if s.to > 0 && (f.Kind == KindRepeatable || f.Version > s.to) {
			continue
		}
		if !found && reach.needless(f) {
			continue
		}
		if found && r.Status != StatusApplied && f.Kind == KindCheckpoint {
			errs = append(errs, t.failFile(f.File, fmt.Errorf("%w: it has failed as a file of its own, and is now a checkpoint, which runs in new schemas alone; restore it, and give the checkpoint another version", ErrDrift)))
			continue
		}
		p := pending{file: f, outOfOrder: f.Version > 0 && f.Version < d.head}
		if f == reach.start {
			p.instead = t.below(f.Version)
		}
		if p.outOfOrder && !outOfOrder && !f.up.directives.outOfOrder && !found {
			allow := "renumber the file, or allow it with -- pgdbm:out-of-order or Config.OutOfOrder"
			if f.up.fn != nil {
				allow = "renumber it, or allow it with Config.OutOfOrder"
			}
			errs = append(errs, t.failFile(f.File, fmt.Errorf("%w: version %d is applied; %s", ErrOutOfOrder, d.head, allow)))
		}
		if found && r.Status != StatusApplied {
			if err := p.continueFrom(r); err != nil {
				errs = append(errs, t.failFile(f.File, err))
			}
		}
		d.pending = append(d.pending, p)
	}
	return d, errors.Join(errs...)
}

// drift says how a migration differs from what was applied.
func drift(f *file, r Record) error {
	const cure = "restore it and put the change into a new one, or accept it with Resolve"
	if f.up.fn != nil || r.Kind == KindGo {
		return fmt.Errorf("%w: it was applied as %d_%s (%s) and is now %s (%s); %s", ErrDrift, r.Version, r.Name, r.Kind, f, f.Kind, cure)
	}
	return fmt.Errorf("%w: its checksum was %s and is %s; %s", ErrDrift, r.Checksum[:min(12, len(r.Checksum))], f.Checksum[:12], cure)
}

// continueFrom finds out where a file that failed goes on.
func (p *pending) continueFrom(r Record) error {
	d := p.up.directives
	if r.Done == 0 || d.restart {
		return nil
	}
	if !d.noTransaction {
		return fmt.Errorf("%w: %d of %d had been executed when the file was a no-transaction one; restore the directive", ErrPrefixChanged, r.Done, r.Statements)
	}
	return p.resumeAt(r)
}

// resumeAt goes on behind the statements that have been executed, which must be
// those of the file.
func (p *pending) resumeAt(r Record) error {
	for i, hash := range r.hashes {
		if i >= len(p.up.statements) || p.up.statements[i].hash != hash {
			return fmt.Errorf("%w: statement %d differs from the one that was executed before the file failed at %d of %d; restore it, or start over with -- pgdbm:on-retry restart or Resolve",
				ErrPrefixChanged, i+1, r.Done+1, r.Statements)
		}
	}
	p.resume, p.executed = len(r.hashes), slices.Clone(r.hashes)
	return nil
}

// versions lists records for a message.
func versions(rows []Record) string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%d_%s", r.Version, r.Name))
	}
	return strings.Join(out, ", ")
}
