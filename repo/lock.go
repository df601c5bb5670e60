package repo

import "errors"

// Wait says what a locking read does about rows that somebody else has locked.
// The default is to wait for at most [pgdbm.Config.LockTimeout].
type Wait uint8

// The alternatives to waiting.
const (
	SkipLocked Wait = iota + 1 // leave the locked rows out
	NoWait                     // fail: pgdbm.ErrLocked
)

type lock struct {
	mode string // what the statement ends with
	name string // of the method
}

// ForUpdate locks the rows that are read until the transaction ends: nobody else
// can change or lock them. Outside a transaction it is refused.
//
//	jobs.In(tx).Where(state.Eq("ready")).OrderBy(id.Asc()).Limit(10).ForUpdate(repo.SkipLocked).All(ctx)
func (q Query[T]) ForUpdate(wait ...Wait) Query[T] {
	q.lock = lock{mode: " for update", name: "ForUpdate"}
	for _, w := range wait {
		switch w {
		case SkipLocked:
			q.lock.mode += " skip locked"
		case NoWait:
			q.lock.mode += " nowait"
		}
	}
	if len(wait) > 1 {
		return q.failed(errTwoWaits)
	}
	return q
}

var errTwoWaits = errors.New("ForUpdate: SkipLocked and NoWait exclude each other")
