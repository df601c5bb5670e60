package pgdbm

// Bounds of the remembered texts.
const (
	MaxTexts     = maxParsed + maxExpanded
	MaxTextBytes = 2 * maxBytes
)

// Remembered returns how many texts the pool remembers, and their size in bytes
// as it is known and as it is counted.
func (p *Pool) Remembered() (texts int, known, counted int64) {
	n, size := p.texts.parsed.count()
	m, more := p.texts.expanded.count()
	return n + m, p.texts.parsed.bytes.Load() + p.texts.expanded.bytes.Load(), size + more
}

func (c *cache[V]) count() (n int, size int64) {
	for i := range c.places {
		if e := c.places[i].Load(); e != nil {
			n++
			size += e.size
		}
	}
	return n, size
}

// Scope is what the manager's expanded texts are remembered by.
func (m *Manager) Scope() string { return m.binding.scope }
