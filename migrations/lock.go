package migrations

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

// lockKey is the advisory lock of a schema's tracking table.
func lockKey(schema, table string) int64 {
	sum := sha256.Sum256([]byte(schema + "\x00" + table))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// The locks that do not belong to a schema; no name contains a blank.
var (
	bootstrapKey = lockKey("create schema", "") // while a schema is created
	exclusiveKey = lockKey("exclusive database", "")
)

// The pauses between attempts to get a lock.
const (
	firstPoll = 25 * time.Millisecond
	lastPoll  = time.Second
)

// poll calls try until it reports true. In between it waits with jitter; waiting
// is called after each attempt that failed. The blocking form of the lock would
// deadlock with CREATE INDEX CONCURRENTLY, which waits for the waiter's snapshot.
func (m *Migrator) poll(ctx context.Context, t *target, try func() (bool, error), waiting func(waited time.Duration) []Session) error {
	started := time.Now()
	var holders []Session
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		ok, err := try()
		if ok || err != nil {
			return err
		}
		if found := waiting(time.Since(started)); found != nil {
			holders = found
		}
		rest := m.cfg.LockTimeout - time.Since(started)
		if rest <= 0 {
			return &MigrationError{
				Module: t.Module, Schema: t.Schema, Blockers: holders,
				Err: fmt.Errorf("%w: longer than LockTimeout %s", ErrLockTimeout, m.cfg.LockTimeout),
			}
		}
		if err := sleep(ctx, min(rest, pause/2+rand.N(pause))); err != nil {
			return err
		}
	}
}

// sleep waits for d or the end of ctx, whichever comes first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
