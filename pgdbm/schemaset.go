package pgdbm

import (
	"slices"
	"unique"
)

// schemaSet is the set of schemas that a connection has served, with one more
// than the limit at most. For a few of them it allocates nothing.
type schemaSet struct {
	last unique.Handle[string]
	few  [8]unique.Handle[string]
	more map[unique.Handle[string]]struct{}
	n    int
}

func (s *schemaSet) add(schema unique.Handle[string], limit int) {
	if schema == s.last || s.n > limit {
		return
	}
	s.last = schema
	if slices.Contains(s.few[:min(s.n, len(s.few))], schema) {
		return
	}
	if _, known := s.more[schema]; known {
		return
	}
	if s.n < len(s.few) {
		s.few[s.n] = schema
	} else {
		if s.more == nil {
			s.more = map[unique.Handle[string]]struct{}{}
		}
		s.more[schema] = struct{}{}
	}
	s.n++
}
