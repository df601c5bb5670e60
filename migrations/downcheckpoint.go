package migrations

import (
	"cmp"

	"github.com/samber/lo"
)

// downCheckpoint is how a recorded checkpoint is undone. It leaves a schema as the
// files before it do, so there are two ways: by its own down file, which undoes
// all that it stands for, or by the down files of those, one by one.
type downCheckpoint struct {
	version int64 // of the newest checkpoint; 0: there is none
	first   int64 // of the one that nothing is recorded before: the schema began with it; 0: there is none
	whole   bool  // the newest one's own down file is used
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
	versioned := lo.Filter(rows, func(r Record, _ int) bool { return r.Version > 0 })
	if lowest := lo.MinBy(versioned, func(a, b Record) bool { return a.Version < b.Version }); lowest.Kind == KindCheckpoint {
		c.first = lowest.Version
	}
	f := t.find(c.version)
	c.whole = c.first == c.version || to == 0 && (f != nil && f.down != nil || row.DownSQL != "")
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
		return r.Kind == KindCheckpoint && r.Version != c.first
	}
}

// side tells what is newer than the checkpoint from what it stands for, whenever it was recorded.
func (c downCheckpoint) side(r Record) int { return cmp.Compare(r.Version, c.version) }
