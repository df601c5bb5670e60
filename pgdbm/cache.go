package pgdbm

import (
	"sync"
	"sync/atomic"
)

// cache remembers up to limit values, read without locks. When it is full it
// starts afresh: what is in use comes back with its next use. (An exact
// least-recently-used order would cost a write for every read.)
type cache[K comparable, V any] struct {
	limit  int64
	count  atomic.Int64
	values sync.Map // of K to V
}

func (c *cache[K, V]) get(key K) (value V, ok bool) {
	v, ok := c.values.Load(key)
	if ok {
		value, ok = v.(V)
	}
	return value, ok
}

func (c *cache[K, V]) put(key K, value V) {
	if _, had := c.values.Swap(key, value); had {
		return
	}
	if c.count.Add(1) > c.limit {
		c.count.Store(0)
		c.values.Clear()
	}
}
