package pgdbm

import (
	"hash/maphash"
	"math/rand/v2"
	"sync/atomic"
)

// cache remembers values by a text and the scope in which it was used. It is
// read without locks and without allocating, and it is bounded twice: in entries,
// each of which may take one of four places, and in their bytes. What falls out comes back with its next use. (An exact
// least-recently-used order would cost a write for every read.)
type cache[V any] struct {
	seed   maphash.Seed
	places []atomic.Pointer[cached[V]] // a power of two, in rows of ways
	limit  int64                       // of bytes
	bytes  atomic.Int64
}

type cached[V any] struct {
	hash        uint64
	text, scope string
	value       V
	size        int64
}

const ways = 4

func newCache[V any](entries int, limit int64) *cache[V] {
	return &cache[V]{seed: maphash.MakeSeed(), places: make([]atomic.Pointer[cached[V]], entries), limit: limit}
}

func (c *cache[V]) get(text, scope string) (value V, ok bool) {
	hash := c.hash(text, scope)
	row := c.row(hash)
	for i := range row {
		if e := row[i].Load(); e != nil && e.is(hash, text, scope) {
			return e.value, true
		}
	}
	return value, false
}

// put remembers a value of some size in bytes, in place of another where the
// places are taken. Where the bytes run out it makes room instead: then the next
// value is remembered.
func (c *cache[V]) put(text, scope string, value V, size int) {
	hash := c.hash(text, scope)
	row := c.row(hash)
	if c.bytes.Load()+int64(size) > c.limit {
		for i := range row {
			c.replace(&row[i], nil)
		}
		return
	}
	place := rand.IntN(ways)
	for i := range row {
		switch e := row[i].Load(); {
		case e == nil:
			place = i
		case e.is(hash, text, scope): // somebody was faster
			return
		}
	}
	c.replace(&row[place], &cached[V]{hash: hash, text: text, scope: scope, value: value, size: int64(size)})
}

func (c *cache[V]) replace(place *atomic.Pointer[cached[V]], e *cached[V]) {
	if e != nil {
		c.bytes.Add(e.size)
	}
	if old := place.Swap(e); old != nil {
		c.bytes.Add(-old.size)
	}
}

func (e *cached[V]) is(hash uint64, text, scope string) bool {
	return e.hash == hash && e.text == text && e.scope == scope
}

func (c *cache[V]) hash(text, scope string) uint64 {
	return maphash.String(c.seed, text) ^ maphash.String(c.seed, scope)*31
}

func (c *cache[V]) row(hash uint64) []atomic.Pointer[cached[V]] {
	at := int(hash) & (len(c.places) - 1) &^ (ways - 1)
	return c.places[at : at+ways]
}
