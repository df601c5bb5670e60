package testkit

import (
	"context"
	"slices"
	"sync"
)

// maxFree is how many databases of a template wait for their next test. More
// than run at once come together where tests ask for fresh ones.
const maxFree = 16

// stock holds the databases of a template that are free, and those who wait
// for one.
type stock struct {
	mu      sync.Mutex
	free    []*slot
	waiting []chan delivery
}

type delivery struct {
	slot *slot
	err  error
}

// clear takes all free databases.
func (st *stock) clear() []*slot {
	st.mu.Lock()
	defer st.mu.Unlock()
	free := st.free
	st.free = nil
	return free
}

// cool closes the connections of all free databases but the last given back.
func (st *stock) cool(but int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, s := range st.free[:max(0, len(st.free)-but)] {
		s.pool.Reset()
	}
}

// take returns a free database. When none is free it has one made, and returns
// that or one that is given back, whichever comes first.
func (t *template) take(ctx context.Context) (*slot, error) {
	st := &t.free
	st.mu.Lock()
	for n := len(st.free); n > 0; n = len(st.free) {
		s := st.free[n-1] // the last used is the warmest
		st.free = st.free[:n-1]
		st.mu.Unlock()
		if s.pool.Ping(ctx) == nil {
			return s, nil
		}
		t.kit.drops.add(s) //nolint:contextcheck // in the background; the server was killed since
		st.mu.Lock()
	}
	wait := make(chan delivery, 1)
	st.waiting = append(st.waiting, wait)
	st.mu.Unlock()
	go t.supply(context.WithoutCancel(ctx))
	select {
	case d := <-wait:
		return d.slot, d.err
	case <-ctx.Done():
	}
	st.mu.Lock()
	if i := slices.Index(st.waiting, wait); i >= 0 {
		st.waiting = slices.Delete(st.waiting, i, i+1)
	}
	st.mu.Unlock()
	select {
	case d := <-wait: // it came just now
		if d.slot != nil {
			t.give(delivery{slot: d.slot}) //nolint:contextcheck // in the background
		}
	default:
	}
	return nil, ctx.Err()
}

// supply makes a database for somebody who waits, unless nobody does any more
// when its turn comes.
func (t *template) supply(ctx context.Context) {
	t.kit.making <- struct{}{}
	defer func() { <-t.kit.making }()
	t.free.mu.Lock()
	needed := len(t.free.waiting) > 0
	t.free.mu.Unlock()
	if needed {
		t.stockUp(ctx)
	}
}

// replace makes a database in place of one that could not be recycled, before
// anybody waits for it: where one test changes the schema the next will, too.
func (t *template) replace(ctx context.Context) {
	select {
	case t.kit.making <- struct{}{}:
		defer func() { <-t.kit.making }()
	default:
		return // enough is being made
	}
	t.free.mu.Lock()
	needed := len(t.free.free) == 0
	t.free.mu.Unlock()
	if needed {
		t.stockUp(ctx)
	}
}

func (t *template) stockUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	s, err := t.clone(ctx)
	t.give(delivery{slot: s, err: err}) //nolint:contextcheck // in the background
}

// give hands a database to the first who waits, or puts it with the free ones.
// What is too many of them is dropped.
func (t *template) give(d delivery) {
	if !t.accept(d) && d.slot != nil {
		t.kit.drops.add(d.slot)
	}
}

func (t *template) accept(d delivery) bool {
	st := &t.free
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case len(st.waiting) > 0:
		st.waiting[0] <- d
		st.waiting = slices.Delete(st.waiting, 0, 1)
	case d.slot == nil || len(st.free) >= maxFree:
		return false
	default:
		st.free = append(st.free, d.slot)
		if i := len(st.free) - 1 - t.kit.warm; i >= 0 { // others need connections, too
			st.free[i].pool.Reset()
		}
	}
	return true
}
