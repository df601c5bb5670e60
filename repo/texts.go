package repo

import (
	"maps"
	"sync"
	"sync/atomic"
)

// texts remembers what was made of a text: a statement of its shape, a fragment
// of its source. Reading takes no lock and allocates nothing. When it is full it
// starts afresh: what is in use comes back with its next use.
type texts[V any] struct {
	values atomic.Pointer[map[string]V]
	mu     sync.Mutex // of writers
}

// Bounds of a cache: an application has a few dozen shapes for each table. What
// exceeds them is generated text, not worth remembering.
const (
	maxTexts   = 512
	maxTextKey = 4 << 10 // bytes
)

func (c *texts[V]) get(key []byte) (v V, ok bool) {
	if m := c.values.Load(); m != nil {
		v, ok = (*m)[string(key)]
	}
	return v, ok
}

func (c *texts[V]) put(key string, v V) {
	if len(key) > maxTextKey {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[string]V{}
	if m := c.values.Load(); m != nil && len(*m) < maxTexts {
		next = maps.Clone(*m)
	}
	next[key] = v
	c.values.Store(&next)
}
