package migrations

import "math/rand/v2"

// WithoutLocks makes m's schema locks exclude nobody, so that only the fence is
// left between runners.
func WithoutLocks(m *Migrator) *Migrator {
	for _, t := range m.targets {
		t.key = rand.Int64()
	}
	return m
}

// LockKey is the key of a schema's advisory lock.
func LockKey(schema, table string) int64 { return lockKey(schema, table) }
