package repo

import "fmt"

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
func (q Query[T]) ForUpdate(wait ...Wait) Query[T] { return q.locked("ForUpdate", " for update", wait) }

// ForNoKeyUpdate is ForUpdate for rows whose key stays: others can still store
// rows that refer to them. It is the lock of an UPDATE.
func (q Query[T]) ForNoKeyUpdate(wait ...Wait) Query[T] {
	return q.locked("ForNoKeyUpdate", " for no key update", wait)
}

// ForShare locks the rows against change, and lets others read them ForShare too.
// Outside a transaction it is refused.
func (q Query[T]) ForShare(wait ...Wait) Query[T] { return q.locked("ForShare", " for share", wait) }

// ForKeyShare locks the rows against deletion and a change of their key: the lock
// of a foreign key.
func (q Query[T]) ForKeyShare(wait ...Wait) Query[T] {
	return q.locked("ForKeyShare", " for key share", wait)
}

func (q Query[T]) locked(name, mode string, wait []Wait) Query[T] {
	if q.lock.mode != "" && q.lock.name != name {
		return q.failed(fmt.Errorf("%s and %s: a query takes one lock", q.lock.name, name))
	}
	if len(wait) > 1 {
		return q.failed(fmt.Errorf("%s: SkipLocked and NoWait exclude each other", name))
	}
	for _, w := range wait {
		switch w {
		case SkipLocked:
			mode += " skip locked"
		case NoWait:
			mode += " nowait"
		}
	}
	q.lock = lock{mode: mode, name: name}
	return q
}
