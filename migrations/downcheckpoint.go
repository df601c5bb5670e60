package migrations

import (
	"cmp"
	"slices"
)

// downCheckpoint is how a recorded checkpoint is undone. It leaves a schema as the
// files before it do, so there are two ways: by its own down file, which undoes
// all that it stands for, or by the down files of those, one by one.
type downCheckpoint struct {
	version int64 // of the newest checkpoint; 0: there is none
	begun   bool  // the schema began with it, and nothing else is recorded before it
	whole   bool  // its own down file is used
}

func (t *target) downCheckpoint(rows []Record, to int64) downCheckpoint {
	var (
		c   downCheckpoint
		row Record
	)
	for _, r := range rows {
		if r.Kind == KindCheckpoint && r.Version > max(to, c.version) {
			c.version, row = r.Version, r
		}
	}
	if c.version == 0 {
		return c
	}
	c.begun = !slices.ContainsFunc(rows, func(r Record) bool { return 0 < r.Version && r.Version < c.version })
	f := t.find(c.version)
	c.whole = c.begun || to == 0 && (f != nil && f.down != nil || row.DownSQL != "")
	return c
}

// rowOnly reports whether only the row of a migration is to be removed.
func (c downCheckpoint) rowOnly(r Record) bool {
	switch {
	case r.Version > c.version:
		return false
	case c.whole:
		return r.Version < c.version
	default:
		return r.Kind == KindCheckpoint
	}
}

// side tells what is newer than the checkpoint from what it stands for, whenever it was recorded.
func (c downCheckpoint) side(r Record) int { return cmp.Compare(r.Version, c.version) }
